"""The container instance, its attributes and its state."""

listed = cli("list-container-instances", "--cluster", CLUSTER)
[INSTANCE] = listed["containerInstanceArns"]
NOBODY = "0" * 31 + "1"
call("ListContainerInstances", cluster=CLUSTER, filter="attribute:stack == prod")
call("ListContainerInstances", cluster=CLUSTER, filter="attribute:stack ==")
call("ListContainerInstances", cluster="ghost")

call("PutAttributes", cluster=CLUSTER, attributes=[{"name": "stack", "value": "prod", "targetId": INSTANCE}])
call("PutAttributes", cluster=CLUSTER, attributes=[{"name": "stack", "targetId": NOBODY, "targetType": "container-instance"}])
call("PutAttributes", cluster=CLUSTER, attributes=[])
call("ListAttributes", cluster=CLUSTER, targetType="container-instance", attributeName="stack")
call("ListAttributes", cluster=CLUSTER, targetType="container-instance", attributeName="none")
call("ListAttributes", cluster=CLUSTER, targetType="container-instance", attributeValue="prod")
call("ListContainerInstances", cluster=CLUSTER, filter="attribute:stack == prod", status="ACTIVE")

call("DescribeContainerInstances", cluster=CLUSTER, containerInstances=[INSTANCE, NOBODY], include=["TAGS", "CONTAINER_INSTANCE_HEALTH"])
call("DescribeContainerInstances", cluster=CLUSTER, containerInstances=[])
call("DeleteAttributes", cluster=CLUSTER, attributes=[{"name": "stack", "targetId": INSTANCE}])
call("DeleteAttributes", cluster=CLUSTER, attributes=[{"name": "stack", "targetId": NOBODY}])

cli("update-container-instances-state", "--cluster", CLUSTER, "--container-instances", INSTANCE, NOBODY, "--status", "DRAINING")
call("UpdateContainerInstancesState", cluster=CLUSTER, containerInstances=[INSTANCE], status="ACTIVE")
call("UpdateContainerInstancesState", cluster=CLUSTER, containerInstances=[INSTANCE], status="ASLEEP")
call("UpdateContainerAgent", cluster=CLUSTER, containerInstance=INSTANCE)
call("UpdateContainerAgent", cluster=CLUSTER, containerInstance=NOBODY)

