"""Each answer is checked against the model as it comes; here also what a user computes with."""

import datetime

CLUSTER = "ecs-demo"

registered = ecs.register_task_definition(
    family="types",
    networkMode="bridge",
    tags=[{"key": "team", "value": "a"}],
    volumes=[{"name": "data", "host": {}}],
    containerDefinitions=[
        {
            "name": "main",
            "image": "my-demo",
            "cpu": 10,
            "memory": 32,
            "environment": [{"name": "A", "value": "b"}],
            "portMappings": [{"containerPort": 80}],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
            "dockerLabels": {"x": "y"},
            "ulimits": [{"name": "nofile", "softLimit": 64, "hardLimit": 128}],
            "stopTimeout": 5,
        }
    ],
)["taskDefinition"]
assert registered["revision"] == 1, registered
assert registered["status"] == "ACTIVE", registered
assert isinstance(registered["registeredAt"], datetime.datetime), registered
container = registered["containerDefinitions"][0]
assert container["volumesFrom"] == [], container
assert container["cpu"] == 10 and container["memory"] == 32, container
assert registered["taskDefinitionArn"].endswith("task-definition/types:1"), registered

tagged = ecs.describe_task_definition(taskDefinition="types:1", include=["TAGS"])
assert tagged["tags"] == [{"key": "team", "value": "a"}], tagged

task = ecs.run_task(cluster=CLUSTER, taskDefinition="types", startedBy="types", group="types:test")["tasks"][0]
assert task["lastStatus"] in ("PROVISIONING", "PENDING"), task
assert task["desiredStatus"] == "RUNNING", task
assert task["overrides"]["containerOverrides"] == [{"name": "main"}], task
ecs.get_waiter("tasks_running").wait(
    cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
)
task = ecs.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]], include=["TAGS"])["tasks"][0]
assert task["createdAt"] <= task["startedAt"], task
assert (task["cpu"], task["memory"]) == ("10", "32"), task
assert task["launchType"] == "EC2", task
assert task["connectivity"] == "CONNECTED", task
assert (task["startedBy"], task["group"]) == ("types", "types:test"), task
binding = task["containers"][0]["networkBindings"][0]
assert binding["containerPort"] == 80 and binding["hostPort"] > 0, task

instance = ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"][0]
instance = ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[instance])["containerInstances"][0]
remaining = {resource["name"]: resource for resource in instance["remainingResources"]}
registered_resources = {resource["name"]: resource for resource in instance["registeredResources"]}
assert remaining["CPU"]["integerValue"] < registered_resources["CPU"]["integerValue"], instance
assert {"CPU", "MEMORY", "PORTS", "PORTS_UDP"} <= set(remaining), instance
assert instance["registeredAt"].tzinfo is not None, instance
host, arn = instance["ec2InstanceId"], instance["containerInstanceArn"]
assert host == "mi-" + arn[-17:], instance
named = ecs.list_container_instances(cluster=CLUSTER, filter=f"ec2InstanceId == {host}")
assert named["containerInstanceArns"] == [arn], named
attributes = {attribute["name"]: attribute.get("value") for attribute in instance["attributes"]}
assert attributes["ecs.instance-type"] == "t2.small", attributes

version = task["version"]
ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
ecs.get_waiter("tasks_stopped").wait(
    cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
)
task = ecs.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"][0]
assert task["version"] > version, task
assert task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"], task
cluster = ecs.describe_clusters(clusters=[CLUSTER], include=["STATISTICS", "SETTINGS", "TAGS"])["clusters"][0]
assert cluster["registeredContainerInstancesCount"] == 1, cluster
print("all checked")
