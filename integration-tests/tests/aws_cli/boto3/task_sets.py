"""A service that somebody else deploys, with boto3: its task sets have their part of its count, and come and go."""

import time

CLUSTER = "ecs-demo"
x = ecs.exceptions

for _ in range(2):
    ecs.register_task_definition(
        family="sets",
        containerDefinitions=[
            {
                "name": "main",
                "image": "busybox",
                "memory": 16,
                "command": ["sleep", "600"],
                "stopTimeout": 1,
                # Without one, a task is held to be healthy after 40 seconds.
                "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5},
            }
        ],
    )

refused(
    x.InvalidParameterException,
    "taskDefinition cannot be specified for a service with the EXTERNAL deployment controller.",
    ecs.create_service,
    cluster=CLUSTER,
    serviceName="sets",
    taskDefinition="sets",
    deploymentController={"type": "EXTERNAL"},
)
service = ecs.create_service(
    cluster=CLUSTER, serviceName="sets", desiredCount=2, deploymentController={"type": "EXTERNAL"}
)["service"]
assert service["deploymentController"] == {"type": "EXTERNAL"}, service
assert (service["deployments"], service["taskSets"]) == ([], []), service
assert "taskDefinition" not in service, service

OF = dict(cluster=CLUSTER, service="sets")
asked = dict(
    OF,
    taskDefinition="sets:1",
    externalId="blue",
    scale={"value": 100.0, "unit": "PERCENT"},
    clientToken="once",
    tags=[{"key": "team", "value": "a"}],
)
blue = ecs.create_task_set(**asked)["taskSet"]
assert (blue["status"], blue["computedDesiredCount"], blue["externalId"]) == ("ACTIVE", 2, "blue"), blue
assert blue["stabilityStatus"] == "STABILIZING", blue
assert blue["taskSetArn"].endswith(f":task-set/{CLUSTER}/sets/{blue['id']}"), blue
assert ecs.create_task_set(**asked)["taskSet"]["id"] == blue["id"], "the same token"
refused(
    x.InvalidParameterException,
    "Creation of task set was not idempotent.",
    ecs.create_task_set,
    **dict(asked, externalId="another"),
)


def described(of):
    return ecs.describe_task_sets(**OF, taskSets=[of["id"]], include=["TAGS"])["taskSets"][0]


def steady(of):
    """Waits until the task set is as it should be."""
    for _ in range(120):
        now = described(of)
        if now["stabilityStatus"] == "STEADY_STATE":
            assert now["runningCount"] == now["computedDesiredCount"], now
            return now
        time.sleep(1)
    raise AssertionError(f"not steady: {now}")


assert steady(blue)["tags"] == [{"key": "team", "value": "a"}], "tags are told where asked for"
primary = ecs.update_service_primary_task_set(**OF, primaryTaskSet=blue["taskSetArn"])["taskSet"]
assert primary["status"] == "PRIMARY", primary
service = ecs.describe_services(cluster=CLUSTER, services=["sets"])["services"][0]
assert service["taskDefinition"].endswith("/sets:1"), service
assert [one["id"] for one in service["taskSets"]] == [blue["id"]], service
tasks = ecs.list_tasks(cluster=CLUSTER, serviceName="sets")["taskArns"]
started = {task["startedBy"] for task in ecs.describe_tasks(cluster=CLUSTER, tasks=tasks)["tasks"]}
assert started == {blue["id"]}, started

# Nothing is scaled where nothing is said.
green = ecs.create_task_set(**OF, taskDefinition="sets")["taskSet"]
assert (green["scale"]["value"], green["computedDesiredCount"]) == (0.0, 0), green
green = ecs.update_task_set(**OF, taskSet=green["id"], scale={"value": 50.0, "unit": "PERCENT"})["taskSet"]
assert (green["computedDesiredCount"], green["stabilityStatus"]) == (1, "STABILIZING"), green
steady(green)
ecs.update_service_primary_task_set(**OF, primaryTaskSet=green["id"])
assert described(blue)["status"] == "ACTIVE", "another one is the primary"

ecs.tag_resource(resourceArn=green["taskSetArn"], tags=[{"key": "b", "value": "2"}])
assert ecs.list_tags_for_resource(resourceArn=green["taskSetArn"])["tags"] == [{"key": "b", "value": "2"}]

refused(
    x.InvalidParameterException,
    "The task set cannot be deleted while it is scaled above 0.",
    ecs.delete_task_set,
    **OF,
    taskSet=blue["id"],
)
ecs.update_task_set(**OF, taskSet=blue["id"], scale={"value": 0.0, "unit": "PERCENT"})
steady(blue)
assert ecs.delete_task_set(**OF, taskSet=blue["id"])["taskSet"]["status"] == "DRAINING"
for _ in range(60):
    answer = ecs.describe_task_sets(**OF, taskSets=[blue["id"]])
    if not answer["taskSets"]:
        break
    time.sleep(1)
assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"], answer

refused(
    x.InvalidParameterException,
    "Unable to update task definition on services with a EXTERNAL deployment controller.",
    ecs.update_service,
    **OF,
    taskDefinition="sets",
)
ecs.update_service(**OF, desiredCount=4)
assert described(green)["computedDesiredCount"] == 2, "half of four"
steady(green)
refused(x.TaskSetNotFoundException, "The specified task set does not exist.", ecs.update_task_set,
        **OF, taskSet="ecs-svc/1234567890123456789", scale={"value": 1.0})

ecs.delete_service(**OF, force=True)
ecs.get_waiter("services_inactive").wait(
    cluster=CLUSTER, services=["sets"], WaiterConfig={"Delay": 1, "MaxAttempts": 90}
)
print("all checked")
