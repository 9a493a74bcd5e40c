//! The lists of operations, from which both mouths are made.

use berth_model::fault::{Fault, FaultClass};

/// Calls the macro `$mouth`, with what it is given, with every ECS operation: those that are served, with the function
/// that serves them, and those that ECS has and this scheduler has not yet.
macro_rules! for_each_operation {
    ($mouth:ident $($with:tt)*) => {
        $mouth! {
            $($with)*
            served {
                "CreateCluster" create_cluster CreateClusterRequest CreateClusterResponse = clusters::create;
                "DescribeClusters" describe_clusters DescribeClustersRequest DescribeClustersResponse = clusters::describe;
                "ListClusters" list_clusters ListClustersRequest ListClustersResponse = clusters::list;
                "DeleteCluster" delete_cluster DeleteClusterRequest DeleteClusterResponse = clusters::delete;
                "RegisterTaskDefinition" register_task_definition RegisterTaskDefinitionRequest RegisterTaskDefinitionResponse = definitions::register;
                "DescribeTaskDefinition" describe_task_definition DescribeTaskDefinitionRequest DescribeTaskDefinitionResponse = definitions::describe;
                "DeregisterTaskDefinition" deregister_task_definition DeregisterTaskDefinitionRequest DeregisterTaskDefinitionResponse = definitions::deregister;
                "ListTaskDefinitions" list_task_definitions ListTaskDefinitionsRequest ListTaskDefinitionsResponse = definitions::list;
                "ListTaskDefinitionFamilies" list_task_definition_families ListTaskDefinitionFamiliesRequest ListTaskDefinitionFamiliesResponse = definitions::list_families;
                "RunTask" run_task RunTaskRequest RunTaskResponse = tasks::run;
                "StartTask" start_task StartTaskRequest StartTaskResponse = tasks::start;
                "StopTask" stop_task StopTaskRequest StopTaskResponse = tasks::stop;
                "DescribeTasks" describe_tasks DescribeTasksRequest DescribeTasksResponse = tasks::describe;
                "ListTasks" list_tasks ListTasksRequest ListTasksResponse = tasks::list;
                "UpdateTaskProtection" update_task_protection UpdateTaskProtectionRequest UpdateTaskProtectionResponse = protection::update;
                "GetTaskProtection" get_task_protection GetTaskProtectionRequest GetTaskProtectionResponse = protection::get;
                "CreateService" create_service CreateServiceRequest CreateServiceResponse = services::create;
                "UpdateService" update_service UpdateServiceRequest UpdateServiceResponse = services::update;
                "DeleteService" delete_service DeleteServiceRequest DeleteServiceResponse = services::delete;
                "DescribeServices" describe_services DescribeServicesRequest DescribeServicesResponse = services::describe;
                "ListServices" list_services ListServicesRequest ListServicesResponse = services::list;
                "ListServiceDeployments" list_service_deployments ListServiceDeploymentsRequest ListServiceDeploymentsResponse = services::deployments::list;
                "DescribeServiceDeployments" describe_service_deployments DescribeServiceDeploymentsRequest DescribeServiceDeploymentsResponse = services::deployments::describe;
                "DescribeServiceRevisions" describe_service_revisions DescribeServiceRevisionsRequest DescribeServiceRevisionsResponse = services::deployments::describe_revisions;
                "StopServiceDeployment" stop_service_deployment StopServiceDeploymentRequest StopServiceDeploymentResponse = services::deployments::stop;
                "ListContainerInstances" list_container_instances ListContainerInstancesRequest ListContainerInstancesResponse = instances::list;
                "DescribeContainerInstances" describe_container_instances DescribeContainerInstancesRequest DescribeContainerInstancesResponse = instances::describe;
                "UpdateContainerInstancesState" update_container_instances_state UpdateContainerInstancesStateRequest UpdateContainerInstancesStateResponse = instances::update_state;
                "DeregisterContainerInstance" deregister_container_instance DeregisterContainerInstanceRequest DeregisterContainerInstanceResponse = instances::deregister;
                "TagResource" tag_resource TagResourceRequest TagResourceResponse = tags::tag;
                "UntagResource" untag_resource UntagResourceRequest UntagResourceResponse = tags::untag;
                "ListTagsForResource" list_tags_for_resource ListTagsForResourceRequest ListTagsForResourceResponse = tags::list;
            }
            unserved {
                "UpdateCluster" update_cluster UpdateClusterRequest UpdateClusterResponse;
                "UpdateClusterSettings" update_cluster_settings UpdateClusterSettingsRequest UpdateClusterSettingsResponse;
                "PutClusterCapacityProviders" put_cluster_capacity_providers PutClusterCapacityProvidersRequest PutClusterCapacityProvidersResponse;
                "DeleteTaskDefinitions" delete_task_definitions DeleteTaskDefinitionsRequest DeleteTaskDefinitionsResponse;
                "ExecuteCommand" execute_command ExecuteCommandRequest ExecuteCommandResponse;
                "ListServicesByNamespace" list_services_by_namespace ListServicesByNamespaceRequest ListServicesByNamespaceResponse;
                "ContinueServiceDeployment" continue_service_deployment ContinueServiceDeploymentRequest ContinueServiceDeploymentResponse;
                "CreateTaskSet" create_task_set CreateTaskSetRequest CreateTaskSetResponse;
                "DescribeTaskSets" describe_task_sets DescribeTaskSetsRequest DescribeTaskSetsResponse;
                "UpdateTaskSet" update_task_set UpdateTaskSetRequest UpdateTaskSetResponse;
                "DeleteTaskSet" delete_task_set DeleteTaskSetRequest DeleteTaskSetResponse;
                "UpdateServicePrimaryTaskSet" update_service_primary_task_set UpdateServicePrimaryTaskSetRequest UpdateServicePrimaryTaskSetResponse;
                "RegisterContainerInstance" register_container_instance RegisterContainerInstanceRequest RegisterContainerInstanceResponse;
                "UpdateContainerAgent" update_container_agent UpdateContainerAgentRequest UpdateContainerAgentResponse;
                "PutAttributes" put_attributes PutAttributesRequest PutAttributesResponse;
                "DeleteAttributes" delete_attributes DeleteAttributesRequest DeleteAttributesResponse;
                "ListAttributes" list_attributes ListAttributesRequest ListAttributesResponse;
                "CreateCapacityProvider" create_capacity_provider CreateCapacityProviderRequest CreateCapacityProviderResponse;
                "DescribeCapacityProviders" describe_capacity_providers DescribeCapacityProvidersRequest DescribeCapacityProvidersResponse;
                "UpdateCapacityProvider" update_capacity_provider UpdateCapacityProviderRequest UpdateCapacityProviderResponse;
                "DeleteCapacityProvider" delete_capacity_provider DeleteCapacityProviderRequest DeleteCapacityProviderResponse;
                "ListAccountSettings" list_account_settings ListAccountSettingsRequest ListAccountSettingsResponse;
                "PutAccountSetting" put_account_setting PutAccountSettingRequest PutAccountSettingResponse;
                "PutAccountSettingDefault" put_account_setting_default PutAccountSettingDefaultRequest PutAccountSettingDefaultResponse;
                "DeleteAccountSetting" delete_account_setting DeleteAccountSettingRequest DeleteAccountSettingResponse;
            }
        }
    };
}

