"""Paginators see every entry once, in any page size, and waiters come to an end."""

from botocore import xform_name

CLUSTER = "ecs-demo"

for number in range(7):
    ecs.create_cluster(clusterName=f"paging-{number}")
    ecs.register_task_definition(
        family=f"paging-{number}",
        containerDefinitions=[{"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}],
    )


GATEWAYS_OF_AWS = {"list_gateways", "list_gateway_routes", "list_gateway_cluster_associations"}
paged = set()


def entries(operation, key, size, **arguments):
    """What the operation lists in pages of that size, by boto3's paginator, or page by page where boto3 has none."""
    paged.add(operation)
    if ecs.can_paginate(operation):
        pages = list(ecs.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments))
    else:
        pages = [getattr(ecs, operation)(maxResults=size, **arguments)]
        while "nextToken" in pages[-1]:
            token = pages[-1]["nextToken"]
            pages.append(getattr(ecs, operation)(maxResults=size, nextToken=token, **arguments))
    pages = [page[key] for page in pages]
    assert all(len(page) <= size for page in pages), pages
    assert len(pages) == 1 or all(pages), f"an empty page: {pages}"
    found = [entry if isinstance(entry, str) else json.dumps(entry, default=str) for page in pages for entry in page]
    assert len(set(found)) == len(found), f"seen twice: {found}"
    return found


for size in (1, 2, 3, 7, 100):
    clusters = [arn for arn in entries("list_clusters", "clusterArns", size) if "/paging-" in arn]
    assert len(clusters) == 7, (size, clusters)
    families = entries("list_task_definition_families", "families", size)
    assert len([family for family in families if family.startswith("paging-")]) == 7, (size, families)
    assert len(entries("list_task_definitions", "taskDefinitionArns", size, familyPrefix="paging-3")) == 1

PAGED = "paging-0"
[instance] = ecs.describe_container_instances(
    cluster=CLUSTER, containerInstances=ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"][:1]
)["containerInstances"]
for number in range(3):
    ecs.create_capacity_provider(
        name=f"paging-{number}",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:"
            f"0d5ab3f7-7c0c-4b4a-9d0a-000000000000:autoScalingGroupName/paging-{number}"
        },
    )
    ecs.create_service(
        cluster=PAGED,
        serviceName=f"paging-{number}",
        taskDefinition="paging-0",
        desiredCount=0,
    )
    ecs.put_attributes(
        cluster=CLUSTER,
        attributes=[{"name": f"paging-{number}", "targetId": instance["containerInstanceArn"]}],
    )
    ecs.update_service(cluster=PAGED, service="paging-0", forceNewDeployment=True)

for operation, key, fewest, arguments in [
    ("list_services", "serviceArns", 3, {"cluster": PAGED}),
    ("list_services_by_namespace", "serviceArns", 3, {"namespace": f"{PAGED}.berth"}),
    ("list_service_deployments", "serviceDeployments", 2, {"cluster": PAGED, "service": "paging-0"}),
    ("list_attributes", "attributes", 3, {"cluster": CLUSTER, "targetType": "container-instance"}),
    ("list_container_instances", "containerInstanceArns", 1, {"cluster": CLUSTER}),
    ("list_account_settings", "settings", 5, {"effectiveSettings": True}),
    ("describe_capacity_providers", "capacityProviders", 3, {}),
]:
    whole = entries(operation, key, 10, **arguments)
    assert len(whole) >= fewest, (operation, whole)
    for size in (1, 2, 3):
        assert sorted(entries(operation, key, size, **arguments)) == sorted(whole), (operation, size)

ran = ecs.run_task(cluster=CLUSTER, taskDefinition="paging-0", count=5, startedBy="paging")
arns = {task["taskArn"] for task in ran["tasks"]}
assert len(arns) == 5, ran
ecs.get_waiter("tasks_stopped").wait(
    cluster=CLUSTER, tasks=list(arns), WaiterConfig={"Delay": 1, "MaxAttempts": 60}
)
listed = entries("list_tasks", "taskArns", 2, cluster=CLUSTER, family="paging-0", desiredStatus="STOPPED")
assert set(listed) == arns, (listed, arns)

try:
    ecs.get_waiter("tasks_running").wait(
        cluster=CLUSTER, tasks=list(arns), WaiterConfig={"Delay": 1, "MaxAttempts": 3}
    )
    raise AssertionError("stopped tasks are waited for as running")
except botocore.exceptions.WaiterError as error:
    assert "terminal failure" in str(error), error

ecs.delete_attributes(
    cluster=CLUSTER,
    attributes=[{"name": f"paging-{number}", "targetId": instance["containerInstanceArn"]} for number in range(3)],
)
for number in range(3):
    ecs.delete_service(cluster=PAGED, service=f"paging-{number}", force=True)
    ecs.delete_capacity_provider(capacityProvider=f"paging-{number}")
for number in range(7):
    ecs.delete_cluster(cluster=f"paging-{number}")
every = {name for name in map(xform_name, ecs.meta.service_model.operation_names) if ecs.can_paginate(name)}
assert every - paged == GATEWAYS_OF_AWS, every - paged
print("all checked")
