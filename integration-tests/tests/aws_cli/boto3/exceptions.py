"""Errors are raised as the client's own exceptions, and carry what the model gives them."""

CLUSTER = "ecs-demo"
x = ecs.exceptions

error = refused(x.ClusterNotFoundException, "Cluster not found.", ecs.list_tasks, cluster="ghost")
assert error.response["Error"]["Code"] == "ClusterNotFoundException", error.response
assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error.response
assert error.response["ResponseMetadata"]["RequestId"], error.response

refused(x.InvalidParameterException, "Tasks cannot be empty.", ecs.describe_tasks, cluster=CLUSTER, tasks=[])
refused(x.ClientException, "Container Instances cannot be empty.", ecs.describe_container_instances,
        cluster=CLUSTER, containerInstances=[])
refused(x.ClientException, "Container list cannot be empty.", ecs.register_task_definition,
        family="empty", containerDefinitions=[])
refused(x.InvalidParameterException, "count", ecs.run_task, cluster=CLUSTER, taskDefinition="ghost", count=11)
refused(x.ClusterContainsContainerInstancesException, "", ecs.delete_cluster, cluster=CLUSTER)
refused(x.UnsupportedFeatureException, "lifecycle hooks", ecs.continue_service_deployment,
        serviceDeploymentArn="any", hookId="any")
refused(x.ServiceNotFoundException, "Service not found.", ecs.describe_task_sets, cluster=CLUSTER, service="any")

# Terraform knows by this that a cluster is gone with its tags.
gone = ecs.create_cluster(clusterName="gone")["cluster"]["clusterArn"]
ecs.delete_cluster(cluster=gone)
refused(x.InvalidParameterException, "The specified cluster is inactive. Specify an active cluster and try again.",
        ecs.list_tags_for_resource, resourceArn=gone)

# What is asked for and not there is a failure in an answer, not an exception.
answer = ecs.describe_tasks(cluster=CLUSTER, tasks=["0123456789abcdef0123456789abcdef"])
assert answer["tasks"] == [] and answer["failures"][0]["reason"] == "MISSING", answer
print("all checked")
