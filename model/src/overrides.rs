//! What RunTask and StartTask may change in a definition for the tasks that they start.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{Fault, shortened};
use crate::task_definition::{EnvironmentFile, KeyValuePair, ResourceRequirement, TaskDefinition};

/// Characters of the overrides as JSON (ECS API, RunTask).
const MAX_LENGTH: usize = 8192;
const TASK_ROLE: &str = "taskRoleArn";

/// Overrides of one call, as ECS's TaskOverride has them.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskOverride {
    /// Changes to containers, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_overrides: Vec<ContainerOverride>,
    /// Task-level CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Task-level memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Everything else that the caller gave, kept and echoed.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Changes to one container.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerOverride {
    /// The container's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the command when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Joins the environment; a name that is there already gets the new value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<KeyValuePair>,
    /// Replaces the files of environment variables when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_files: Vec<EnvironmentFile>,
    /// Replaces the devices that are counted when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Replaces the CPU units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<i32>,
    /// Replaces the hard limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<i32>,
    /// Replaces the soft limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<i32>,
    /// Everything else that the caller gave, kept and echoed.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl TaskOverride {
    /// Whether nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.container_overrides.is_empty() && self.cpu.is_none() && self.memory.is_none() && self.rest.is_empty()
    }

    /// The definition as this call's tasks run it, checked by the same rules as a registration.
    ///
    /// # Errors
    /// `InvalidParameterException` for an override that names no container, is too long, or breaks a rule of
    /// registration; `UnsupportedFeatureException` for a member that cannot be overridden here.
    pub fn checked<'d>(&self, definition: &'d TaskDefinition) -> Result<Cow<'d, TaskDefinition>, Fault> {
        if self.is_empty() {
            return Ok(Cow::Borrowed(definition));
        }
        let length = serde_json::to_string(self)
            .map_err(|error| Fault::server(format!("the overrides cannot be written: {error}")))?
            .chars()
            .count();
        if length > MAX_LENGTH {
            return Err(Fault::invalid(format!(
                "overrides has {length} characters as JSON, at most {MAX_LENGTH} are allowed."
            )));
        }
        for change in &self.container_overrides {
            let name = change.name.as_deref().unwrap_or_default();
            if definition.container(name).is_none() {
                return Err(Fault::invalid(format!(
                    "Override for container named {} is not a container in the TaskDefinition.",
                    shortened(name)
                )));
            }
            if let Some(member) = change.rest.keys().next() {
                return Err(Fault::unsupported(format!(
                    "overrides.containerOverrides of container '{name}' has '{member}', which cannot be overridden."
                )));
            }
        }
        let changed = self.applied(definition).into_owned();
        changed
            .validated()
            .map(Cow::Owned)
            .map_err(|fault| Fault::invalid(format!("overrides: {}", fault.message)))
    }

    /// The definition with the overrides in it; checks nothing.
    #[must_use]
    pub fn applied<'d>(&self, definition: &'d TaskDefinition) -> Cow<'d, TaskDefinition> {
        if self.is_empty() {
            return Cow::Borrowed(definition);
        }
        let mut changed = definition.clone();
        changed.cpu = self.cpu.clone().or(changed.cpu);
        changed.memory = self.memory.clone().or(changed.memory);
        if let Some(role) = self.rest.get(TASK_ROLE) {
            changed.rest.insert(TASK_ROLE.to_owned(), role.clone());
        }
        for change in &self.container_overrides {
            let named = |name: &str| change.name.as_deref() == Some(name);
            if let Some(container) = changed
                .container_definitions
                .iter_mut()
                .find(|container| named(&container.name))
            {
                if !change.command.is_empty() {
                    container.command.clone_from(&change.command);
                }
                if !change.environment_files.is_empty() {
                    container.environment_files.clone_from(&change.environment_files);
                }
                if !change.resource_requirements.is_empty() {
                    container
                        .resource_requirements
                        .clone_from(&change.resource_requirements);
                }
                for variable in &change.environment {
                    merge(&mut container.environment, variable);
                }
                container.cpu = change.cpu.unwrap_or(container.cpu);
                container.memory = change.memory.or(container.memory);
                container.memory_reservation = change.memory_reservation.or(container.memory_reservation);
            }
        }
        Cow::Owned(changed)
    }
}

fn merge(environment: &mut Vec<KeyValuePair>, variable: &KeyValuePair) {
    match environment.iter_mut().find(|existing| existing.name == variable.name) {
        Some(existing) => existing.value.clone_from(&variable.value),
        None => environment.push(variable.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::quantity::{CpuUnits, MemoryMib};

    fn definition() -> TaskDefinition {
        serde_json::from_value(json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "cpu": 10, "memory": 64,
                "command": ["sleep", "1"], "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}],
        }))
        .unwrap()
    }

    fn overrides(value: Value) -> TaskOverride {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn environment_merges_by_name_and_command_replaces() {
        let change = overrides(
            json!({"containerOverrides": [{"name": "app", "command": ["true"], "cpu": 20, "memory": 128,
            "environment": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}),
        );
        let definition = definition();
        let effective = change.checked(&definition).unwrap();
        let app = effective.container("app").unwrap();
        assert_eq!(app.command, ["true"]);
        let variables: Vec<_> = app
            .environment
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_str()))
            .collect();
        assert_eq!(variables, [("A", "1"), ("B", "3"), ("C", "4")]);
        assert!(app.environment_files.is_empty());
        let files = overrides(json!({"containerOverrides": [{"name": "app",
            "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/x.env"}]}]}));
        let with_files = files.checked(&definition).unwrap();
        assert_eq!(with_files.container("app").unwrap().environment_files.len(), 1);
        let demand = effective.demand();
        assert_eq!((demand.cpu, demand.memory), (CpuUnits(20), MemoryMib(128)));
    }

    #[test]
    fn the_task_role_is_replaced() {
        let change = overrides(json!({"taskRoleArn": "arn:aws:iam::000000000000:role/other"}));
        let definition = definition();
        let effective = change.checked(&definition).unwrap();
        assert_eq!(effective.rest["taskRoleArn"], "arn:aws:iam::000000000000:role/other");
    }

    #[test]
    fn an_override_must_name_a_container_and_keep_the_rules() {
        let check = |value: Value, says: &str| {
            let fault = overrides(value).checked(&definition()).unwrap_err();
            assert!(fault.message.contains(says), "expected '{says}' in '{fault}'");
        };
        check(
            json!({"containerOverrides": [{"name": "db"}]}),
            "Override for container named db is not a container in the TaskDefinition.",
        );
        check(
            json!({"containerOverrides": [{"name": "app", "memory": -1}]}),
            "'memory' is -1 MiB",
        );
        check(
            json!({"containerOverrides": [{"name": "app", "command": ["x".repeat(9000)]}]}),
            "at most 8192",
        );
        check(json!({"cpu": "lots"}), "Invalid 'cpu' setting for task.");
    }
}
