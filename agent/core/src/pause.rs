//! The pause container: one more container of a task that does nothing but hold namespaces which the others join.
//!
//! A task needs it for an address of its own (network mode `awsvpc`), for `pidMode: task` and for `ipcMode: task`. It
//! is a container of the task like the others as far as the machine is concerned: they all need it running, so that it
//! is started first and stopped last, and it is essential, so that its end is the task's. It has ECS's name, which no
//! container of a definition can have, and it is in no report.

use berth_model::task_definition::{ContainerDefinition, NetworkMode, TaskDefinition};

/// Its name in the task, as the ECS agent has it.
pub const NAME: &str = "~internal~ecs~pause";
/// Its name in Docker, where `~` cannot stand; with dots, which no container of a definition has in its name.
pub(crate) const DOCKER_NAME: &str = "internal.ecs.pause";
/// Its image, which the agent makes itself. The tag is raised with each change of what is in it.
pub const IMAGE: &str = "berth/pause:1";
/// A mode that is shared by the containers of a task alone.
const TASK: &str = "task";

/// Whether the container is one that the definition does not name.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name == NAME
}

/// Whether tasks of the definition need a pause container.
#[must_use]
pub fn is_needed(definition: &TaskDefinition) -> bool {
    definition.network_mode() == NetworkMode::Awsvpc || shares_pid(definition) || shares_ipc(definition)
}

/// The definition with the pause container behind its own, where its tasks need one; a second time nothing changes.
#[must_use]
pub fn added(mut definition: TaskDefinition) -> TaskDefinition {
    if is_needed(&definition) && definition.container(NAME).is_none() {
        definition.container_definitions.push(ContainerDefinition {
            name: NAME.to_owned(),
            image: IMAGE.to_owned(),
            essential: Some(true),
            ..ContainerDefinition::default()
        });
    }
    definition
}

/// Whether the containers see each other's processes.
pub(crate) fn shares_pid(definition: &TaskDefinition) -> bool {
    definition.pid_mode.as_deref() == Some(TASK)
}

/// Whether the containers share memory segments, semaphores and message queues.
pub(crate) fn shares_ipc(definition: &TaskDefinition) -> bool {
    definition.ipc_mode.as_deref() == Some(TASK)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names(members: &Value) -> Vec<String> {
        let mut definition =
            json!({"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16}]});
        for (member, value) in members.as_object().unwrap() {
            definition[member] = value.clone();
        }
        let definition = added(added(serde_json::from_value(definition).unwrap()));
        let names = definition.container_definitions.iter();
        names.map(|container| container.name.clone()).collect()
    }

    #[test]
    fn only_a_task_that_shares_a_namespace_gets_a_pause_container_and_only_one() {
        for shared in [
            json!({"networkMode": "awsvpc"}),
            json!({"pidMode": "task"}),
            json!({"ipcMode": "task", "networkMode": "host"}),
        ] {
            assert_eq!(names(&shared), ["app", NAME], "{shared}");
        }
        for own in [
            json!({}),
            json!({"pidMode": "host", "ipcMode": "none", "networkMode": "none"}),
        ] {
            assert_eq!(names(&own), ["app"], "{own}");
        }
    }
}
