//! What happens to container instances.

use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;

use super::{recount, with_cluster};
use crate::change::Change;
use crate::keys::{ClusterKey, InstanceKey};
use crate::state::{Instance, State};

/// Adds a change of an instance; others are none of its business.
#[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
pub(super) fn fold(state: &mut State, change: &Change) {
    let key = |cluster: &ClusterKey, instance: &InstanceId| InstanceKey {
        cluster: *cluster,
        instance: *instance,
    };
    match change {
        Change::InstanceRegistered {
            cluster,
            instance,
            facts,
            at,
        } => {
            let key = key(cluster, instance);
            if state.instances.contains_key(&key) {
                with_presence(state, key, |known| {
                    known.facts = Arc::clone(facts);
                    known.connected = true;
                    known.disconnected_at = None;
                });
            } else {
                add_instance(state, key, Instance::new(*instance, Arc::clone(facts), *at));
            }
            note_room(state, *cluster, Some(*at));
        }
        Change::InstanceConnection {
            cluster,
            instance,
            connected,
            via,
            at,
        } => {
            with_presence(state, key(cluster, instance), |known| {
                known.connected = *connected;
                known.via = *via;
                known.disconnected_at = at.filter(|_| !connected);
            });
            note_room(state, *cluster, at.filter(|_| *connected));
        }
        Change::InstanceStatusSet {
            cluster,
            instance,
            status,
            leaving,
            at,
        } => {
            let key = key(cluster, instance);
            let before = state.instances.get(&key).map(|known| known.status);
            with_presence(state, key, |known| {
                known.status = *status;
                known.leaving.clone_from(leaving);
            });
            note_room(state, *cluster, at.filter(|_| *status == InstanceStatus::Active));
            if *status == InstanceStatus::Inactive && before.is_some_and(|before| before != InstanceStatus::Inactive) {
                with_cluster(state, *cluster, |cluster| {
                    cluster.instances = cluster.instances.saturating_sub(1)
                });
            }
        }
        Change::InstanceAttributesSet {
            cluster,
            instance,
            attributes,
            at,
        } => {
            with_instance(state, key(cluster, instance), |known| {
                known.given_attributes = Arc::clone(attributes);
            });
            note_room(state, *cluster, Some(*at));
        }
        _ => {}
    }
}

/// Adds an instance that has no tasks yet.
pub(crate) fn add_instance(state: &mut State, key: InstanceKey, instance: Instance) {
    let counts = instance.status != InstanceStatus::Inactive;
    let is_away = instance.is_away();
    state.note_instance_change(key);
    state.instances.insert(key, Arc::new(instance));
    if counts {
        with_cluster(state, key.cluster, |cluster| {
            cluster.instances += 1;
            recount(&mut cluster.disconnected, false, is_away);
        });
    }
}

pub(super) fn with_instance(state: &mut State, key: InstanceKey, edit: impl FnOnce(&mut Instance)) {
    state.note_instance_change(key);
    if let Some(instance) = state.instances.get_mut(&key) {
        let instance = Arc::make_mut(instance);
        edit(instance);
        instance.version += 1;
    }
}

/// Edits an instance in a way that may change whether it counts as there.
fn with_presence(state: &mut State, key: InstanceKey, edit: impl FnOnce(&mut Instance)) {
    let is_away = |state: &State| state.instances.get(&key).is_some_and(|instance| instance.is_away());
    let before = is_away(state);
    with_instance(state, key, edit);
    let after = is_away(state);
    if before != after {
        with_cluster(state, key.cluster, |cluster| {
            recount(&mut cluster.disconnected, before, after)
        });
    }
}

/// Notes that an instance may take more than it did.
fn note_room(state: &mut State, cluster: ClusterKey, at: Option<Timestamp>) {
    if at.is_some() {
        with_cluster(state, cluster, |cluster| {
            cluster.room_since = cluster.room_since.max(at)
        });
    }
}
