//! What is true of tasks that wait.

use std::collections::BTreeSet;

use crate::keys::TaskKey;
use crate::state::State;

/// Every waiting task is in the queue of its shape and nowhere else, under its arrival, with its deadline.
pub(super) fn check(state: &State, wrong: &mut Vec<String>) {
    let queue = state.queue();
    let mut in_shapes = BTreeSet::new();
    for (name, shape) in queue.shapes() {
        if shape.is_empty() {
            wrong.push(format!("a shape of cluster {} has no task", name.cluster.0));
        }
        let mut last = None;
        for task in shape.waiting() {
            let key = TaskKey {
                cluster: name.cluster,
                task,
            };
            let known = queue
                .task(key)
                .filter(|known| known.is_waiting() && known.shape() == name);
            let arrival = known.map(|known| known.arrival);
            if arrival.is_none() || arrival <= last || !in_shapes.insert(key) {
                wrong.push(format!("task {task} stands wrongly in the queue of its shape"));
            }
            last = arrival;
        }
    }
    for cluster in state.clusters() {
        let ages: Vec<_> = queue.by_age(cluster.key).map(|(_, shape)| shape.oldest()).collect();
        let shapes = queue.shapes().filter(|(name, _)| name.cluster == cluster.key);
        if !ages.is_sorted() || ages.len() != shapes.count() {
            wrong.push(format!("the shapes of cluster {} are not in order", cluster.name));
        }
    }
    let mut deadlines = 0;
    for (key, task) in queue.tasks() {
        if state.task(key).is_some() {
            wrong.push(format!("task {} has an instance and waits for one", key.task));
        }
        if task.id != key.task {
            wrong.push(format!("waiting task {} is kept under {}", task.id, key.task));
        }
        if task.is_waiting() != in_shapes.contains(&key) {
            wrong.push(format!(
                "task {} waits in no shape, or in one though it ended",
                key.task
            ));
        }
        deadlines += usize::from(task.is_waiting());
    }
    let due = |(at, key): &(_, TaskKey)| queue.task(*key).is_some_and(|task| task.wait.deadline == *at);
    if queue.deadlines().filter(due).count() != deadlines || queue.deadlines().count() != deadlines {
        wrong.push("other tasks have deadlines than wait".to_owned());
    }
}
