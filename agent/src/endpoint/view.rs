//! What the endpoint reads: a snapshot of all tasks that the driver publishes and nobody changes any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_agent_core::context::Access;
use berth_agent_core::record::Record;
use berth_model::id::TaskId;
use tokio::sync::watch;

use super::key::Key;

/// All that is known at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct View {
    /// Whether every task is in it. Until then a name that is not may be one of a task that will be.
    pub(crate) complete: bool,
    /// ARN of the container instance, once the scheduler has said it.
    pub(crate) instance_arn: Option<String>,
    /// The tasks.
    pub(crate) tasks: BTreeMap<TaskId, Arc<Known>>,
}

/// A task.
#[derive(Debug)]
pub(crate) struct Known {
    /// All that is known of it.
    pub(crate) record: Record,
    /// The names under which it asks.
    pub(crate) access: Access,
}

impl View {
    /// The task, and the place of the container, that the name stands for.
    pub(crate) fn container(&self, name: &str) -> Option<(&Arc<Known>, usize)> {
        let (task, place) = name.rsplit_once('-')?;
        let known = self.tasks.values().find(|known| same(&known.access.metadata, task))?;
        let place = place
            .parse()
            .ok()
            .filter(|place| *place < known.record.containers.len())?;
        Some((known, place))
    }

    /// The task whose credentials have the name.
    pub(crate) fn of_credentials(&self, name: &str) -> Option<&Arc<Known>> {
        self.tasks.values().find(|known| same(&known.access.credentials, name))
    }
}

/// Whether two names are the same, in a time that does not tell how much of them is.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Publisher {
    key: Key,
    /// What is published next.
    view: View,
    changed: bool,
    out: watch::Sender<Arc<View>>,
}

impl Publisher {
    /// A publisher, and what it publishes.
    pub(crate) fn new(key: Key) -> (Self, watch::Receiver<Arc<View>>) {
        let (out, views) = watch::channel(Arc::default());
        let publisher = Self {
            key,
            view: View::default(),
            changed: false,
            out,
        };
        (publisher, views)
    }

    /// The names under which the task asks.
    pub(crate) fn access(&self, task: TaskId) -> Access {
        match self.view.tasks.get(&task) {
            Some(known) => known.access.clone(),
            None => self.key.access(task),
        }
    }

    /// The task as it is now.
    pub(crate) fn put(&mut self, record: &Record) {
        let task = record.spec.id;
        let known = Known {
            record: record.clone(),
            access: self.access(task),
        };
        self.view.tasks.insert(task, Arc::new(known));
        self.changed = true;
    }

    /// The task is no more.
    pub(crate) fn remove(&mut self, task: TaskId) {
        self.changed |= self.view.tasks.remove(&task).is_some();
    }

    /// Every task is known.
    pub(crate) fn completed(&mut self) {
        self.view.complete = true;
        self.changed = true;
    }

    /// The scheduler has said which instance this is.
    pub(crate) fn welcomed(&mut self, instance_arn: &str) {
        if self.view.instance_arn.as_deref() != Some(instance_arn) {
            self.view.instance_arn = Some(instance_arn.to_owned());
            self.changed = true;
        }
    }

    /// Publishes what has changed since the last time.
    pub(crate) fn publish(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.out.send_replace(Arc::new(self.view.clone()));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use berth_agent_core::container::{Container, Phase};
    use berth_agent_core::context::TaskContext;
    use berth_agent_core::spec::TaskSpec;
    use berth_model::id::InstanceId;

    use super::*;

    /// A running task with the role, of one container.
    pub(crate) fn record(id: u128, role: Option<&str>) -> Record {
        let definition = serde_json::json!({"family": "web", "taskRoleArn": role,
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 8}]});
        let id = TaskId::from_bits(id);
        let spec = TaskSpec {
            id,
            arn: format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{id}"),
            cluster: "prod".to_owned(),
            instance: InstanceId::from_bits(1),
            definition_arn: "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1".to_owned(),
            revision: 1,
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            context: TaskContext::default(),
        };
        Record {
            containers: vec![Container {
                name: "app".to_owned(),
                phase: Phase::Running,
                runtime_id: Some(format!("docker-{id}")),
                ..Container::default()
            }],
            ..Record::new(spec)
        }
    }

    pub(crate) fn publisher() -> (Publisher, watch::Receiver<Arc<View>>) {
        let directory = tempfile::tempdir().unwrap();
        Publisher::new(Key::open(directory.path()).unwrap())
    }

    #[test]
    fn tasks_are_found_by_their_names_alone() {
        let (mut publisher, views) = publisher();
        publisher.put(&record(1, None));
        publisher.put(&record(2, None));
        assert!(views.borrow().tasks.is_empty(), "not published yet");
        publisher.publish();
        let view = Arc::clone(&views.borrow());
        let access = publisher.access(TaskId::from_bits(2));
        let found = |name: &str| view.container(name).map(|(known, at)| (known.record.spec.id, at));
        assert_eq!(found(&access.container(0)), Some((TaskId::from_bits(2), 0)));
        for unknown in [
            access.container(1),
            access.metadata.clone(),
            access.credentials.clone(),
            String::new(),
            "-0".to_owned(),
        ] {
            assert_eq!(found(&unknown), None, "{unknown}");
        }
        assert!(view.of_credentials(&access.credentials).is_some());
        assert!(view.of_credentials(&access.metadata).is_none());
        publisher.remove(TaskId::from_bits(2));
        publisher.publish();
        assert!(views.borrow().of_credentials(&access.credentials).is_none());
    }
}
