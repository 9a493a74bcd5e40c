//! Tasks that wait for room.
//!
//! They are kept by *shape*: what is equal in all that placement asks has one queue, first come first served, so that
//! what makes room is held against shapes and never against tasks one by one.

use std::sync::Arc;

use berth_model::id::TaskId;
use berth_model::quantity::MemoryMib;
use berth_model::time::Timestamp;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::Stop;
use crate::keys::{ClusterKey, TaskKey};
use crate::launch::{Launch, Wait};
use crate::place::Request;

/// A task that has no instance: it waits for one, or ended before it had one.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedTask {
    /// Its id.
    pub id: TaskId,
    /// What it has in common with the others of its call.
    pub wait: Arc<Wait>,
    /// Its number among all that ever waited in its cluster.
    pub arrival: u64,
    /// How it ended without an instance; none while it waits.
    pub end: Option<QueueEnd>,
    pub(crate) shape: ShapeKey,
}

/// The end of a task that was never placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEnd {
    /// Why.
    pub stop: Arc<Stop>,
    /// When.
    pub at: Timestamp,
}

/// The name of a shape, in the order of the memory that it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShapeKey {
    /// The cluster.
    pub cluster: ClusterKey,
    memory: MemoryMib,
    text: Arc<str>,
}

/// Tasks that wait and are equal in all that placement asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What each asks.
    pub request: Arc<Request>,
    /// Whether tasks that come to an instance, or get on there, can make it fit.
    pub follows_tasks: bool,
    waiting: OrdMap<u64, TaskId>,
}

/// All tasks without an instance, in all clusters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    tasks: OrdMap<TaskKey, Arc<QueuedTask>>,
    shapes: OrdMap<ShapeKey, Arc<Shape>>,
    /// The shapes by the arrival of the task that waits longest.
    by_age: OrdMap<(ClusterKey, u64), ShapeKey>,
    deadlines: OrdSet<(Timestamp, TaskKey)>,
}

impl QueuedTask {
    /// Its queue.
    #[must_use]
    pub const fn shape(&self) -> &ShapeKey {
        &self.shape
    }

    /// Whether it still waits.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.end.is_none()
    }
}

impl ShapeKey {
    /// The shape of a request in a cluster.
    #[must_use]
    pub fn of(cluster: ClusterKey, request: &Request) -> Self {
        // The debug form names every member, so that whatever is added to requests tells shapes apart too.
        Self {
            cluster,
            memory: request.demand.memory,
            text: format!("{request:?}").into(),
        }
    }
}

impl Shape {
    /// The tasks in the order in which they get room; never none.
    pub fn waiting(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.waiting.values().copied()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits: never so in a state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The arrival of the task that waits longest.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.waiting.get_min().map(|(arrival, _)| *arrival)
    }

    /// The task that came last.
    #[must_use]
    pub fn newest(&self) -> Option<TaskId> {
        self.waiting.get_max().map(|(_, task)| *task)
    }
}

impl Queue {
    /// A task that waits or ended waiting.
    #[must_use]
    pub fn task(&self, key: TaskKey) -> Option<&Arc<QueuedTask>> {
        self.tasks.get(&key)
    }

