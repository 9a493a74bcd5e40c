//! The lists of operations, from which both mouths are made.

use berth_model::fault::{Fault, FaultClass};

use super::refused::refusal;

/// Calls the macro `$mouth`, with what it is given, with every ECS operation: those that are served, with whether they
/// only read and the function that serves them, and those that ECS has and this scheduler has not yet.
macro_rules! for_each_operation {
    ($mouth:ident $($with:tt)*) => {
        $mouth! {
            $($with)*
            served {
                "CreateCluster" write create_cluster CreateClusterRequest CreateClusterResponse = clusters::create;
                "DescribeClusters" read describe_clusters DescribeClustersRequest DescribeClustersResponse = clusters::describe;
                "ListClusters" read list_clusters ListClustersRequest ListClustersResponse = clusters::list;
                "UpdateCluster" write update_cluster UpdateClusterRequest UpdateClusterResponse = clusters::update;
                "UpdateClusterSettings" write update_cluster_settings UpdateClusterSettingsRequest UpdateClusterSettingsResponse = clusters::update_settings;
                "DeleteCluster" write delete_cluster DeleteClusterRequest DeleteClusterResponse = clusters::delete;
                "PutClusterCapacityProviders" write put_cluster_capacity_providers PutClusterCapacityProvidersRequest PutClusterCapacityProvidersResponse = capacity::put;
                "RegisterTaskDefinition" write register_task_definition RegisterTaskDefinitionRequest RegisterTaskDefinitionResponse = definitions::register;
                "DescribeTaskDefinition" read describe_task_definition DescribeTaskDefinitionRequest DescribeTaskDefinitionResponse = definitions::describe;
                "DeregisterTaskDefinition" write deregister_task_definition DeregisterTaskDefinitionRequest DeregisterTaskDefinitionResponse = definitions::deregister;
                "DeleteTaskDefinitions" write delete_task_definitions DeleteTaskDefinitionsRequest DeleteTaskDefinitionsResponse = definitions::delete;
                "ListTaskDefinitions" read list_task_definitions ListTaskDefinitionsRequest ListTaskDefinitionsResponse = definitions::list;
                "ListTaskDefinitionFamilies" read list_task_definition_families ListTaskDefinitionFamiliesRequest ListTaskDefinitionFamiliesResponse = definitions::list_families;
                "RunTask" write run_task RunTaskRequest RunTaskResponse = tasks::run;
                "StartTask" write start_task StartTaskRequest StartTaskResponse = tasks::start;
                "StopTask" write stop_task StopTaskRequest StopTaskResponse = tasks::stop;
                "DescribeTasks" read describe_tasks DescribeTasksRequest DescribeTasksResponse = tasks::describe;
                "ListTasks" read list_tasks ListTasksRequest ListTasksResponse = tasks::list;
                "ExecuteCommand" write execute_command ExecuteCommandRequest ExecuteCommandResponse = exec::execute;
                "UpdateTaskProtection" write update_task_protection UpdateTaskProtectionRequest UpdateTaskProtectionResponse = protection::update;
                "GetTaskProtection" read get_task_protection GetTaskProtectionRequest GetTaskProtectionResponse = protection::get;
                "CreateService" write create_service CreateServiceRequest CreateServiceResponse = services::create;
                "UpdateService" write update_service UpdateServiceRequest UpdateServiceResponse = services::update;
                "DeleteService" write delete_service DeleteServiceRequest DeleteServiceResponse = services::delete;
                "DescribeServices" read describe_services DescribeServicesRequest DescribeServicesResponse = services::describe;
                "ListServices" read list_services ListServicesRequest ListServicesResponse = services::list;
                "ListServicesByNamespace" read list_services_by_namespace ListServicesByNamespaceRequest ListServicesByNamespaceResponse = services::list_by_namespace;
                "ListServiceDeployments" read list_service_deployments ListServiceDeploymentsRequest ListServiceDeploymentsResponse = services::deployments::list;
                "DescribeServiceDeployments" read describe_service_deployments DescribeServiceDeploymentsRequest DescribeServiceDeploymentsResponse = services::deployments::describe;
                "DescribeServiceRevisions" read describe_service_revisions DescribeServiceRevisionsRequest DescribeServiceRevisionsResponse = services::deployments::describe_revisions;
                "StopServiceDeployment" write stop_service_deployment StopServiceDeploymentRequest StopServiceDeploymentResponse = services::deployments::stop;
                "CreateTaskSet" write create_task_set CreateTaskSetRequest CreateTaskSetResponse = task_sets::create;
                "DescribeTaskSets" read describe_task_sets DescribeTaskSetsRequest DescribeTaskSetsResponse = task_sets::describe;
                "UpdateTaskSet" write update_task_set UpdateTaskSetRequest UpdateTaskSetResponse = task_sets::update;
                "DeleteTaskSet" write delete_task_set DeleteTaskSetRequest DeleteTaskSetResponse = task_sets::delete;
                "UpdateServicePrimaryTaskSet" write update_service_primary_task_set UpdateServicePrimaryTaskSetRequest UpdateServicePrimaryTaskSetResponse = task_sets::set_primary;
                "ListContainerInstances" read list_container_instances ListContainerInstancesRequest ListContainerInstancesResponse = instances::list;
                "DescribeContainerInstances" read describe_container_instances DescribeContainerInstancesRequest DescribeContainerInstancesResponse = instances::describe;
                "UpdateContainerInstancesState" write update_container_instances_state UpdateContainerInstancesStateRequest UpdateContainerInstancesStateResponse = instances::update_state;
                "DeregisterContainerInstance" write deregister_container_instance DeregisterContainerInstanceRequest DeregisterContainerInstanceResponse = instances::deregister;
                "UpdateContainerAgent" write update_container_agent UpdateContainerAgentRequest UpdateContainerAgentResponse = instances::update_agent;
                "RegisterContainerInstance" write register_container_instance RegisterContainerInstanceRequest RegisterContainerInstanceResponse = submissions::register;
                "SubmitTaskStateChange" write submit_task_state_change SubmitTaskStateChangeRequest SubmitTaskStateChangeResponse = submissions::submit_task;
                "SubmitContainerStateChange" write submit_container_state_change SubmitContainerStateChangeRequest SubmitContainerStateChangeResponse = submissions::submit_container;
                "SubmitAttachmentStateChanges" write submit_attachment_state_changes SubmitAttachmentStateChangesRequest SubmitAttachmentStateChangesResponse = submissions::submit_attachments;
                "PutAttributes" write put_attributes PutAttributesRequest PutAttributesResponse = attributes::put;
                "DeleteAttributes" write delete_attributes DeleteAttributesRequest DeleteAttributesResponse = attributes::delete;
                "ListAttributes" read list_attributes ListAttributesRequest ListAttributesResponse = attributes::list;
                "CreateCapacityProvider" write create_capacity_provider CreateCapacityProviderRequest CreateCapacityProviderResponse = capacity::create;
                "DescribeCapacityProviders" read describe_capacity_providers DescribeCapacityProvidersRequest DescribeCapacityProvidersResponse = capacity::describe;
                "UpdateCapacityProvider" write update_capacity_provider UpdateCapacityProviderRequest UpdateCapacityProviderResponse = capacity::update;
                "DeleteCapacityProvider" write delete_capacity_provider DeleteCapacityProviderRequest DeleteCapacityProviderResponse = capacity::delete;
                "TagResource" write tag_resource TagResourceRequest TagResourceResponse = tags::tag;
                "UntagResource" write untag_resource UntagResourceRequest UntagResourceResponse = tags::untag;
                "ListTagsForResource" read list_tags_for_resource ListTagsForResourceRequest ListTagsForResourceResponse = tags::list;
                "ListAccountSettings" read list_account_settings ListAccountSettingsRequest ListAccountSettingsResponse = account::list;
                "PutAccountSetting" write put_account_setting PutAccountSettingRequest PutAccountSettingResponse = account::put;
                "PutAccountSettingDefault" write put_account_setting_default PutAccountSettingDefaultRequest PutAccountSettingDefaultResponse = account::put_default;
                "DeleteAccountSetting" write delete_account_setting DeleteAccountSettingRequest DeleteAccountSettingResponse = account::delete;
            }
            unserved {
                "ContinueServiceDeployment" continue_service_deployment ContinueServiceDeploymentRequest ContinueServiceDeploymentResponse;
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
                "RegisterScalableTarget" write register_scalable_target RegisterScalableTargetRequest RegisterScalableTargetResponse = autoscaling::register;
                "DeregisterScalableTarget" write deregister_scalable_target DeregisterScalableTargetRequest DeregisterScalableTargetResponse = autoscaling::deregister;
                "DescribeScalableTargets" read describe_scalable_targets DescribeScalableTargetsRequest DescribeScalableTargetsResponse = autoscaling::describe::targets;
                "PutScalingPolicy" write put_scaling_policy PutScalingPolicyRequest PutScalingPolicyResponse = autoscaling::put_policy;
                "DeleteScalingPolicy" write delete_scaling_policy DeleteScalingPolicyRequest DeleteScalingPolicyResponse = autoscaling::delete_policy;
                "DescribeScalingPolicies" read describe_scaling_policies DescribeScalingPoliciesRequest DescribeScalingPoliciesResponse = autoscaling::describe::policies;
                "DescribeScalingActivities" read describe_scaling_activities DescribeScalingActivitiesRequest DescribeScalingActivitiesResponse = autoscaling::describe::activities;
                "ListTagsForResource" read list_tags_for_resource ListTagsForScalableTargetRequest ListTagsForScalableTargetResponse = autoscaling::describe::tags;
            }
            unserved {}
        }
    };
}

/// The API as an operation of the kind sees it.
macro_rules! as_seen {
    (read $api:expr, $name:expr, $at:expr) => {
        $api.read($at).await
    };
    (write $api:expr, $name:expr, $at:expr) => {
        $api.write($name, $at)
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

pub(super) use {as_seen, for_each_operation, for_each_scaling_operation};

/// The fault of an operation of the name that is in no list.
pub(super) fn unknown(api: &str, operation: &str) -> Fault {
    if api == SCALING && UNSCALED.contains(&operation) {
        return Fault::new(FaultClass::Validation, unserved(operation).message);
    }
    if let Some(fault) = refusal(operation).filter(|_| api == ECS) {
        return fault;
    }
    let text = format!("'{operation}' is no operation of the {api} API.");
    Fault::new(FaultClass::UnknownOperation, text)
}

/// The names of the APIs, as [`unknown`] says them.
pub(super) const ECS: &str = "ECS";
pub(super) const SCALING: &str = "Application Auto Scaling";

/// The fault of an operation whose shapes are known and that this scheduler has not.
pub(super) fn unserved(operation: &str) -> Fault {
    let text = || format!("{operation} is not supported by this scheduler.");
    refusal(operation).unwrap_or_else(|| Fault::unsupported(text()))
}
