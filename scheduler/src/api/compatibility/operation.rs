//! The operations of ECS, by subject.

use std::collections::BTreeSet;

use super::table;
use crate::api::operations::for_each_operation;
use crate::api::refused::REFUSED;

/// All operations of the public model of ECS (2014-11-13, as of 2026).
const SUBJECTS: [(&str, &[&str]); 10] = [
    (
        "Clusters",
        &[
            "CreateCluster",
            "DescribeClusters",
            "ListClusters",
            "DeleteCluster",
            "UpdateCluster",
            "UpdateClusterSettings",
            "PutClusterCapacityProviders",
        ],
    ),
    (
        "Task definitions",
        &[
            "RegisterTaskDefinition",
            "DescribeTaskDefinition",
            "DeregisterTaskDefinition",
            "DeleteTaskDefinitions",
            "ListTaskDefinitions",
            "ListTaskDefinitionFamilies",
        ],
    ),
    (
        "Tasks",
        &[
            "RunTask",
            "StartTask",
            "StopTask",
            "DescribeTasks",
            "ListTasks",
            "GetTaskProtection",
            "UpdateTaskProtection",
            "ExecuteCommand",
        ],
    ),
    (
        "Services",
        &[
            "CreateService",
            "UpdateService",
            "DeleteService",
            "DescribeServices",
            "ListServices",
            "ListServicesByNamespace",
            "ListServiceDeployments",
            "DescribeServiceDeployments",
            "StopServiceDeployment",
            "ContinueServiceDeployment",
            "DescribeServiceRevisions",
        ],
    ),
    (
        "Container instances and attributes",
        &[
            "ListContainerInstances",
            "DescribeContainerInstances",
            "UpdateContainerInstancesState",
            "DeregisterContainerInstance",
            "PutAttributes",
            "DeleteAttributes",
            "ListAttributes",
            "UpdateContainerAgent",
            "RegisterContainerInstance",
            "DiscoverPollEndpoint",
            "SubmitTaskStateChange",
            "SubmitContainerStateChange",
            "SubmitAttachmentStateChanges",
        ],
    ),
    (
        "Capacity providers",
        &[
            "DescribeCapacityProviders",
            "CreateCapacityProvider",
            "UpdateCapacityProvider",
            "DeleteCapacityProvider",
        ],
    ),
    (
        "Task sets",
        &[
            "CreateTaskSet",
            "DescribeTaskSets",
            "UpdateTaskSet",
            "DeleteTaskSet",
            "UpdateServicePrimaryTaskSet",
        ],
    ),
    (
        "Tags and account settings",
        &[
            "TagResource",
            "UntagResource",
            "ListTagsForResource",
            "ListAccountSettings",
            "PutAccountSetting",
            "PutAccountSettingDefault",
            "DeleteAccountSetting",
        ],
    ),
    (
        "Managed daemons",
        &[
            "CreateDaemon",
            "UpdateDaemon",
            "DeleteDaemon",
            "DescribeDaemon",
            "ListDaemons",
            "RegisterDaemonTaskDefinition",
            "DeleteDaemonTaskDefinition",
            "DescribeDaemonTaskDefinition",
            "ListDaemonTaskDefinitions",
            "DescribeDaemonDeployments",
            "ListDaemonDeployments",
            "DescribeDaemonRevisions",
        ],
    ),
    (
        "Gateways of AWS",
        &[
            "CreateExpressGatewayService",
            "UpdateExpressGatewayService",
            "DeleteExpressGatewayService",
            "DescribeExpressGatewayService",
            "CreateGateway",
            "UpdateGateway",
            "DeleteGateway",
            "DescribeGateway",
            "ListGateways",
            "DescribeGatewayResources",
            "DescribeGatewayRoute",
            "ListGatewayRoutes",
            "AssociateGatewayWithCluster",
            "DisassociateGatewayFromCluster",
            "ListGatewayClusterAssociations",
        ],
    ),
];

