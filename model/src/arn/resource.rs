//! The ARN of anything that can have tags (ECS API, TagResource).

use super::{DefinitionReference, Namespace};
use crate::fault::{Fault, shortened};
use crate::id::{DeploymentId, InstanceId, TaskId};
use crate::name::{ClusterName, ProviderName, ServiceName};

/// What an ARN names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A cluster.
    Cluster(ClusterName),
    /// A service of a cluster.
    Service(ClusterName, ServiceName),
    /// A task of a cluster.
    Task(ClusterName, TaskId),
    /// A container instance of a cluster.
    Instance(ClusterName, InstanceId),
    /// A task definition.
    Definition(DefinitionReference),
    /// A capacity provider.
    Provider(ProviderName),
    /// A task set of a service of a cluster.
    TaskSet(ClusterName, ServiceName, DeploymentId),
}

impl Resource {
    /// What it is, in words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "a cluster",
            Self::Service(..) => "a service",
            Self::Task(..) => "a task",
            Self::Instance(..) => "a container instance",
            Self::Definition(_) => "a task definition",
            Self::Provider(_) => "a capacity provider",
            Self::TaskSet(..) => "a task set",
        }
    }
}

impl Namespace {
    /// What the ARN names, in the long format of ECS.
    ///
    /// # Errors
    /// `InvalidParameterException` `The ARN provided is invalid.`, or for one of another account or region.
    pub fn parse_resource(&self, arn: &str) -> Result<Resource, Fault> {
        let invalid = || {
            Fault::invalid(format!(
                "The ARN provided is invalid. '{}' is not the ARN of a cluster, service, task set, task, container \
                 instance, task definition or capacity provider.",
                shortened(arn)
            ))
        };
        let resource = arn.splitn(6, ':').nth(5);
        let kind = resource
            .and_then(|resource| resource.split_once('/'))
            .ok_or_else(invalid)?
            .0;
        let in_cluster = || {
            let path = self.resource(kind, arn)?.ok_or_else(invalid)?;
            let (cluster, _) = path.split_once('/').ok_or_else(invalid)?;
            ClusterName::parse(cluster)
        };
        match kind {
            "cluster" => self.parse_cluster(Some(arn)).map(Resource::Cluster),
            "service" => {
                let cluster = in_cluster()?;
                let service = self.parse_service(&cluster, arn)?;
                Ok(Resource::Service(cluster, service))
            }
            "task" => {
                let cluster = in_cluster()?;
                let task = self.parse_task(&cluster, arn)?;
                Ok(Resource::Task(cluster, task))
            }
            "container-instance" => {
                let cluster = in_cluster()?;
                let instance = self.parse_instance(&cluster, arn)?;
                Ok(Resource::Instance(cluster, instance))
            }
            "task-set" => {
                let (cluster, service, _) = self.parse_of_service(kind, arn)?;
                let set = self.parse_task_set(&cluster, &service, ("resourceArn", arn))?;
                Ok(Resource::TaskSet(cluster, service, set))
            }
            "task-definition" => self.parse_definition(arn).map(Resource::Definition),
            "capacity-provider" => self.parse_provider(arn).map(Resource::Provider),
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arn: &str) -> Result<Resource, Fault> {
        Namespace::new("us-east-1", "000000000000").unwrap().parse_resource(arn)
    }

    #[test]
    fn every_kind_of_resource_is_read_back_from_its_arn() {
        let ours = Namespace::new("us-east-1", "000000000000").unwrap();
        let cluster = ClusterName::parse("prod").unwrap();
        let service = ServiceName::parse("web").unwrap();
        let (web, set) = (service.clone(), DeploymentId::from_random(9));
        let (task, instance) = (TaskId::from_bits(7), InstanceId::from_bits(8));
        let definition = ours.parse_definition("web:3").unwrap();
        let provider = ProviderName::parse("hosts").unwrap();
        let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{rest}");
        for (arn, resource) in [
            (ours.cluster(&cluster), Resource::Cluster(cluster.clone())),
            (
                ours.service(&cluster, &service),
                Resource::Service(cluster.clone(), service),
            ),
            (
                ours.task_set(&cluster, &web, set),
                Resource::TaskSet(cluster.clone(), web, set),
            ),
            (ours.task(&cluster, task), Resource::Task(cluster.clone(), task)),
            (ours.instance(&cluster, instance), Resource::Instance(cluster, instance)),
            (arn("task-definition/web:3"), Resource::Definition(definition)),
            (ours.capacity_provider(&provider), Resource::Provider(provider)),
        ] {
            assert_eq!(parse(&arn), Ok(resource), "{arn}");
        }
    }

    #[test]
    fn what_is_no_such_arn_is_refused() {
        for (arn, says) in [
            ("", "The ARN provided is invalid."),
            ("web", "The ARN provided is invalid."),
            (
                "arn:aws:ecs:us-east-1:000000000000:service/web",
                "The ARN provided is invalid.",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:task-set/x",
                "The ARN provided is invalid.",
            ),
            (
                "arn:aws:s3:us-east-1:000000000000:cluster/x",
                "The ARN provided is invalid.",
            ),
            (
                "x:aws:ecs:us-east-1:000000000000:service/prod/web",
                "The ARN provided is invalid.",
            ),
            (
                "arn:aws:ecs:us-east-1:999999999999:service/prod/web",
                "AccountIDs mismatch",
            ),
            ("arn:aws:ecs:us-east-1:000000000000:task/prod/nonsense", "taskId"),
        ] {
            let fault = parse(arn).unwrap_err();
            assert!(fault.message.contains(says), "{arn}: {fault}");
        }
    }
}
