"""Service auto scaling with boto3: answers are of the model's types, exceptions are the client's own, pages end."""

import datetime
import time

CLUSTER = "ecs-demo"
DIMENSION = dict(ServiceNamespace="ecs", ScalableDimension="ecs:service:DesiredCount")

ecs.register_task_definition(
    family="following",
    containerDefinitions=[{"name": "main", "image": "busybox", "memory": 16, "cpu": 10, "command": ["sleep", "600"]}],
)
for name in ["following-1", "following-2"]:
    ecs.create_service(cluster=CLUSTER, serviceName=name, taskDefinition="following", desiredCount=0)
ecs.create_service(cluster=CLUSTER, serviceName="everywhere", taskDefinition="following", schedulingStrategy="DAEMON")


def of(name):
    return dict(DIMENSION, ResourceId=f"service/{CLUSTER}/{name}")


one = of("following-1")
refused(
    scaling.exceptions.ValidationException,
    "ECS service doesn't exist: service/ecs-demo/ghost",
    scaling.register_scalable_target,
    **of("ghost"),
    MinCapacity=0,
    MaxCapacity=1,
)
refused(
    scaling.exceptions.ValidationException,
    "DAEMON",
    scaling.register_scalable_target,
    **of("everywhere"),
    MinCapacity=0,
    MaxCapacity=1,
)
refused(
    scaling.exceptions.ValidationException,
    "Maximum capacity cannot be less than minimum capacity",
    scaling.register_scalable_target,
    **one,
    MinCapacity=2,
    MaxCapacity=1,
)
refused(scaling.exceptions.ValidationException, "MinCapacity must be given", scaling.register_scalable_target, **one)
refused(
    scaling.exceptions.ObjectNotFoundException,
    "No scalable target found for service namespace: ecs, resource ID: service/ecs-demo/following-1",
    scaling.deregister_scalable_target,
    **one,
)
TRACKING = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "ScaleOutCooldown": 60,
    "ScaleInCooldown": 120,
    "DisableScaleIn": False,
}
POLICY = dict(PolicyName="cpu", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING)
refused(
    scaling.exceptions.ObjectNotFoundException,
    "No scalable target registered for service namespace: ecs",
    scaling.put_scaling_policy,
    **one,
    **POLICY,
)

for name in ["following-1", "following-2"]:
    made = scaling.register_scalable_target(
        **of(name), MinCapacity=0, MaxCapacity=4, SuspendedState={"DynamicScalingInSuspended": True}
    )
    assert made["ScalableTargetARN"].startswith("arn:aws:application-autoscaling:us-east-1:"), made
again = scaling.register_scalable_target(**of("following-2"), MaxCapacity=5)
assert again["ScalableTargetARN"] == made["ScalableTargetARN"], "the same target"
assert scaling.list_tags_for_resource(ResourceARN=made["ScalableTargetARN"]).get("Tags", {}) == {}

pages = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="ecs", PaginationConfig={"PageSize": 1})
targets = [target for page in pages for target in page["ScalableTargets"]]
targets = [target for target in targets if target["ResourceId"].startswith(f"service/{CLUSTER}/following-")]
assert [(t["ResourceId"], t["MinCapacity"], t["MaxCapacity"]) for t in targets] == [
    ("service/ecs-demo/following-1", 0, 4),
    ("service/ecs-demo/following-2", 0, 5),
], targets
assert targets[1]["SuspendedState"] == {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": False,
    "ScheduledScalingSuspended": False,
}, targets
assert isinstance(targets[0]["CreationTime"], datetime.datetime), targets

put = scaling.put_scaling_policy(**one, **POLICY)
assert put["PolicyARN"].endswith(":resource/ecs/service/ecs-demo/following-1:policyName/cpu"), put
assert put["Alarms"] == [], put
assert scaling.put_scaling_policy(**one, **POLICY)["PolicyARN"] == put["PolicyARN"], "the same policy"
refused(
    scaling.exceptions.ValidationException,
    "Only one TargetTrackingScaling policy for a given metric specification is allowed",
    scaling.put_scaling_policy,
    **one,
    **dict(POLICY, PolicyName="other"),
)
refused(
    scaling.exceptions.ValidationException,
    "StepScalingPolicyConfiguration is not supported by this scheduler.",
    scaling.put_scaling_policy,
    **one,
    PolicyName="steps",
    PolicyType="StepScaling",
    StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"},
)
refused(
    scaling.exceptions.ValidationException,
    "knows no Prometheus",
    scaling.put_scaling_policy,
    **one,
    PolicyName="query",
    PolicyType="TargetTrackingScaling",
    TargetTrackingScalingPolicyConfiguration={
        "TargetValue": 1,
        "CustomizedMetricSpecification": {"Namespace": "Prometheus", "MetricName": "up", "Statistic": "Average"},
    },
)
described = scaling.describe_scaling_policies(ServiceNamespace="ecs", ResourceId=one["ResourceId"])["ScalingPolicies"]
assert len(described) == 1, described
assert described[0]["TargetTrackingScalingPolicyConfiguration"] == TRACKING, described
assert scaling.describe_scaling_activities(**one)["ScalingActivities"] == []
refused(
    scaling.exceptions.ValidationException,
    "PutScheduledAction is not supported by this scheduler.",
    scaling.put_scheduled_action,
    **one,
    ScheduledActionName="night",
    Schedule="rate(1 day)",
)

# More than no task is asked for at once, and told.
scaling.register_scalable_target(**one, MinCapacity=1)
for _ in range(120):
    activities = scaling.describe_scaling_activities(**one)["ScalingActivities"]
    if activities:
        break
    time.sleep(0.5)
assert activities[0]["Description"] == "Setting desired count to 1.", activities
assert activities[0]["StatusCode"] in ("InProgress", "Successful"), activities
service = ecs.describe_services(cluster=CLUSTER, services=["following-1"])["services"][0]
assert service["desiredCount"] == 1, service

scaling.delete_scaling_policy(**one, PolicyName="cpu")
refused(
    scaling.exceptions.ObjectNotFoundException, "No scaling policy 'cpu' found", scaling.delete_scaling_policy, **one, PolicyName="cpu"
)
for name in ["following-1", "following-2"]:
    scaling.deregister_scalable_target(**of(name))
    ecs.delete_service(cluster=CLUSTER, service=name, force=True)
ecs.delete_service(cluster=CLUSTER, service="everywhere", force=True)
print("all checked")
