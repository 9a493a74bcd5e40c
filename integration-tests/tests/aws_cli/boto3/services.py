"""A service's life with boto3: its waiters come to an end, its answers are of the model's types."""

import datetime

CLUSTER = "ecs-demo"
QUICK = {"Delay": 1, "MaxAttempts": 90}

for _ in range(2):
    ecs.register_task_definition(
        family="serving",
        containerDefinitions=[
            {
                "name": "main",
                "image": "busybox",
                "memory": 16,
                "cpu": 10,
                "command": ["sleep", "600"],
                "stopTimeout": 1,
                "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1},
            }
        ],
    )

asked = dict(
    cluster=CLUSTER,
    role="",
    serviceName="serving",
    taskDefinition="serving:1",
    desiredCount=2,
    clientToken="one",
    deploymentConfiguration={
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "minimumHealthyPercent": 50,
        "maximumPercent": 150,
        "bakeTimeInMinutes": 3,
    },
    placementStrategy=[{"type": "binpack", "field": "memory"}],
    tags=[{"key": "team", "value": "a"}],
    propagateTags="SERVICE",
    enableECSManagedTags=True,
)
created = ecs.create_service(**asked)["service"]
assert created["status"] == "ACTIVE", created
assert (created["desiredCount"], created["schedulingStrategy"]) == (2, "REPLICA"), created
assert created["deploymentConfiguration"]["maximumPercent"] == 150, created
assert created["deploymentConfiguration"]["bakeTimeInMinutes"] == 3, "kept, though only alarms would use it"
assert isinstance(created["createdAt"], datetime.datetime), created
assert ecs.create_service(**asked)["service"]["serviceArn"] == created["serviceArn"], "the same token"
refused(
    ecs.exceptions.InvalidParameterException,
    "Creation of service was not idempotent.",
    ecs.create_service,
    **dict(asked, clientToken="two", desiredCount=3),
)

ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=["serving"], WaiterConfig=QUICK)
described = ecs.describe_services(cluster=CLUSTER, services=["serving", "ghost"], include=["TAGS"])
assert [failure["reason"] for failure in described["failures"]] == ["MISSING"], described
service = described["services"][0]
assert (service["runningCount"], service["pendingCount"]) == (2, 0), service
assert service["tags"] == [{"key": "team", "value": "a"}], service
assert service["events"][-1]["message"].startswith("(service serving) has started 2 tasks: (task "), service

arns = ecs.list_tasks(cluster=CLUSTER, serviceName="serving")["taskArns"]
for task in ecs.describe_tasks(cluster=CLUSTER, tasks=arns, include=["TAGS"])["tasks"]:
    tags = {tag["key"]: tag["value"] for tag in task["tags"]}
    assert tags == {"team": "a", "aws:ecs:clusterName": CLUSTER, "aws:ecs:serviceName": "serving"}, task
    assert (task["group"], task["startedBy"]) == ("service:serving", service["deployments"][0]["id"]), task

# Clients that build a name from an ARN leave the cluster before it.
[named] = ecs.describe_services(cluster=CLUSTER, services=[CLUSTER + "/serving"])["services"]
assert named["serviceArn"] == service["serviceArn"], named
assert (service["launchType"], service["placementStrategy"]) == ("EC2", asked["placementStrategy"]), service
assert "capacityProviderStrategy" not in service, "a service with a launch type has none"

distinct = [{"type": "distinctInstance"}]
for given, kept in (({"placementConstraints": distinct}, distinct), ({}, distinct), ({"placementConstraints": []}, [])):
    updated = ecs.update_service(cluster=CLUSTER, service="serving", **given)["service"]
    assert updated["placementConstraints"] == kept, (given, updated)
    assert updated["placementStrategy"] == asked["placementStrategy"], updated
for given, kept in (([{"type": "spread", "field": "host"}], [{"type": "spread", "field": "instanceId"}]), ([], [])):
    updated = ecs.update_service(cluster=CLUSTER, service="serving", placementStrategy=given)["service"]
    assert updated["placementStrategy"] == kept, updated

updated = ecs.update_service(cluster=CLUSTER, service="serving", taskDefinition="serving:2")["service"]
assert [deployment["status"] for deployment in updated["deployments"]] == ["PRIMARY", "ACTIVE"], updated
ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=["serving"], WaiterConfig=QUICK)
service = ecs.describe_services(cluster=CLUSTER, services=["serving"])["services"][0]
assert service["taskDefinition"].endswith("task-definition/serving:2"), service

listed = ecs.list_service_deployments(cluster=CLUSTER, service="serving")["serviceDeployments"]
assert [entry["serviceArn"] for entry in listed] == [service["serviceArn"]] * 2, listed
# Terraform finds the deployment that it waits for by this.
primary = service["deployments"][0]["id"].removeprefix("ecs-svc/")
assert listed[0]["targetServiceRevisionArn"].endswith("/" + primary), (listed, service)
newest = listed[0]["serviceDeploymentArn"]
told = ecs.describe_service_deployments(serviceDeploymentArns=[newest])["serviceDeployments"][0]
revision = told["targetServiceRevision"]["arn"]
revisions = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
assert revisions[0]["taskDefinition"] == service["taskDefinition"], revisions

pages = ecs.get_paginator("list_services").paginate(cluster=CLUSTER, PaginationConfig={"PageSize": 1})
assert service["serviceArn"] in [arn for page in pages for arn in page["serviceArns"]]
refused(
    ecs.exceptions.ServiceNotFoundException,
    "Service not found.",
    ecs.update_service,
    cluster=CLUSTER,
    service="ghost",
    desiredCount=1,
)
refused(
    ecs.exceptions.InvalidParameterException,
    "The service cannot be stopped while it is scaled above 0.",
    ecs.delete_service,
    cluster=CLUSTER,
    service="serving",
)
ecs.update_service(cluster=CLUSTER, service="serving", desiredCount=0)
assert ecs.delete_service(cluster=CLUSTER, service="serving")["service"]["status"] == "DRAINING"
ecs.get_waiter("services_inactive").wait(cluster=CLUSTER, services=["serving"], WaiterConfig=QUICK)
refused(
    ecs.exceptions.ServiceNotActiveException,
    "Service was not ACTIVE.",
    ecs.update_service,
    cluster=CLUSTER,
    service="serving",
    desiredCount=1,
)
print("all checked")