/// The same for the operations of Application Auto Scaling; those that this scheduler has not are in [`UNSCALED`].
macro_rules! for_each_scaling_operation {
    ($mouth:ident $($with:tt)*) => {
        $mouth! {
            $($with)*
            served {
                "RegisterScalableTarget" register_scalable_target RegisterScalableTargetRequest RegisterScalableTargetResponse = autoscaling::register;
                "DeregisterScalableTarget" deregister_scalable_target DeregisterScalableTargetRequest DeregisterScalableTargetResponse = autoscaling::deregister;
                "DescribeScalableTargets" describe_scalable_targets DescribeScalableTargetsRequest DescribeScalableTargetsResponse = autoscaling::describe::targets;
                "PutScalingPolicy" put_scaling_policy PutScalingPolicyRequest PutScalingPolicyResponse = autoscaling::put_policy;
                "DeleteScalingPolicy" delete_scaling_policy DeleteScalingPolicyRequest DeleteScalingPolicyResponse = autoscaling::delete_policy;
                "DescribeScalingPolicies" describe_scaling_policies DescribeScalingPoliciesRequest DescribeScalingPoliciesResponse = autoscaling::describe::policies;
                "DescribeScalingActivities" describe_scaling_activities DescribeScalingActivitiesRequest DescribeScalingActivitiesResponse = autoscaling::describe::activities;
                "ListTagsForResource" list_tags_for_resource ListTagsForScalableTargetRequest ListTagsForScalableTargetResponse = autoscaling::describe::tags;
            }
            unserved {}
        }
    };
}

/// What Application Auto Scaling has and this scheduler has not.
const UNSCALED: [&str; 6] = [
    "PutScheduledAction",
    "DescribeScheduledActions",
    "DeleteScheduledAction",
    "GetPredictiveScalingForecast",
    "TagResource",
    "UntagResource",
];

pub(super) use {for_each_operation, for_each_scaling_operation};

/// The fault of an operation of the name that is in no list.
pub(super) fn unknown(api: &str, operation: &str) -> Fault {
    if api == SCALING && UNSCALED.contains(&operation) {
        return Fault::new(FaultClass::Validation, unserved(operation).message);
    }
    let text = format!("'{operation}' is no operation of the {api} API.");
    Fault::new(FaultClass::UnknownOperation, text)
}

/// The names of the APIs, as [`unknown`] says them.
pub(super) const ECS: &str = "ECS";
pub(super) const SCALING: &str = "Application Auto Scaling";

/// The fault of an operation that ECS has and this scheduler has not.
pub(super) fn unserved(operation: &str) -> Fault {
    Fault::unsupported(format!("{operation} is not supported by this scheduler."))
}