/// How some that are served are not as in ECS.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "CreateCluster",
        "`configuration` holds `executeCommandConfiguration` with `logging` and, for `OVERRIDE`, a `cloudWatchLogGroupName`: \
         hosts log what commands write under that name. Nothing else of `configuration` is there",
    ),
    ("UpdateCluster", "as CreateCluster"),
    (
        "UpdateClusterSettings",
        "`containerInsights` is kept and told: usage is measured in any case",
    ),
    (
        "RegisterTaskDefinition",
        "what a host cannot do is refused when tasks are placed; see the members below",
    ),
    (
        "RunTask",
        "with the tag `berth:queue` tasks wait for room (`docs/placement.md`); FARGATE and \
         FARGATE_SPOT are any host that names no other provider (`docs/capacity-providers.md`); no `volumeConfigurations`",
    ),
    (
        "DescribeTasks",
        "`attachments` have an id of an interface that is made up (`docs/networking.md`)",
    ),
    (
        "DescribeContainerInstances",
        "`ec2InstanceId` of a host elsewhere than on EC2 is `mi-` and digits of its container instance's id",
    ),
    (
        "StartTask",
        "`containerInstanceVersions` says what the caller has seen; no `volumeConfigurations`",
    ),
    (
        "CreateService",
        "`loadBalancers` are gateways (`docs/load-balancing.md`); no `serviceRegistries`, Service Connect, VPC Lattice, \
         volumes, lifecycle hooks, alarms, `role`, or deployment controller `CODE_DEPLOY`",
    ),
    ("UpdateService", "as CreateService"),
    (
        "ExecuteCommand",
        "the session-manager-plugin enters the session on the scheduler's own port; the command is run as the container's user \
         (`docs/exec.md`)",
    ),
    (
        "RegisterContainerInstance",
        "for agents that tell by calls what their tasks do (`docs/agents-by-calls.md`); the signature of the document is not checked",
    ),
    (
        "SubmitTaskStateChange",
        "of tasks on instances that were registered by a call",
    ),
    ("SubmitContainerStateChange", "as SubmitTaskStateChange"),
    (
        "SubmitAttachmentStateChanges",
        "acknowledged; an attachment is as its task is",
    ),
    (
        "CreateTaskSet",
        "no `serviceRegistries`; task sets with the same target group share its traffic by their tasks (`docs/services.md`)",
    ),
    (
        "ListServicesByNamespace",
        "a namespace is `CLUSTER.berth`, in which gateways answer DNS for the cluster's services",
    ),
    (
        "StopServiceDeployment",
        "`stopType` `ROLLBACK` only, as ECS's own text says",
    ),
    (
        "DeregisterContainerInstance",
        "by force its tasks are over at once; an agent that comes back stops what it still runs",
    ),
    (
        "PutAttributes",
        "an operator's value wins over the agent's configuration until it is deleted",
    ),
    (
        "DeleteAttributes",
        "what the agent's configuration sets is removed there; it is refused here",
    ),
    (
        "UpdateContainerAgent",
        "`NoUpdateAvailableException`: an agent is updated with its host's package",
    ),
    (
        "CreateCapacityProvider",
        "`autoScalingGroupProvider` of any name, whose instances say that they are of it (`docs/capacity-providers.md`); no \
         `managedInstancesProvider`",
    ),
    (
        "TagResource",
        "tags that begin with `berth:` change how services are treated (`docs/services.md`)",
    ),
    (
        "ListAccountSettings",
        "`containerInsights`, `awsvpcTrunking` and `fargateTaskRetirementWaitPeriod` can be set, the others have one value",
    ),
];

macro_rules! names {
    (
        served { $($name:literal $kind:ident $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        /// Those that are served.
        const SERVED: &[&str] = &[$($name),+];
        /// Those with shapes that are refused.
        const UNSERVED: &[&str] = &[$($no_name),*];
    };
}

for_each_operation!(names);

pub(super) fn section() -> String {
    let mut text = format!(
        "## Operations\n\nOf {} operations {} are there.\n",
        SUBJECTS.iter().map(|(_, names)| names.len()).sum::<usize>(),
        SERVED.len()
    );
    for (subject, names) in SUBJECTS {
        let rows = names.iter().map(|name| row(name));
        text += &format!("\n### {subject}\n\n{}", table(["operation", "there", "notes"], rows));
    }
    text
}

fn row(name: &str) -> [String; 3] {
    let mut differences = DIFFERENCES.iter();
    let difference = differences.find(|(of, _)| *of == name);
    let mut refused = REFUSED.iter();
    let (there, notes) = match (refused.find(|(of, ..)| *of == name), difference) {
        (Some((_, class, why)), _) => ("no", format!("`{class}`: {why}")),
        (None, Some((_, difference))) => ("differs", (*difference).to_owned()),
        (None, None) => ("yes", String::new()),
    };
    [format!("`{name}`"), there.to_owned(), notes]
}

#[test]
fn every_operation_of_ecs_is_served_or_refused_with_a_reason() {
    let all: Vec<&str> = SUBJECTS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    assert_eq!(all.len(), 88);
    let known: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(known.len(), all.len(), "an operation is listed twice");
    let served: BTreeSet<&str> = SERVED.iter().copied().collect();
    let refused: BTreeSet<&str> = REFUSED.iter().map(|(name, ..)| *name).collect();
    let both: Vec<_> = served.intersection(&refused).collect();
    assert!(both.is_empty(), "served and refused: {both:?}");
    let answered: BTreeSet<&str> = served.union(&refused).copied().collect();
    assert_eq!(answered, known);
    let unreasoned: Vec<_> = UNSERVED.iter().filter(|name| !refused.contains(*name)).collect();
    assert!(unreasoned.is_empty(), "refused without a reason: {unreasoned:?}");
    let unknown: Vec<_> = DIFFERENCES.iter().filter(|(name, _)| !served.contains(name)).collect();
    assert!(unknown.is_empty(), "not served, and said to differ: {unknown:?}");
}
