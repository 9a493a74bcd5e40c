//! What each operation is about: its action, the cluster that it names and its resources, as the Service Authorization
//! Reference has them for ECS. Where that knows no resource and the request names one, it is the request's.

use super::super::operations::{for_each_operation, for_each_scaling_operation};

/// What one operation is about. Places are JSON pointers into its request.
#[derive(Debug)]
pub(super) struct Rule {
    /// `ecs:RunTask`
    pub(super) action: &'static str,
    /// Where the cluster is named that it happens in; nothing where it happens in none.
    pub(super) cluster: Option<&'static str>,
    /// What it is about.
    pub(super) subject: Subject,
}

/// Where a request names what it is about, one or several.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    /// Nowhere: it is about everything.
    Nothing,
    /// Clusters; the default one where none is named.
    Clusters(&'static str),
    /// Clusters; all where none is named.
    AllClusters(&'static str),
    /// Families of task definitions, all revisions.
    Families(&'static str),
    /// Task definitions.
    Definitions(&'static str),
    /// Tasks of the cluster.
    Tasks(&'static str),
    /// Tasks of the cluster, and all of them where services are named in the second place.
    TasksOrAll(&'static str, &'static str),
    /// Container instances of the cluster.
    Instances(&'static str),
    /// Container instances that attributes are of.
    AttributeTargets,
    /// Services of the cluster.
    Services(&'static str),
    /// What belongs to services, by ARN: the kind, and where.
    OfServices(&'static str, &'static str),
    /// Schedules of the cluster.
    Schedules(&'static str),
    /// Capacity providers.
    CapacityProviders(&'static str),
    /// Services as Application Auto Scaling names them.
    Scaled(&'static str),
    /// Anything, by ARN.
    Arns(&'static str),
    /// Who access keys are for.
    Users(&'static str),
    /// Access keys, by id: about who they are for.
    AccessKeys(&'static str),
}

const CLUSTER: Option<&str> = Some("/cluster");

const fn rule(action: &'static str, cluster: Option<&'static str>, subject: Subject) -> Rule {
    Rule {
        action,
        cluster,
        subject,
    }
}

use Subject::{
    AccessKeys, AllClusters, Arns, AttributeTargets, CapacityProviders, Clusters, Definitions, Families, Instances,
    Nothing, OfServices, Scaled, Schedules, Services, Tasks, TasksOrAll, Users,
};

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("ecs:CreateCluster", None, Clusters("/clusterName")),
    rule("ecs:DescribeClusters", None, Clusters("/clusters")),
    rule("ecs:ListClusters", None, Nothing),
    rule("ecs:DeleteCluster", CLUSTER, Clusters("/cluster")),
    rule("ecs:UpdateCluster", CLUSTER, Clusters("/cluster")),
    rule("ecs:UpdateClusterSettings", CLUSTER, Clusters("/cluster")),
    rule("ecs:PutClusterCapacityProviders", CLUSTER, Clusters("/cluster")),
    rule("ecs:RegisterTaskDefinition", None, Families("/family")),
    rule("ecs:DescribeTaskDefinition", None, Definitions("/taskDefinition")),
    rule("ecs:DeregisterTaskDefinition", None, Definitions("/taskDefinition")),
    rule("ecs:DeleteTaskDefinitions", None, Definitions("/taskDefinitions")),
    rule("ecs:ListTaskDefinitions", None, Nothing),
    rule("ecs:ListTaskDefinitionFamilies", None, Nothing),
    rule("ecs:RunTask", CLUSTER, Definitions("/taskDefinition")),
    rule("ecs:StartTask", CLUSTER, Definitions("/taskDefinition")),
    rule("ecs:StopTask", CLUSTER, Tasks("/task")),
    rule("ecs:DescribeTasks", CLUSTER, Tasks("/tasks")),
    rule("ecs:ListTasks", CLUSTER, Instances("/containerInstance")),
    rule("ecs:UpdateTaskProtection", CLUSTER, Tasks("/tasks")),
    rule("ecs:GetTaskProtection", CLUSTER, Tasks("/tasks")),
    rule("ecs:ExecuteCommand", CLUSTER, Tasks("/task")),
    rule("ecs:CreateService", CLUSTER, Services("/serviceName")),
    rule("ecs:UpdateService", CLUSTER, Services("/service")),
    rule("ecs:DeleteService", CLUSTER, Services("/service")),
    rule("ecs:DescribeServices", CLUSTER, Services("/services")),
    rule("ecs:ListServices", CLUSTER, Nothing),
    rule("ecs:ListServicesByNamespace", None, Nothing),
    rule("ecs:ListServiceDeployments", CLUSTER, Services("/service")),
    rule("ecs:DescribeServiceDeployments", None, OfServices("service-deployment", "/serviceDeploymentArns")),
    rule("ecs:DescribeServiceRevisions", None, OfServices("service-revision", "/serviceRevisionArns")),
    rule("ecs:StopServiceDeployment", None, OfServices("service-deployment", "/serviceDeploymentArn")),
    rule("ecs:ContinueServiceDeployment", None, OfServices("service-deployment", "/serviceDeploymentArn")),
    rule("ecs:CreateTaskSet", CLUSTER, Services("/service")),
    rule("ecs:DescribeTaskSets", CLUSTER, Services("/service")),
    rule("ecs:UpdateTaskSet", CLUSTER, Services("/service")),
    rule("ecs:DeleteTaskSet", CLUSTER, Services("/service")),
    rule("ecs:UpdateServicePrimaryTaskSet", CLUSTER, Services("/service")),
    rule("ecs:ListContainerInstances", CLUSTER, Clusters("/cluster")),
    rule("ecs:DescribeContainerInstances", CLUSTER, Instances("/containerInstances")),
    rule("ecs:UpdateContainerInstancesState", CLUSTER, Instances("/containerInstances")),
    rule("ecs:DeregisterContainerInstance", CLUSTER, Clusters("/cluster")),
    rule("ecs:RegisterContainerInstance", CLUSTER, Clusters("/cluster")),
    rule("ecs:SubmitTaskStateChange", CLUSTER, Clusters("/cluster")),
    rule("ecs:SubmitContainerStateChange", CLUSTER, Clusters("/cluster")),
    rule("ecs:SubmitAttachmentStateChanges", CLUSTER, Clusters("/cluster")),
    rule("ecs:UpdateContainerAgent", CLUSTER, Instances("/containerInstance")),
    rule("ecs:PutAttributes", CLUSTER, AttributeTargets),
    rule("ecs:DeleteAttributes", CLUSTER, AttributeTargets),
    rule("ecs:ListAttributes", CLUSTER, Clusters("/cluster")),
    rule("ecs:CreateCapacityProvider", None, CapacityProviders("/name")),
    rule("ecs:DescribeCapacityProviders", None, CapacityProviders("/capacityProviders")),
    rule("ecs:UpdateCapacityProvider", None, CapacityProviders("/name")),
    rule("ecs:DeleteCapacityProvider", None, CapacityProviders("/capacityProvider")),
    rule("ecs:ListAccountSettings", None, Nothing),
    rule("ecs:PutAccountSetting", None, Nothing),
    rule("ecs:PutAccountSettingDefault", None, Nothing),
    rule("ecs:DeleteAccountSetting", None, Nothing),
    rule("ecs:TagResource", None, Arns("/resourceArn")),
    rule("ecs:UntagResource", None, Arns("/resourceArn")),
    rule("ecs:ListTagsForResource", None, Arns("/resourceArn")),
    rule("application-autoscaling:RegisterScalableTarget", None, Scaled("/ResourceId")),
    rule("application-autoscaling:DeregisterScalableTarget", None, Scaled("/ResourceId")),
    rule("application-autoscaling:DescribeScalableTargets", None, Scaled("/ResourceIds")),
    rule("application-autoscaling:PutScalingPolicy", None, Scaled("/ResourceId")),
    rule("application-autoscaling:DeleteScalingPolicy", None, Scaled("/ResourceId")),
    rule("application-autoscaling:DescribeScalingPolicies", None, Scaled("/ResourceId")),
    rule("application-autoscaling:DescribeScalingActivities", None, Scaled("/ResourceId")),
    rule("application-autoscaling:ListTagsForResource", None, Arns("/ResourceARN")),
    rule("berth:DescribeUsage", CLUSTER, Clusters("/cluster")),
    rule("berth:Plan", Some("/runTask/cluster"), Definitions("/runTask/taskDefinition")),
    rule("berth:DescribeTargets", CLUSTER, Services("/service")),
    rule("berth:DescribeServiceScaling", CLUSTER, Services("/service")),
    rule("berth:Watch", None, AllClusters("/cluster")),
    rule("berth:History", CLUSTER, Clusters("/cluster")),
    rule("berth:CreateSchedule", CLUSTER, Schedules("/name")),
    rule("berth:UpdateSchedule", CLUSTER, Schedules("/name")),
    rule("berth:DeleteSchedule", CLUSTER, Schedules("/name")),
    rule("berth:DescribeSchedule", CLUSTER, Schedules("/name")),
    rule("berth:ListSchedules", CLUSTER, Nothing),
    rule("berth:RunSchedule", CLUSTER, Schedules("/name")),
    rule("berth:CreateAccessKey", None, Users("/userName")),
    rule("berth:ListAccessKeys", None, Users("/userName")),
    rule("berth:GetAccessKey", None, AccessKeys("/accessKeyId")),
    rule("berth:UpdateAccessKey", None, AccessKeys("/accessKeyId")),
    rule("berth:DeleteAccessKey", None, AccessKeys("/accessKeyId")),
    rule("berth:RotateAccessKey", None, AccessKeys("/accessKeyId")),
    rule("berth:GetSessionToken", None, AccessKeys("/accessKeyId")),
    rule("berth:Logs", CLUSTER, TasksOrAll("/tasks", "/services")),
    rule("berth:ReadJournal", None, Nothing),
    rule("berth:GetMetrics", None, Nothing),
    rule("berth:CreateJoinToken", CLUSTER, Clusters("/cluster")),
    rule("berth:ListJoinTokens", CLUSTER, Clusters("/cluster")),
    rule("berth:RevokeJoinToken", CLUSTER, Clusters("/cluster")),
    rule("berth:ListMembers", CLUSTER, Clusters("/cluster")),
    rule("berth:RemoveMember", CLUSTER, Clusters("/cluster")),
    rule("berth:DescribeAuthorities", None, Nothing),
    rule("berth:CreateCertificate", None, AccessKeys("/accessKeyId")),
];

/// The rule of an action.
pub(super) fn find(action: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.action == action)
}

/// All actions that there are: what policies can name.
pub(in super::super) fn actions() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.action).collect()
}

macro_rules! names_of {
    (
        served { $($name:literal $kind:ident $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        &[$(($name, stringify!($kind)),)+ $(($no_name, "unserved"),)*]
    };
}

/// The operations of ECS and of Application Auto Scaling, with whether they write.
const ECS: &[(&str, &str)] = for_each_operation!(names_of);
const SCALING: &[(&str, &str)] = for_each_scaling_operation!(names_of);
/// Those of the others that only read.
const READS: [&str; 17] = [
    "DescribeUsage",
    "Plan",
    "DescribeTargets",
    "DescribeServiceScaling",
    "Watch",
    "History",
    "DescribeSchedule",
    "ListSchedules",
    "ListAccessKeys",
    "GetAccessKey",
    "GetSessionToken",
    "ReadJournal",
    "GetMetrics",
    "Logs",
    "ListJoinTokens",
    "ListMembers",
    "DescribeAuthorities",
];

/// Whether the operation may change something; what nobody knows may.
pub(in super::super) fn is_write(operation: &str) -> bool {
    let is_read = |(name, kind): &(&str, &str)| *name == operation && *kind == "read";
    !ECS.iter().chain(SCALING).any(is_read) && !READS.contains(&operation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The methods of the services in a `.proto` file of what Berth adds.
    fn methods(file: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto/berth/v1");
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
        lines.map(|line| line.split('(').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_operation_has_one_rule_and_every_rule_an_operation() {
        let of = |service: &str, names: &[(&str, &str)]| -> Vec<String> {
            names.iter().map(|(name, _)| format!("{service}:{name}")).collect()
        };
        let mut operations = of("ecs", ECS);
        operations.extend(of("application-autoscaling", SCALING));
        for file in ["berth.proto", "schedules.proto", "access_keys.proto", "trust.proto"] {
            operations.extend(methods(file).iter().map(|name| format!("berth:{name}")));
        }
        // The first is judged as ECS's operation of the name, and the second is entered by a token that the first gave.
        let sessions = methods("sessions.proto");
        assert_eq!(sessions, ["ExecuteCommand", "Attach", "Logs"]);
        operations.push("berth:Logs".to_owned());
        operations.push("berth:ReadJournal".to_owned());
        operations.push("berth:GetMetrics".to_owned());
        operations.sort();
        let mut rules: Vec<String> = actions().into_iter().map(str::to_owned).collect();
        rules.sort();
        assert_eq!(rules, operations);
    }

    #[test]
    fn what_reads_is_known_by_its_name() {
        let named: BTreeSet<&str> = actions()
            .iter()
            .map(|action| action.split_once(':').unwrap().1)
            .collect();
        let served = |name: &str| !ECS.contains(&(name, "unserved"));
        for name in named.into_iter().filter(|name| served(name)) {
            let reads = ["Describe", "List", "Get"].iter().any(|verb| name.starts_with(verb));
            let reads = reads || ["Plan", "Watch", "History", "ReadJournal", "Logs"].contains(&name);
            assert_eq!(is_write(name), !reads, "{name}");
        }
        assert!(is_write("RunTask") && is_write("Unknown") && !is_write("ListTasks"));
    }
}
