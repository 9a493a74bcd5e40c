"""The end of the cluster's tasks, of its container instance, and of clusters."""

call("DeregisterContainerInstance", cluster=CLUSTER, containerInstance=INSTANCE)
call("DeregisterContainerInstance", cluster=CLUSTER, containerInstance=NOBODY)
call("DeleteCluster", cluster=CLUSTER)
ecs.stop_task(cluster=CLUSTER, task=THREE)
wait_for("STOPPED", [THREE])
cli("deregister-container-instance", "--cluster", CLUSTER, "--container-instance", INSTANCE)
call("ListContainerInstances", cluster=CLUSTER)
cli("delete-cluster", "--cluster", "shop")
call("DeleteCluster", cluster="ghost")
call("DescribeClusters", clusters=["shop"], include=INCLUDED)
call("UpdateCluster", cluster="shop")

