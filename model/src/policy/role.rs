//! Policies that are ready: what those who look, those who operate and those who administer may do, everywhere or in some
//! clusters.

use super::document::{Entries, OneOrMany, Text};
use super::{Effect, Policy, Statement, VERSION};
use crate::name::ClusterName;

/// What somebody is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To see what there is, and what happens.
    Read,
    /// To run things as well: services, tasks, schedules, task definitions, scaling, and draining hosts.
    Operate,
    /// Everything; who calls, who joins and what is kept included.
    Admin,
}

/// Actions that change nothing and show nothing that is secret.
const READ: [&str; 11] = [
    "ecs:Describe*",
    "ecs:Get*",
    "ecs:List*",
    "application-autoscaling:Describe*",
    "application-autoscaling:List*",
    "berth:Describe*",
    "berth:GetMetrics",
    "berth:History",
    "berth:ListSchedules",
    "berth:Plan",
    "berth:Watch",
];
/// Those by which things are run.
const OPERATE: [&str; 30] = [
    "ecs:CreateService",
    "ecs:UpdateService",
    "ecs:DeleteService",
    "ecs:UpdateServicePrimaryTaskSet",
    "ecs:CreateTaskSet",
    "ecs:UpdateTaskSet",
    "ecs:DeleteTaskSet",
    "ecs:StopServiceDeployment",
    "ecs:ContinueServiceDeployment",
    "ecs:RunTask",
    "ecs:StartTask",
    "ecs:StopTask",
    "ecs:ExecuteCommand",
    "ecs:UpdateTaskProtection",
    "ecs:UpdateContainerInstancesState",
    "ecs:RegisterTaskDefinition",
    "ecs:DeregisterTaskDefinition",
    "ecs:TagResource",
    "ecs:UntagResource",
    "ecs:PutAttributes",
    "ecs:DeleteAttributes",
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:PutScalingPolicy",
    "application-autoscaling:DeleteScalingPolicy",
    "berth:CreateSchedule",
    "berth:UpdateSchedule",
    "berth:DeleteSchedule",
    "berth:RunSchedule",
    "ecs:UpdateContainerAgent",
];
/// What belongs to no cluster, and whoever works in one needs: task definitions, and which clusters there are.
const LOOK_OUTSIDE: [&str; 4] = [
    "ecs:ListClusters",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitions",
    "ecs:ListTaskDefinitionFamilies",
];
const CHANGE_DEFINITIONS: [&str; 2] = ["ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"];

impl Role {
    fn actions(self) -> Vec<&'static str> {
        match self {
            Self::Read => READ.to_vec(),
            Self::Operate => [&READ[..], &OPERATE[..]].concat(),
            Self::Admin => vec!["*"],
        }
    }

    fn outside(self) -> Vec<&'static str> {
        match self {
            Self::Read => LOOK_OUTSIDE.to_vec(),
            Self::Operate | Self::Admin => [&LOOK_OUTSIDE[..], &CHANGE_DEFINITIONS[..]].concat(),
        }
    }
}

impl Policy {
    /// What the role may do; in these clusters alone where any is named.
    #[must_use]
    pub fn of_role(role: Role, clusters: &[ClusterName]) -> Self {
        let actions = role.actions();
        if clusters.is_empty() {
            return Self::allowing(vec![allow("Everywhere", actions, many(["*"]), None)]);
        }
        let arns: Vec<String> = clusters
            .iter()
            .map(|name| format!("arn:aws:ecs:*:*:cluster/{name}"))
            .collect();
        // What is in a cluster has its name behind the kind: task/prod/..., service/prod/...
        let inside = clusters.iter().map(|name| format!("arn:aws:ecs:*:*:*/{name}/*"));
        let resources: Vec<String> = arns.iter().cloned().chain(inside).collect();
        let names = arns.into_iter().map(Text).collect();
        let of_clusters = Entries(vec![("ecs:cluster".to_owned(), OneOrMany::Many(names))]);
        let condition = Entries(vec![("ArnLike".to_owned(), of_clusters)]);
        Self::allowing(vec![
            // Operations that name a cluster, whatever else they are about.
            allow("InClusters", actions.clone(), many(["*"]), Some(condition)),
            // Those that name something in one by its ARN.
            allow("OfClusters", actions, OneOrMany::Many(resources), None),
            allow("OutsideOfClusters", role.outside(), many(["*"]), None),
        ])
    }

