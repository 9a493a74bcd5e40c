"""A client token makes RunTask idempotent, and a second meaning of it a conflict."""

CLUSTER = "ecs-demo"

ecs.register_task_definition(
    family="tokens",
    containerDefinitions=[{"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}],
)
request = dict(cluster=CLUSTER, taskDefinition="tokens", count=2, clientToken="tokens-1")


def arns(answer):
    return sorted(task["taskArn"] for task in answer["tasks"])


first = arns(ecs.run_task(**request))
assert len(first) == 2, first
assert arns(ecs.run_task(**request)) == first

error = refused(ecs.exceptions.ConflictException, "", ecs.run_task, **{**request, "count": 1})
ids = sorted(arn.rsplit("/", 1)[1] for arn in first)
assert sorted(error.response["resourceIds"]) == ids, error.response

other = arns(ecs.run_task(**{**request, "clientToken": "tokens-2"}))
assert not set(other) & set(first), (first, other)
# Without one the SDK makes a token of its own for each call.
del request["clientToken"]
assert arns(ecs.run_task(**request)) != arns(ecs.run_task(**request))
print("all checked")
