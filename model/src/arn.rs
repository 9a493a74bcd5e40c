//! Amazon Resource Names as Berth writes and reads them: always the long format of ECS.
//!
//! Wherever a request takes a name or id it takes the ARN too; a [`Namespace`] knows which ARNs are ours.

mod resource;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};
use crate::id::{DefinitionId, DefinitionRevision, DeploymentId, InstanceId, TaskId};
use crate::name::{ClusterName, Family, PolicyName, ProviderName, ScheduleName, ServiceName, UserName};

pub use resource::Resource;

/// The region and account that every ARN of one scheduler carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    region: String,
    account: String,
}

/// What the part of a task-definition reference after the colon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionReference {
    /// The family.
    pub family: Family,
    /// The revision; the newest ACTIVE one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<DefinitionRevision>,
}

impl DefinitionReference {
    /// Whatever is the newest ACTIVE revision when it is looked up.
    #[must_use]
    pub const fn newest(family: Family) -> Self {
        Self { family, revision: None }
    }
}

impl Namespace {
    /// The namespace of a region and an account.
    ///
    /// # Errors
    /// Names the option whose value cannot stand in an ARN.
    pub fn new(region: &str, account: &str) -> Result<Self, String> {
        let region_ok = !region.is_empty()
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !region_ok {
            return Err(format!(
                "region '{region}' must be lower-case letters, digits and hyphens"
            ));
        }
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("account '{account}' must be twelve digits"));
        }
        Ok(Self {
            region: region.to_owned(),
            account: account.to_owned(),
        })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account: twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    fn write(&self, resource: fmt::Arguments<'_>) -> String {
        format!("arn:aws:ecs:{}:{}:{resource}", self.region, self.account)
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:cluster/CLUSTER`
    #[must_use]
    pub fn cluster(&self, name: &ClusterName) -> String {
        self.write(format_args!("cluster/{name}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`
    #[must_use]
    pub fn task(&self, cluster: &ClusterName, id: TaskId) -> String {
        self.write(format_args!("task/{cluster}/{id}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:container-instance/CLUSTER/ID`
    #[must_use]
    pub fn instance(&self, cluster: &ClusterName, id: InstanceId) -> String {
        self.write(format_args!("container-instance/{cluster}/{id}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:container/CLUSTER/TASK/UUID`: the UUID follows from the task and the name.
    #[must_use]
    pub fn container(&self, cluster: &ClusterName, task: TaskId, name: &str) -> String {
        self.write(format_args!("{}", container_resource(cluster.as_str(), task, name)))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION`
    #[must_use]
    pub fn definition(&self, id: &DefinitionId) -> String {
        self.write(format_args!("task-definition/{id}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/SERVICE`
    #[must_use]
    pub fn service(&self, cluster: &ClusterName, service: &ServiceName) -> String {
        self.write(format_args!("service/{cluster}/{service}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:capacity-provider/NAME`
    #[must_use]
    pub fn capacity_provider(&self, name: &ProviderName) -> String {
        self.write(format_args!("capacity-provider/{name}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:schedule/CLUSTER/SCHEDULE`: Berth's own, as ECS has no schedules.
    #[must_use]
    pub fn schedule(&self, cluster: &ClusterName, schedule: &ScheduleName) -> String {
        self.write(format_args!("schedule/{cluster}/{schedule}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:service-deployment/CLUSTER/SERVICE/ID`
    #[must_use]
    pub fn service_deployment(&self, cluster: &ClusterName, service: &ServiceName, id: &str) -> String {
        self.write(format_args!("service-deployment/{cluster}/{service}/{id}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task-set/CLUSTER/SERVICE/ecs-svc/ID`
    #[must_use]
    pub fn task_set(&self, cluster: &ClusterName, service: &ServiceName, id: DeploymentId) -> String {
        self.write(format_args!("task-set/{cluster}/{service}/{id}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:service-revision/CLUSTER/SERVICE/ID`
    #[must_use]
    pub fn service_revision(&self, cluster: &ClusterName, service: &ServiceName, id: &str) -> String {
        self.write(format_args!("service-revision/{cluster}/{service}/{id}"))
    }

    /// `arn:aws:application-autoscaling:REGION:ACCOUNT:scalable-target/ID`
    #[must_use]
    pub fn scalable_target(&self, id: u64) -> String {
        format!(
            "arn:aws:application-autoscaling:{}:{}:scalable-target/{id:016x}",
            self.region, self.account
        )
    }

    /// `arn:aws:autoscaling:REGION:ACCOUNT:scalingPolicy:ID:resource/ecs/service/CLUSTER/SERVICE:policyName/NAME`
    #[must_use]
    pub fn scaling_policy(&self, cluster: &ClusterName, service: &ServiceName, id: u64, name: &PolicyName) -> String {
        format!(
            "arn:aws:autoscaling:{}:{}:scalingPolicy:{id:016x}:resource/ecs/service/{cluster}/{service}:policyName/{name}",
            self.region, self.account
        )
    }

    /// The role that Application Auto Scaling has for ECS services: a name, as nothing is called in anybody's name.
    #[must_use]
    pub fn scaling_role(&self) -> String {
        const NAME: &str = "AWSServiceRoleForApplicationAutoScaling_ECSService";
        format!(
            "arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/{NAME}",
            self.account
        )
    }

    /// `arn:aws:iam::ACCOUNT:user/NAME`: who an access key is for.
    #[must_use]
    pub fn user(&self, name: &UserName) -> String {
        format!("arn:aws:iam::{}:user/{name}", self.account)
    }

    /// `arn:aws:iam::ACCOUNT:root`: who has the operator's own key.
    #[must_use]
    pub fn root(&self) -> String {
        format!("arn:aws:iam::{}:root", self.account)
    }

    /// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/LISTENER`
    #[must_use]
    pub fn target_group(&self, name: &str, listener: &str) -> String {
        format!(
            "arn:aws:elasticloadbalancing:{}:{}:targetgroup/{name}/{listener}",
            self.region, self.account
        )
    }

    /// The cluster that a request's `cluster` member names: a name, an ARN, or nothing for `default`.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or an ARN of another account or region.
    pub fn parse_cluster(&self, text: Option<&str>) -> Result<ClusterName, Fault> {
        let text = text.unwrap_or(ClusterName::DEFAULT);
        match self.resource("cluster", text)? {
            Some(name) => ClusterName::parse(name),
            None => ClusterName::parse(text),
        }
    }

    /// The task that the text names by id or ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or when the ARN names another cluster.
    pub fn parse_task(&self, cluster: &ClusterName, text: &str) -> Result<TaskId, Fault> {
        let id = self.in_cluster("task", "taskId", cluster, text)?;
        id.parse().map_err(|_| bad_identifier("taskId", text))
    }

    /// The container instance that the text names by id or ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or when the ARN names another cluster.
    pub fn parse_instance(&self, cluster: &ClusterName, text: &str) -> Result<InstanceId, Fault> {
        let id = self.in_cluster("container-instance", "containerInstance", cluster, text)?;
        id.parse().map_err(|_| bad_identifier("containerInstance", text))
    }

    /// The service that the text names by its name or ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or when the ARN names another cluster.
    pub fn parse_service(&self, cluster: &ClusterName, text: &str) -> Result<ServiceName, Fault> {
        ServiceName::parse(self.in_cluster("service", "service", cluster, text)?)
    }

    /// The capacity provider that the text names by its name or ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither.
    pub fn parse_provider(&self, text: &str) -> Result<ProviderName, Fault> {
        ProviderName::parse(self.resource("capacity-provider", text)?.unwrap_or(text))
    }

    /// The schedule that the text names by its name or ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or when the ARN names another cluster.
    pub fn parse_schedule(&self, cluster: &ClusterName, text: &str) -> Result<ScheduleName, Fault> {
        ScheduleName::parse(self.in_cluster("schedule", "name", cluster, text)?)
    }

    /// Cluster, service and last part of the ARN of something that belongs to a service: `kind` is `service-deployment`
    /// or `service-revision`.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is no such ARN of ours.
    pub fn parse_of_service<'t>(
        &self,
        kind: &str,
        text: &'t str,
    ) -> Result<(ClusterName, ServiceName, &'t str), Fault> {
        let invalid = || {
            Fault::invalid(format!(
                "The ARN provided is invalid. '{}' is not the ARN of a {kind}.",
                shortened(text)
            ))
        };
        let path = self.resource(kind, text)?.ok_or_else(invalid)?;
        let mut parts = path.splitn(3, '/');
        let (Some(cluster), Some(service), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid());
        };
        Ok((ClusterName::parse(cluster)?, ServiceName::parse(service)?, id))
    }

    /// The task set of the service that the member's `text` names: its id, or its ARN.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is neither, or is of another service.
    pub fn parse_task_set(
        &self,
        cluster: &ClusterName,
        service: &ServiceName,
        (member, text): (&str, &str),
    ) -> Result<DeploymentId, Fault> {
        let invalid = || {
            Fault::invalid(format!(
                "Invalid identifier: {member} '{}' must be ecs-svc/ and 19 digits, or an ARN that ends in them.",
                shortened(text)
            ))
        };
        if !text.starts_with("arn:") {
            return text.parse().map_err(|_| invalid());
        }
        let (of_cluster, of_service, id) = self.parse_of_service("task-set", text)?;
        if (&of_cluster, &of_service) != (cluster, service) {
            return Err(Fault::invalid(format!(
                "Invalid identifier: {member} '{}' is of service {of_service} in cluster {of_cluster}. Your service is {service} \
                 in cluster {cluster}.",
                shortened(text)
            )));
        }
        id.parse().map_err(|_| invalid())
    }

    /// The task definition that `family`, `family:revision` or an ARN names.
    ///
    /// # Errors
    /// `InvalidParameterException` `Invalid revision number. Number: x`, or for what is no reference at all;
    /// `ClientException` for a family that cannot be one.
    pub fn parse_definition(&self, text: &str) -> Result<DefinitionReference, Fault> {
        let name = self.resource("task-definition", text)?.unwrap_or(text);
        let (family, revision) = match name.split_once(':') {
            Some((family, revision)) => (family, Some(parse_revision(revision)?)),
            None => (name, None),
        };
        Ok(DefinitionReference {
            family: Family::parse(family)?,
            revision,
        })
    }

    /// The id in `text`, which may be the bare id, `CLUSTER/ID` or an ARN.
    fn in_cluster<'t>(&self, kind: &str, field: &str, cluster: &ClusterName, text: &'t str) -> Result<&'t str, Fault> {
        let path = self.resource(kind, text)?.unwrap_or(text);
        // A bare id has no cluster, and the ARN of before 2021 has none.
        let Some((named, id)) = path.split_once('/') else {
            return Ok(path);
        };
        if named != cluster.as_str() {
            return Err(Fault::invalid(format!(
                "Invalid identifier: {field} '{}' is for cluster {}. Your cluster is {cluster}.",
                shortened(text),
                shortened(named)
            )));
        }
        Ok(id)
    }

    /// What follows `kind/` in an ARN of ours; nothing when the text is no ARN.
    fn resource<'t>(&self, kind: &str, text: &'t str) -> Result<Option<&'t str>, Fault> {
        let Some(rest) = text.strip_prefix("arn:") else {
            return Ok(None);
        };
        let invalid = || {
            Fault::invalid(format!(
                "The ARN provided is invalid. '{}' is not the ARN of a {kind}.",
                shortened(text)
            ))
        };
        let mut parts = rest.splitn(5, ':');
        let (Some(_partition), Some("ecs"), Some(region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        if account != self.account {
            return Err(Fault::invalid(format!(
                "AccountIDs mismatch: '{}' is of account {}, this is account {}.",
                shortened(text),
                shortened(account),
                self.account
            )));
        }
        if region != self.region {
            return Err(Fault::invalid(format!(
                "Regions mismatch: '{}' is of region {}, this is region {}.",
                shortened(text),
                shortened(region),
                self.region
            )));
        }
        let name = resource
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(invalid)?;
        Ok(Some(name))
    }
}

fn parse_revision(text: &str) -> Result<DefinitionRevision, Fault> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 && !text.starts_with('+') => Ok(DefinitionRevision(number)),
        Ok(_) | Err(_) => Err(Fault::invalid(format!(
            "Invalid revision number. Number: {}",
            shortened(text)
        ))),
    }
}

fn bad_identifier(field: &str, text: &str) -> Fault {
    Fault::invalid(format!(
        "Invalid identifier: {field} '{}' must be 32 lower-case hexadecimal digits, or an ARN that ends in them.",
        shortened(text)
    ))
}

/// The last part of a container's ARN: `container/CLUSTER/TASK/UUID`.
#[must_use]
pub fn container_resource(cluster: &str, task: TaskId, name: &str) -> String {
    let bits = container_bits(task, name);
    format!(
        "container/{cluster}/{task}/{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0xffff,
        (bits >> 48) & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

/// FNV-1a over the name, started from the task's id: stable for ever, distinct within a task.
fn container_bits(task: TaskId, name: &str) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    name.bytes().fold(task.to_bits(), |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Namespace {
        Namespace::new("us-east-1", "000000000000").unwrap()
    }

    fn cluster() -> ClusterName {
        ClusterName::parse("prod").unwrap()
    }

    #[test]
    fn a_task_is_named_by_id_or_by_arn() {
        let id: TaskId = "00d6b2d3a1f04be8b4f00a1b2c3d4e5f".parse().unwrap();
        for text in [
            "00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
            "prod/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
            "arn:aws:ecs:us-east-1:000000000000:task/prod/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
            "arn:aws:ecs:us-east-1:000000000000:task/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
        ] {
            assert_eq!(ours().parse_task(&cluster(), text), Ok(id), "{text}");
        }
        assert_eq!(ours().parse_task(&cluster(), &ours().task(&cluster(), id)), Ok(id));
    }

    #[test]
    fn an_arn_of_elsewhere_is_refused_with_its_difference() {
        for (arn, says) in [
            (
                "arn:aws:ecs:us-east-1:999999999999:task/prod/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
                "AccountIDs mismatch",
            ),
            (
                "arn:aws:ecs:eu-west-1:000000000000:task/prod/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
                "Regions mismatch",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:task/test/00d6b2d3a1f04be8b4f00a1b2c3d4e5f",
                "is for cluster test",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:service/prod/x",
                "is not the ARN of a task",
            ),
            ("test/00d6b2d3a1f04be8b4f00a1b2c3d4e5f", "is for cluster test"),
            ("arn:aws:s3:::bucket", "is not the ARN of a task"),
            ("arn:", "is not the ARN of a task"),
            ("nonsense", "32 lower-case hexadecimal digits"),
        ] {
            let fault = ours().parse_task(&cluster(), arn).unwrap_err();
            assert!(fault.message.contains(says), "{arn}: {fault}");
        }
    }

    #[test]
    fn a_service_and_what_belongs_to_it_are_named_by_their_arns() {
        let web = ServiceName::parse("web").unwrap();
        for text in [
            "web",
            "arn:aws:ecs:us-east-1:000000000000:service/web",
            &ours().service(&cluster(), &web),
        ] {
            assert_eq!(ours().parse_service(&cluster(), text), Ok(web.clone()), "{text}");
        }
        let arn = ours().service_deployment(&cluster(), &web, "abc");
        assert_eq!(
            ours().parse_of_service("service-deployment", &arn),
            Ok((cluster(), web, "abc"))
        );
        for bad in [
            "abc",
            "arn:aws:ecs:us-east-1:000000000000:service-deployment/prod/web",
            arn.trim_start_matches("arn:"),
        ] {
            let fault = ours().parse_of_service("service-deployment", bad).unwrap_err();
            assert!(
                fault.message.contains("is not the ARN of a service-deployment"),
                "{bad}: {fault}"
            );
        }
        assert!(ours().parse_service(&cluster(), "a b").is_err());
    }

    #[test]
    fn a_definition_is_named_by_family_revision_or_arn() {
        let parse = |text| {
            ours()
                .parse_definition(text)
                .map(|r| (r.family.to_string(), r.revision.map(|r| r.0)))
        };
        assert_eq!(parse("web"), Ok(("web".into(), None)));
        assert_eq!(parse("web:3"), Ok(("web".into(), Some(3))));
        assert_eq!(
            parse("arn:aws:ecs:us-east-1:000000000000:task-definition/web:3"),
            Ok(("web".into(), Some(3)))
        );
        for bad in ["web:foo", "web:0", "web:-1", "web:+1", "web:"] {
            let fault = parse(bad).unwrap_err();
            assert!(
                fault.message.starts_with("Invalid revision number. Number: "),
                "{bad}: {fault}"
            );
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn containers_of_a_task_have_distinct_stable_arns() {
        let task = TaskId::from_bits(7);
        let a = ours().container(&cluster(), task, "a");
        assert_eq!(a, ours().container(&cluster(), task, "a"));
        assert_ne!(a, ours().container(&cluster(), task, "b"));
    }
}
