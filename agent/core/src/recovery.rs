//! After a restart, and every time Docker is listed: what the spool says against what Docker has.
//!
//! Containers are matched with tasks by label. A task that has containers and no record is known again by its labels;
//! it is observed and proposed for stopping, never started.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};

use crate::container::{Container, ListedContainer, Phase};
use crate::context::TaskContext;
use crate::name;
use crate::record::Record;
use crate::spec::{TaskSpec, bare_definition, task_id_of};

/// A container that Docker lists and whose labels say that it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Docker's id.
    pub id: String,
    /// Whether its process lives.
    pub running: bool,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
}

/// Containers by their task, with what is known of the tasks by label alone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listing {
    tasks: BTreeMap<TaskId, Vec<Found>>,
}

impl Listing {
    /// Sorts a list of Docker's. Containers whose labels do not name a task and a container are nobody's.
    #[must_use]
    pub fn of(found: Vec<Found>) -> Self {
        let mut tasks: BTreeMap<TaskId, Vec<Found>> = BTreeMap::new();
        for container in found {
            let task = container.labels.get(name::TASK_ARN).and_then(|arn| task_id_of(arn));
            if let Some(task) = task.filter(|_| container.labels.contains_key(name::CONTAINER_NAME)) {
                tasks.entry(task).or_default().push(container);
            }
        }
        Self { tasks }
    }

    /// The listed containers of the task, as its machine takes them.
    #[must_use]
    pub fn of_task(&self, task: TaskId) -> Vec<ListedContainer> {
        let containers = self.tasks.get(&task).map(Vec::as_slice).unwrap_or_default();
        let listed = |found: &Found| {
            Some(ListedContainer {
                name: found.labels.get(name::CONTAINER_NAME)?.clone(),
                id: found.id.clone(),
                running: found.running,
                paused: found.paused,
            })
        };
        containers.iter().filter_map(listed).collect()
    }

    /// Records of the tasks that Docker has and `knows` does not, as far as their labels tell.
    #[must_use]
    pub fn strays(&self, instance: InstanceId, knows: impl Fn(TaskId) -> bool) -> Vec<Record> {
        let unknown = self.tasks.iter().filter(|(task, _)| !knows(**task));
        unknown
            .map(|(task, containers)| rebuilt(*task, instance, containers))
            .collect()
    }
}

fn rebuilt(task: TaskId, instance: InstanceId, containers: &[Found]) -> Record {
    let label = |name: &str| {
        containers
            .iter()
            .find_map(|found| found.labels.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let container_name = |found: &Found| found.labels.get(name::CONTAINER_NAME).cloned().unwrap_or_default();
    let spec = TaskSpec {
        id: task,
        arn: label(name::TASK_ARN),
        cluster: label(name::CLUSTER),
        instance,
        definition_arn: String::new(),
        revision: label(name::REVISION).parse().unwrap_or(0),
        definition: Arc::new(bare_definition(
            &label(name::FAMILY),
            containers.iter().map(container_name),
        )),
        context: TaskContext::default(),
    };
    let containers = containers.iter().map(|found| Container {
        name: container_name(found),
        // It may have run: a look tells.
        phase: Phase::Starting,
        runtime_id: Some(found.id.clone()),
        ..Container::default()
    });
    Record {
        containers: containers.collect(),
        rebuilt: true,
        ..Record::new(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(task: u128, container: &str) -> Found {
        let arn = format!(
            "arn:aws:ecs:us-east-1:000000000000:task/prod/{}",
            TaskId::from_bits(task)
        );
        let labels = [
            (name::TASK_ARN, arn.as_str()),
            (name::CONTAINER_NAME, container),
            (name::FAMILY, "web"),
            (name::REVISION, "3"),
            (name::CLUSTER, "prod"),
        ];
        Found {
            id: format!("{task}-{container}"),
            running: true,
            paused: false,
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    #[test]
    fn what_has_no_record_is_known_by_its_labels() {
        let nobodys = Found {
            labels: BTreeMap::new(),
            ..found(1, "x")
        };
        let listing = Listing::of(vec![found(1, "app"), found(2, "app"), found(2, "db"), nobodys]);
        let strays = listing.strays(InstanceId::from_bits(9), |task| task == TaskId::from_bits(1));
        assert_eq!(strays.len(), 1);
        let stray = &strays[0];
        assert!(stray.rebuilt);
        assert_eq!((stray.spec.id, stray.spec.revision), (TaskId::from_bits(2), 3));
        assert_eq!(stray.spec.definition.family, "web");
        let names: Vec<_> = stray
            .containers
            .iter()
            .map(|container| container.name.as_str())
            .collect();
        assert_eq!(names, ["app", "db"]);
        assert_eq!(listing.of_task(TaskId::from_bits(1)).len(), 1);
        assert!(listing.of_task(TaskId::from_bits(3)).is_empty());
    }
}