    /// All of them.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskKey, &Arc<QueuedTask>)> {
        self.tasks.iter().map(|(key, task)| (*key, task))
    }

    /// Those of a cluster whose id is greater than `after`, by id.
    pub fn tasks_of(&self, cluster: ClusterKey, after: Option<TaskId>) -> impl Iterator<Item = &Arc<QueuedTask>> {
        self.tasks
            .range(TaskKey::range_after(cluster, after))
            .map(|(_, task)| task)
    }

    /// The shapes of a cluster, the one whose first task waits longest first.
    pub fn by_age(&self, cluster: ClusterKey) -> impl Iterator<Item = (&ShapeKey, &Arc<Shape>)> {
        let names = self.by_age.range((cluster, 0)..=(cluster, u64::MAX));
        names.filter_map(|(_, name)| self.shapes.get_key_value(name))
    }

    /// The least memory that a task which waits in the cluster needs; nothing where none waits.
    #[must_use]
    pub fn least_memory(&self, cluster: ClusterKey) -> Option<MemoryMib> {
        let first = ShapeKey {
            cluster,
            memory: MemoryMib(0),
            text: "".into(),
        };
        let (name, _) = self.shapes.range(first..).next()?;
        (name.cluster == cluster).then_some(name.memory)
    }

    /// All shapes of all clusters.
    pub fn shapes(&self) -> impl Iterator<Item = (&ShapeKey, &Arc<Shape>)> {
        self.shapes.iter()
    }

    /// A shape that tasks wait in.
    #[must_use]
    pub fn shape(&self, key: &ShapeKey) -> Option<&Arc<Shape>> {
        self.shapes.get(key)
    }

    /// The deadlines of all tasks that wait, the first first.
    pub fn deadlines(&self) -> impl Iterator<Item = (Timestamp, TaskKey)> + '_ {
        self.deadlines.iter().copied()
    }

    /// Adds a task: at the end of its shape's queue, unless it has ended.
    pub(crate) fn add(&mut self, task: QueuedTask, request: &Arc<Request>) {
        let key = TaskKey {
            cluster: task.shape.cluster,
            task: task.id,
        };
        if task.is_waiting() {
            self.with_shape(&task.shape, request, |shape| {
                shape.waiting.insert(task.arrival, task.id);
            });
            self.deadlines.insert((task.wait.deadline, key));
        }
        self.tasks.insert(key, Arc::new(task));
    }

    /// Takes a task that waits out of the queue.
    pub(crate) fn take(&mut self, key: TaskKey) -> Option<Arc<QueuedTask>> {
        let task = self.tasks.get(&key).filter(|task| task.is_waiting()).map(Arc::clone)?;
        self.tasks.remove(&key);
        self.deadlines.remove(&(task.wait.deadline, key));
        if let Some(request) = self.shapes.get(&task.shape).map(|shape| Arc::clone(&shape.request)) {
            self.with_shape(&task.shape, &request, |shape| {
                shape.waiting.remove(&task.arrival);
            });
        }
        Some(task)
    }

    /// Changes a shape, new where there is none, and drops it where nothing waits any more.
    fn with_shape(&mut self, name: &ShapeKey, request: &Arc<Request>, edit: impl FnOnce(&mut Shape)) {
        let shape = self.shapes.entry(name.clone());
        let shape = shape.or_insert_with(|| Arc::new(Shape::of(Arc::clone(request))));
        let before = shape.oldest();
        edit(Arc::make_mut(shape));
        let after = shape.oldest();
        if shape.is_empty() {
            self.shapes.remove(name);
        }
        if before != after {
            before.and_then(|oldest| self.by_age.remove(&(name.cluster, oldest)));
            after.and_then(|oldest| self.by_age.insert((name.cluster, oldest), name.clone()));
        }
    }

    /// Keeps a task that was taken out as one that has ended.
    pub(crate) fn keep_ended(&mut self, key: TaskKey, task: &QueuedTask, end: QueueEnd) {
        let ended = QueuedTask {
            end: Some(end),
            ..task.clone()
        };
        self.tasks.insert(key, Arc::new(ended));
    }

    /// Replaces what the task was launched with, in what placement does not ask.
    pub(crate) fn relaunch(&mut self, key: TaskKey, edit: impl FnOnce(&Launch) -> Arc<Launch>) {
        if let Some(task) = self.tasks.get_mut(&key) {
            let task = Arc::make_mut(task);
            task.wait = Arc::new(Wait {
                launch: edit(&task.wait.launch),
                ..Wait::clone(&task.wait)
            });
        }
    }

    /// Drops a task that has ended; gives it where there was one.
    pub(crate) fn forget(&mut self, key: TaskKey) -> Option<Arc<QueuedTask>> {
        self.tasks.get(&key)?.end.as_ref()?;
        self.tasks.remove(&key)
    }
}

impl Shape {
    fn of(request: Arc<Request>) -> Self {
        Self {
            follows_tasks: request.follows_tasks(),
            request,
            waiting: OrdMap::new(),
        }
    }
}
