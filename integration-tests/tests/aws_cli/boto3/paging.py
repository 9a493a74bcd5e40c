"""Paginators see every entry once, in any page size, and waiters come to an end."""

CLUSTER = "ecs-demo"

for number in range(7):
    ecs.create_cluster(clusterName=f"paging-{number}")
    ecs.register_task_definition(
        family=f"paging-{number}",
        containerDefinitions=[{"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}],
    )


def entries(operation, key, size, **arguments):
    pages = ecs.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments)
    pages = [page[key] for page in pages]
    assert all(len(page) <= size for page in pages), pages
    assert len(pages) == 1 or all(pages), f"an empty page: {pages}"
    found = [entry for page in pages for entry in page]
    assert len(set(found)) == len(found), f"seen twice: {found}"
    return found


for size in (1, 2, 3, 7, 100):
    clusters = [arn for arn in entries("list_clusters", "clusterArns", size) if "/paging-" in arn]
    assert len(clusters) == 7, (size, clusters)
    families = entries("list_task_definition_families", "families", size)
    assert len([family for family in families if family.startswith("paging-")]) == 7, (size, families)
    assert len(entries("list_task_definitions", "taskDefinitionArns", size, familyPrefix="paging-3")) == 1

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

for number in range(7):
    ecs.delete_cluster(cluster=f"paging-{number}")
print("all checked")
