//! What a task is told of itself beside its definition, and under which names it asks.

use std::fmt;

use berth_model::gpu::ContainerGpus;
use berth_model::tag::Tag;
use serde::{Deserialize, Serialize};

use crate::spec::TaskSpec;

/// Where containers ask: ECS's address, which the AWS SDKs hold to be the only one.
pub const ENDPOINT: &str = "http://169.254.170.2";
/// What the group of a service's task begins with.
const SERVICE_GROUP: &str = "service:";

/// The part of an assignment that is beside its definition and for the task's own containers.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskContext {
    /// The task's group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The task's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The names that it asks under; none where the agent serves no endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// GPUs of the host that containers have to themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<ContainerGpus>,
    /// It runs without the credentials of its role.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_role: bool,
    /// What it is launched on, where that is not EC2.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub launch_type: String,
}

/// The names under which a task asks the agent. Whoever knows them is taken for the task, so they print as nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// In the paths of metadata and of the task's own calls.
    pub metadata: String,
    /// In the path of credentials.
    pub credentials: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// The name of the container at the place.
    #[must_use]
    pub fn container(&self, at: usize) -> String {
        format!("{}-{at}", self.metadata)
    }
}

impl TaskContext {
    /// What the task is launched on, in ECS's words.
    #[must_use]
    pub fn launch_type(&self) -> &str {
        match self.launch_type.as_str() {
            "" => "EC2",
            other => other,
        }
    }

    /// The service that the task belongs to.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.group.strip_prefix(SERVICE_GROUP)
    }
}

impl TaskSpec {
    /// The role that the task acts in.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        let role = self.definition.rest.get("taskRoleArn")?.as_str()?;
        Some(role).filter(|role| !role.is_empty())
    }
}

/// The variables by which the container at the place finds the agent (ECS guide, "Task metadata endpoint version 4",
/// "Task IAM role").
pub(crate) fn variables(spec: &TaskSpec, at: usize) -> Vec<(&'static str, String)> {
    let Some(access) = &spec.context.access else {
        return Vec::new();
    };
    let id = access.container(at);
    let mut variables = vec![
        ("ECS_CONTAINER_METADATA_URI", format!("{ENDPOINT}/v3/{id}")),
        ("ECS_CONTAINER_METADATA_URI_V4", format!("{ENDPOINT}/v4/{id}")),
        ("ECS_AGENT_URI", format!("{ENDPOINT}/api/{id}")),
        ("AWS_EXECUTION_ENV", format!("AWS_ECS_{}", spec.context.launch_type())),
    ];
    // An SDK that finds the variable looks nowhere else.
    if spec.role().is_some() && !spec.context.ignores_role {
        let path = format!("/v2/credentials/{}", access.credentials);
        variables.push(("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path));
    }
    variables
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::machine::testing::spec_of;

    fn asking(role: Option<&str>) -> TaskSpec {
        let mut spec = spec_of(json!({"family": "web", "taskRoleArn": role,
            "containerDefinitions": [{"name": "app", "image": "a", "memory": 8}]}));
        spec.context.access = Some(Access {
            metadata: "m".to_owned(),
            credentials: "c".to_owned(),
        });
        spec
    }

    #[test]
    fn a_container_is_told_where_to_ask() {
        let spec = asking(Some("arn:aws:iam::0:role/web"));
        let told = |name: &str| {
            let variables = variables(&spec, 0);
            variables.into_iter().find(|(known, _)| *known == name).unwrap().1
        };
        assert_eq!(told("ECS_CONTAINER_METADATA_URI"), "http://169.254.170.2/v3/m-0");
        assert_eq!(told("ECS_CONTAINER_METADATA_URI_V4"), "http://169.254.170.2/v4/m-0");
        assert_eq!(told("ECS_AGENT_URI"), "http://169.254.170.2/api/m-0");
        assert_eq!(told("AWS_EXECUTION_ENV"), "AWS_ECS_EC2");
        assert_eq!(told("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), "/v2/credentials/c");
    }

    #[test]
    fn a_task_whose_role_is_ignored_asks_nobody_for_credentials() {
        let mut spec = asking(Some("arn:aws:iam::0:role/web"));
        spec.context.ignores_role = true;
        let told = variables(&spec, 0);
        assert_eq!(told.len(), 4);
        assert!(
            told.iter()
                .all(|(name, _)| *name != "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        );
    }

    #[test]
    fn a_task_of_fargate_is_told_that_it_is_one() {
        let mut spec = asking(None);
        spec.context.launch_type = "FARGATE".to_owned();
        let told = variables(&spec, 0);
        assert!(
            told.contains(&("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned())),
            "{told:?}"
        );
    }

    #[test]
    fn credentials_are_for_tasks_with_a_role_and_nothing_is_for_those_without_an_endpoint() {
        assert_eq!(variables(&asking(None), 0).len(), 4);
        assert_eq!(variables(&asking(Some("")), 0).len(), 4);
        let mut without = asking(Some("arn:aws:iam::0:role/web"));
        without.context = TaskContext::default();
        assert!(variables(&without, 0).is_empty());
    }

    #[test]
    fn the_names_are_not_printed() {
        let printed = format!("{:?}", asking(None));
        assert!(!printed.contains("\"m\"") && !printed.contains("\"c\""), "{printed}");
    }

    #[test]
    fn a_service_is_known_by_its_group() {
        let context = |group: &str| TaskContext {
            group: group.to_owned(),
            ..TaskContext::default()
        };
        assert_eq!(context("service:web").service(), Some("web"));
        assert_eq!(context("family:web").service(), None);
    }
}
