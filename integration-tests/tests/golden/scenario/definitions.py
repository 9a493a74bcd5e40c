"""Task definitions: `sleeper` is what tasks and services are of, `web` has much of what a definition can say."""

SLEEPER = {
    "name": "main",
    "image": "busybox",
    "cpu": 10,
    "memory": 16,
    "command": ["sleep", "600"],
    "stopTimeout": 1,
}
WEB = {
    "name": "web",
    "image": "my-demo",
    "memoryReservation": 32,
    "environment": [{"name": "COLOUR", "value": "blue"}],
    "portMappings": [{"containerPort": 80}, {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}],
    "mountPoints": [{"sourceVolume": "pages", "containerPath": "/pages", "readOnly": True}],
    "dependsOn": [{"containerName": "before", "condition": "SUCCESS"}],
    "dockerLabels": {"team": "a"},
    "ulimits": [{"name": "nofile", "softLimit": 64, "hardLimit": 128}],
    "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["NET_RAW"]}},
    "healthCheck": {"command": ["CMD-SHELL", "true"]},
    "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
}
BEFORE = {"name": "before", "image": "busybox", "memory": 8, "essential": False, "entryPoint": ["true"]}

cli("register-task-definition", "--family", "sleeper", "--container-definitions", json.dumps([SLEEPER]))
call("RegisterTaskDefinition", family="sleeper", containerDefinitions=[dict(SLEEPER, cpu=20)])
call(
    "RegisterTaskDefinition",
    family="web",
    networkMode="bridge",
    requiresCompatibilities=["EC2"],
    placementConstraints=[{"type": "memberOf", "expression": "attribute:stack exists"}],
    volumes=[{"name": "pages", "host": {"sourcePath": "/srv/pages"}}],
    tags=[{"key": "team", "value": "a"}],
    containerDefinitions=[WEB, BEFORE],
)
call(
    "RegisterTaskDefinition",
    family="serverless",
    networkMode="awsvpc",
    requiresCompatibilities=["FARGATE"],
    cpu="0.25 vCPU",
    memory="0.5 GB",
    containerDefinitions=[{"name": "main", "image": "busybox"}],
)
call("RegisterTaskDefinition", family="bad", containerDefinitions=[{"name": "main", "image": "busybox"}])
call("RegisterTaskDefinition", family="bad", containerDefinitions=[dict(SLEEPER, image="")])
call("RegisterTaskDefinition", family="bad", containerDefinitions=[dict(SLEEPER, mountPoints=[{"sourceVolume": "none"}])])
call("RegisterTaskDefinition", family="untagged", containerDefinitions=[SLEEPER], tags=[])

ecs.register_task_definition(family="gone", containerDefinitions=[SLEEPER])
ecs.deregister_task_definition(taskDefinition="gone:1")
cli("describe-task-definition", "--task-definition", "sleeper")
call("DescribeTaskDefinition", taskDefinition="web:1", include=["TAGS"])
call("DescribeTaskDefinition", taskDefinition="ghost")
call("DescribeTaskDefinition", taskDefinition="sleeper:foo")

call("ListTaskDefinitions", familyPrefix="sleeper")
page = call("ListTaskDefinitions", sort="DESC", maxResults=3)
call("ListTaskDefinitions", sort="DESC", maxResults=3, nextToken=page["nextToken"])
call("ListTaskDefinitions", status="SOME")
call("ListTaskDefinitionFamilies", familyPrefix="s", status="ACTIVE")
call("ListTaskDefinitionFamilies", status="SOME")

cli("deregister-task-definition", "--task-definition", "web:1")
call("DeregisterTaskDefinition", taskDefinition="web")
call("DeregisterTaskDefinition", taskDefinition="web:foo")
call("DeregisterTaskDefinition", taskDefinition="ghost:1")
call("ListTaskDefinitions", status="INACTIVE")
call("DeleteTaskDefinitions", taskDefinitions=["web:1", "sleeper:1", "ghost:1", "non sense"])
call("DeleteTaskDefinitions", taskDefinitions=[f"web:{revision}" for revision in range(11)])
call("DeleteTaskDefinitions", taskDefinitions=[])