    fn allowing(statements: Vec<Statement>) -> Self {
        Self {
            version: Some(VERSION.to_owned()),
            id: None,
            statement: OneOrMany::Many(statements),
        }
    }
}

fn many<'a>(texts: impl IntoIterator<Item = &'a str>) -> OneOrMany<String> {
    OneOrMany::Many(texts.into_iter().map(str::to_owned).collect())
}

fn allow(
    sid: &str,
    actions: Vec<&str>,
    resource: OneOrMany<String>,
    condition: Option<Entries<Entries<OneOrMany<Text>>>>,
) -> Statement {
    Statement {
        sid: Some(sid.to_owned()),
        effect: Effect::Allow,
        action: Some(many(actions)),
        not_action: None,
        resource: Some(resource),
        not_resource: None,
        condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Access, Context, Verdict};

    fn allows(policy: &Policy, action: &str, resource: &str, cluster: Option<&str>) -> bool {
        let mut context = Context::default();
        if let Some(cluster) = cluster {
            context.add(
                "ecs:cluster",
                format!("arn:aws:ecs:us-east-1:000000000000:cluster/{cluster}"),
            );
        }
        let access = Access {
            action,
            resource,
            context: &context,
        };
        policy.judge(&access) == Verdict::Allowed
    }

    fn arn(rest: &str) -> String {
        format!("arn:aws:ecs:us-east-1:000000000000:{rest}")
    }

    #[test]
    fn each_role_may_what_the_one_before_may_and_more() {
        let [read, operate, admin] = [Role::Read, Role::Operate, Role::Admin].map(|role| Policy::of_role(role, &[]));
        let web = arn("service/prod/web");
        for (action, least) in [
            ("ecs:DescribeServices", 0),
            ("ecs:ListTasks", 0),
            ("berth:Watch", 0),
            ("berth:GetMetrics", 0),
            ("ecs:UpdateService", 1),
            ("ecs:RunTask", 1),
            ("berth:CreateSchedule", 1),
            ("ecs:DeleteCluster", 2),
            ("ecs:DeregisterContainerInstance", 2),
            ("berth:CreateAccessKey", 2),
            ("berth:ListAccessKeys", 2),
            ("berth:CreateJoinToken", 2),
            ("berth:ReadJournal", 2),
        ] {
            let allowed = [&read, &operate, &admin].map(|policy| allows(policy, action, &web, Some("prod")));
            assert_eq!(allowed, [least == 0, least <= 1, true], "{action}");
        }
    }

    #[test]
    fn a_role_in_a_cluster_ends_at_its_border() {
        let prod = [ClusterName::parse("prod").unwrap()];
        let operate = Policy::of_role(Role::Operate, &prod);
        assert!(allows(
            &operate,
            "ecs:RunTask",
            &arn("task-definition/web:1"),
            Some("prod")
        ));
        assert!(!allows(
            &operate,
            "ecs:RunTask",
            &arn("task-definition/web:1"),
            Some("test")
        ));
        assert!(allows(&operate, "ecs:DescribeClusters", &arn("cluster/prod"), None));
        assert!(!allows(&operate, "ecs:DescribeClusters", &arn("cluster/prod2"), None));
        assert!(allows(
            &operate,
            "application-autoscaling:PutScalingPolicy",
            &arn("service/prod/web"),
            None
        ));
        assert!(!allows(
            &operate,
            "application-autoscaling:PutScalingPolicy",
            &arn("service/prod2/web"),
            None
        ));
        assert!(allows(
            &operate,
            "ecs:RegisterTaskDefinition",
            &arn("task-definition/web:*"),
            None
        ));
        let admin = Policy::of_role(Role::Admin, &prod);
        assert!(allows(
            &admin,
            "berth:CreateJoinToken",
            &arn("cluster/prod"),
            Some("prod")
        ));
        assert!(!allows(
            &admin,
            "berth:CreateJoinToken",
            &arn("cluster/test"),
            Some("test")
        ));
        for action in ["berth:CreateAccessKey", "berth:CreateCertificate"] {
            assert!(
                !allows(&admin, action, "arn:aws:iam::000000000000:user/ops", None),
                "{action}"
            );
        }
        for action in ["berth:ReadJournal", "berth:GetMetrics"] {
            assert!(!allows(&admin, action, "*", None), "{action}");
        }
        assert!(!allows(
            &Policy::of_role(Role::Read, &prod),
            "ecs:RegisterTaskDefinition",
            "*",
            None
        ));
    }
}
