"""Tasks from RunTask and StartTask to their ends."""


def wait_for(status, tasks):
    def look():
        described = ecs.describe_tasks(cluster=CLUSTER, tasks=tasks)["tasks"]
        return all(task["lastStatus"] == status for task in described)

    eventually(f"{status} of {tasks}", look)


ran = call(
    "RunTask",
    cluster=CLUSTER,
    taskDefinition="sleeper:1",
    count=2,
    startedBy="ann",
    tags=[{"key": "team", "value": "a"}],
    enableECSManagedTags=True,
    overrides={"containerOverrides": [{"name": "main", "environment": [{"name": "COLOUR", "value": "green"}]}]},
)
ONE, TWO = [task["taskArn"] for task in ran["tasks"]]
call("RunTask", cluster=CLUSTER, taskDefinition="sleeper", overrides={"containerOverrides": [{"name": "other"}]})
call("RunTask", cluster=CLUSTER, taskDefinition="ghost")
call("RunTask", cluster=CLUSTER, taskDefinition="gone:1")
call("RunTask", cluster="empty", taskDefinition="sleeper")
call("RunTask", cluster="ghost", taskDefinition="sleeper")
call("RunTask", cluster=CLUSTER, taskDefinition="serverless", launchType="FARGATE")
call("RunTask", cluster=CLUSTER, taskDefinition="sleeper", launchType="MOON")
call(
    "RunTask",
    cluster=CLUSTER,
    taskDefinition="sleeper",
    placementConstraints=[{"type": "memberOf", "expression": "attribute:stack == test"}],
)
cli("run-task", "--cluster", CLUSTER, "--task-definition", "sleeper", "--overrides", '{"memory": "99999999"}')
started = cli("start-task", "--cluster", CLUSTER, "--task-definition", "sleeper:1", "--container-instances", INSTANCE, NOBODY)
[THREE] = [task["taskArn"] for task in started["tasks"]]
call("StartTask", cluster=CLUSTER, taskDefinition="ghost", containerInstances=[INSTANCE])

wait_for("RUNNING", [ONE, TWO, THREE])
call("DescribeTasks", cluster=CLUSTER, tasks=[ONE, NOBODY], include=["TAGS"])
call("DescribeTasks", cluster=CLUSTER, tasks=[])
call("DescribeTasks", cluster="ghost", tasks=[ONE])
page = call("ListTasks", cluster=CLUSTER, maxResults=2)
call("ListTasks", cluster=CLUSTER, maxResults=2, nextToken=page["nextToken"])
call("ListTasks", cluster=CLUSTER, startedBy="ann")
call("ListTasks", cluster=CLUSTER, serviceName="ghost")
call("ListTasks", cluster=CLUSTER, launchType="MOON")

ran = call("RunTask", cluster=CLUSTER, taskDefinition="sleeper:1", enableExecuteCommand=True)
[FOUR] = [task["taskArn"] for task in ran["tasks"]]
wait_for("RUNNING", [FOUR])
call("DescribeTasks", cluster=CLUSTER, tasks=[FOUR])
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, container="main", command="sh -c 'ls | wc'", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=FOUR.split("/")[-1], command="sh", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, command="sh", interactive=False)
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, command="sh -c 'ls", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, command=" ", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, container="other", command="sh", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=ONE, command="sh", interactive=True)
call("ExecuteCommand", cluster=CLUSTER, task=NOBODY, command="sh", interactive=True)
call("ExecuteCommand", cluster="ghost", task=FOUR, command="sh", interactive=True)
call("StopTask", cluster=CLUSTER, task=FOUR)
wait_for("STOPPED", [FOUR])
call("DescribeTasks", cluster=CLUSTER, tasks=[FOUR])
call("ExecuteCommand", cluster=CLUSTER, task=FOUR, command="sh", interactive=True)

call("GetTaskProtection", cluster=CLUSTER, tasks=[ONE, NOBODY])
call("UpdateTaskProtection", cluster=CLUSTER, tasks=[ONE], protectionEnabled=True)

cli("stop-task", "--cluster", CLUSTER, "--task", ONE, "--reason", "enough")
call("StopTask", cluster=CLUSTER, task=TWO)
call("StopTask", cluster=CLUSTER, task=NOBODY)
call("StopTask", cluster="ghost", task=TWO)
wait_for("STOPPED", [ONE, TWO])
call("DescribeTasks", cluster=CLUSTER, tasks=[ONE])
call("ListTasks", cluster=CLUSTER, desiredStatus="STOPPED", family="sleeper")

