"""An agent of somebody else's making, with boto3: it registers its instance and tells by calls what its tasks do."""

CLUSTER = "foreign"
x = ecs.exceptions

ecs.create_cluster(clusterName=CLUSTER)
ecs.register_task_definition(
    family="foreign", containerDefinitions=[{"name": "main", "image": "busybox", "memory": 64, "cpu": 128}]
)


def resource(name, **value):
    return dict({"name": name, "type": "INTEGER"}, **value)


host = dict(
    cluster=CLUSTER,
    instanceIdentityDocument=json.dumps({"instanceId": "i-0123456789abcdef0"}),
    totalResources=[
        resource("CPU", integerValue=1024),
        resource("MEMORY", integerValue=512),
        resource("PORTS", type="STRINGSET", stringSetValue=["22"]),
    ],
    versionInfo={"agentVersion": "1.0.0", "dockerVersion": "DockerVersion: 28.0.0"},
    attributes=[{"name": "rack", "value": "r1"}],
    tags=[{"key": "team", "value": "a"}],
)
refused(x.InvalidParameterException, "totalResources must have CPU and MEMORY.", ecs.register_container_instance,
        cluster=CLUSTER)
refused(x.ClusterNotFoundException, "Cluster not found.", ecs.register_container_instance, **dict(host, cluster="ghost"))
instance = ecs.register_container_instance(**host)["containerInstance"]
arn = instance["containerInstanceArn"]
assert (instance["status"], instance["agentConnected"]) == ("ACTIVE", True), instance
assert instance["ec2InstanceId"] == "i-0123456789abcdef0", instance
assert {"name": "rack", "value": "r1"} in instance["attributes"], instance
again = ecs.register_container_instance(**host, containerInstanceArn=arn)["containerInstance"]
assert again["containerInstanceArn"] == arn, "it is the same instance"
assert ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"] == [arn]

run = ecs.run_task(cluster=CLUSTER, taskDefinition="foreign", count=2)
assert not run["failures"], run
first, second = [task["taskArn"] for task in run["tasks"]]
remaining = ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[arn])["containerInstances"][0]
cpu = [one["integerValue"] for one in remaining["remainingResources"] if one["name"] == "CPU"]
assert (cpu, remaining["pendingTasksCount"]) == ([768], 2), remaining


def task(arn):
    return ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]


ports = [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}]
answer = ecs.submit_task_state_change(
    cluster=CLUSTER,
    task=first,
    status="RUNNING",
    containers=[{"containerName": "main", "status": "RUNNING", "runtimeId": "abc", "networkBindings": ports}],
)
assert answer["acknowledgment"], answer
running = task(first)
assert (running["lastStatus"], running["containers"][0]["runtimeId"]) == ("RUNNING", "abc"), running
assert running["containers"][0]["networkBindings"][0]["hostPort"] == 32768, running
assert running["startedAt"], running

# What is behind is acknowledged, and changes nothing.
ecs.submit_task_state_change(cluster=CLUSTER, task=first, status="PENDING")
assert task(first)["lastStatus"] == "RUNNING", "a status only moves forward"

ecs.submit_container_state_change(cluster=CLUSTER, task=first, containerName="main", status="STOPPED", exitCode=3)
ecs.submit_task_state_change(cluster=CLUSTER, task=first, status="STOPPED", reason="Essential container in task exited")
over = task(first)
assert (over["lastStatus"], over["stopCode"]) == ("STOPPED", "EssentialContainerExited"), over
assert (over["stoppedReason"], over["containers"][0]["exitCode"]) == ("Essential container in task exited", 3), over

ecs.stop_task(cluster=CLUSTER, task=second, reason="enough")
assert task(second)["desiredStatus"] == "STOPPED", "whoever asks is told to stop it"
ecs.submit_task_state_change(cluster=CLUSTER, task=second, status="STOPPED")
over = task(second)
assert (over["stopCode"], over["stoppedReason"]) == ("UserInitiated", "enough"), over
ecs.submit_attachment_state_changes(
    cluster=CLUSTER, attachments=[{"attachmentArn": arn.replace("container-instance", "attachment"), "status": "ATTACHED"}]
)

refused(x.InvalidParameterException, "The referenced task was not found.", ecs.submit_task_state_change,
        cluster=CLUSTER, task="0123456789abcdef0123456789abcdef", status="RUNNING")
refused(x.InvalidParameterException, "status 'ODD' should be one of", ecs.submit_task_state_change,
        cluster=CLUSTER, task=first, status="ODD")
refused(x.InvalidParameterException, "containerName 'other' is no container of the task.",
        ecs.submit_container_state_change, cluster=CLUSTER, task=first, containerName="other", status="RUNNING")

# An instance whose agent has a stream is written by that alone.
theirs = ecs.list_container_instances(cluster="ecs-demo")["containerInstanceArns"][0]
refused(x.ClientException, "Container instance type changes are not supported.", ecs.register_container_instance,
        **dict(host, cluster="ecs-demo", containerInstanceArn=theirs))
refused(x.ClientException, "there is no endpoint to poll", ecs.discover_poll_endpoint, cluster=CLUSTER)

ecs.deregister_container_instance(cluster=CLUSTER, containerInstance=arn)
ecs.delete_cluster(cluster=CLUSTER)
print("all checked")
