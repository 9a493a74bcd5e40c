"""A service from its creation through an update to its end."""


def settled(name="front"):
    """The service, when its last deployment is through."""

    def look():
        [service] = ecs.describe_services(cluster=CLUSTER, services=[name])["services"]
        deployments = service["deployments"]
        through = len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"
        return through and service["runningCount"] == service["desiredCount"] and service["pendingCount"] == 0

    eventually("the service's deployment is through", look)


# A container that says that it is well is believed at once, and others after 40 seconds.
CHECKED = dict(SLEEPER, healthCheck={"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1})
for _ in range(2):
    ecs.register_task_definition(family="checked", containerDefinitions=[CHECKED])

FRONT = dict(
    cluster=CLUSTER,
    serviceName="front",
    taskDefinition="checked:1",
    desiredCount=1,
    clientToken="one",
    deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 200},
    placementStrategy=[{"type": "binpack", "field": "memory"}],
    tags=[{"key": "team", "value": "a"}],
    propagateTags="SERVICE",
)
call("CreateService", **FRONT)
call("CreateService", **dict(FRONT, clientToken="two", desiredCount=3))
call("CreateService", **dict(FRONT, serviceName="other", taskDefinition="ghost"))
call("CreateService", **dict(FRONT, serviceName="other", cluster="ghost"))
call("CreateService", **dict(FRONT, serviceName="other", launchType="MOON"))
cli("create-service", "--cluster", CLUSTER, "--service-name", "everywhere", "--task-definition", "sleeper", "--scheduling-strategy", "DAEMON", "--desired-count", "2")
settled()

call("DescribeServices", cluster=CLUSTER, services=["front", "ghost"], include=["TAGS"])
call("DescribeServices", cluster=CLUSTER, services=[])
call("DescribeServices", cluster="ghost", services=["front"])
call("ListServices", cluster=CLUSTER)
call("ListServices", cluster=CLUSTER, schedulingStrategy="DAEMON")
call("ListServices", cluster="ghost")
call("ListServicesByNamespace", namespace="golden.berth")
call("ListServicesByNamespace", namespace="elsewhere")

[OF_FRONT] = ecs.list_tasks(cluster=CLUSTER, serviceName="front")["taskArns"]
call("UpdateTaskProtection", cluster=CLUSTER, tasks=[OF_FRONT, NOBODY], protectionEnabled=True, expiresInMinutes=60)
call("UpdateTaskProtection", cluster=CLUSTER, tasks=[OF_FRONT], protectionEnabled=True, expiresInMinutes=2881)
call("GetTaskProtection", cluster=CLUSTER, tasks=[OF_FRONT])
call("GetTaskProtection", cluster="ghost")
call("UpdateTaskProtection", cluster=CLUSTER, tasks=[OF_FRONT], protectionEnabled=False)

call("UpdateService", cluster=CLUSTER, service="front", taskDefinition="checked:2")
call("UpdateService", cluster=CLUSTER, service="ghost", desiredCount=1)
call("UpdateService", cluster=CLUSTER, service="front", taskDefinition="gone:1")
settled()
call("DescribeServices", cluster=CLUSTER, services=["front"])

deployments = call("ListServiceDeployments", cluster=CLUSTER, service="front")["serviceDeployments"]
call("ListServiceDeployments", cluster=CLUSTER, service="front", status=["IN_PROGRESS"])
call("ListServiceDeployments", cluster=CLUSTER, service="ghost")
NEWEST = deployments[0]["serviceDeploymentArn"]
UNKNOWN = NEWEST[:-21] + "A" * 21
told = call("DescribeServiceDeployments", serviceDeploymentArns=[NEWEST, UNKNOWN])
call("DescribeServiceDeployments", serviceDeploymentArns=["nonsense"])
REVISION = told["serviceDeployments"][0]["targetServiceRevision"]["arn"]
call("DescribeServiceRevisions", serviceRevisionArns=[REVISION, REVISION[:-19] + "1" * 19])
call("DescribeServiceRevisions", serviceRevisionArns=["nonsense"])
call("StopServiceDeployment", serviceDeploymentArn=NEWEST)
call("StopServiceDeployment", serviceDeploymentArn=UNKNOWN)

cli("delete-service", "--cluster", CLUSTER, "--service", "front")
cli("update-service", "--cluster", CLUSTER, "--service", "front", "--desired-count", "0")
call("DeleteService", cluster=CLUSTER, service="front")
call("DeleteService", cluster=CLUSTER, service="ghost")


def inactive():
    [service] = ecs.describe_services(cluster=CLUSTER, services=["front"])["services"]
    return service["status"] == "INACTIVE"


eventually("the service is gone", inactive)
call("UpdateService", cluster=CLUSTER, service="front", desiredCount=1)


CANARY = {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.5, "canaryBakeTimeInMinutes": 3}, "bakeTimeInMinutes": 2}
call("CreateService", cluster=CLUSTER, serviceName="parted", taskDefinition="sleeper", desiredCount=0, deploymentConfiguration=CANARY)
settled("parted")
LINEAR = {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 12.5}}
call("UpdateService", cluster=CLUSTER, service="parted", deploymentConfiguration=LINEAR)
LINEAR["linearConfiguration"]["stepPercent"] = 12.25
call("UpdateService", cluster=CLUSTER, service="parted", deploymentConfiguration=LINEAR)
settled("parted")
call("DeleteService", cluster=CLUSTER, service="parted")
