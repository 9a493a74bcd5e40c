//! What happens to tags.

use std::sync::Arc;

use berth_model::tag::Tag;

use super::definition::with_definition;
use crate::keys::{InstanceKey, Tagged, TaskKey};
use crate::launch::Launch;
use crate::state::State;

/// Replaces the tags. ECS has no event of it, so no version is raised.
pub(super) fn set(state: &mut State, of: &Tagged, tags: &[Tag]) {
    match of {
        Tagged::Cluster(name) => {
            if let Some(cluster) = state.clusters.get_mut(name) {
                Arc::make_mut(cluster).tags = tags.to_vec();
            }
        }
        Tagged::Definition(id) => with_definition(state, id, |definition| definition.tags = tags.to_vec()),
        Tagged::Instance(cluster, instance) => {
            let key = InstanceKey {
                cluster: *cluster,
                instance: *instance,
            };
            if let Some(instance) = state.instances.get_mut(&key) {
                Arc::make_mut(instance).tags = tags.to_vec();
            }
        }
        Tagged::Task(cluster, task) => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            // What it shared with the others of its call it has for itself from now on.
            let own = |launch: &Launch| {
                Arc::new(Launch {
                    tags: tags.to_vec(),
                    ..launch.clone()
                })
            };
            if let Some(task) = state.tasks.get_mut(&key) {
                let task = Arc::make_mut(task);
                task.launch = own(&task.launch);
            } else {
                state.queue.relaunch(key, own);
            }
        }
    }
}
