"""Capacity providers, and tasks that ask for them."""

call(
    "CreateCapacityProvider",
    name="spot",
    autoScalingGroupProvider={
        "autoScalingGroupArn": "group",
        "managedScaling": {"status": "DISABLED", "targetCapacity": 80},
        "managedDraining": "ENABLED",
    },
    tags=[{"key": "team", "value": "a"}],
)
call("CreateCapacityProvider", name="aws-mine", autoScalingGroupProvider={"autoScalingGroupArn": "group"})
call("CreateCapacityProvider", name="spot", autoScalingGroupProvider={"autoScalingGroupArn": "group"})
cli("describe-capacity-providers", "--capacity-providers", "spot", "ghost", "--include", "TAGS")
call("DescribeCapacityProviders", maxResults=2)
call("UpdateCapacityProvider", name="spot", autoScalingGroupProvider={"managedScaling": {"targetCapacity": 90}})
call("UpdateCapacityProvider", name="ghost", autoScalingGroupProvider={"managedScaling": {"targetCapacity": 90}})

SPOT = [{"capacityProvider": "spot", "weight": 1}]
call("PutClusterCapacityProviders", cluster="shop", capacityProviders=["spot", "FARGATE"], defaultCapacityProviderStrategy=SPOT)
call("PutClusterCapacityProviders", cluster="shop", capacityProviders=["ghost"], defaultCapacityProviderStrategy=[])
call("PutClusterCapacityProviders", cluster="ghost", capacityProviders=[], defaultCapacityProviderStrategy=[])
call("RunTask", cluster="shop", taskDefinition="sleeper", capacityProviderStrategy=SPOT)
call("RunTask", cluster="shop", taskDefinition="sleeper", capacityProviderStrategy=SPOT, launchType="EC2")
call("DeleteCapacityProvider", capacityProvider="spot")
call("PutClusterCapacityProviders", cluster="shop", capacityProviders=[], defaultCapacityProviderStrategy=[])
call("DeleteCapacityProvider", capacityProvider="spot")
call("DeleteCapacityProvider", capacityProvider="ghost")

