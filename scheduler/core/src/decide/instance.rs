//! Container instances: their agents come and go, their operators drain and deregister them.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::status::{InstanceStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, InstanceKey, ReplicaId};
use crate::observation::Observation;
use crate::observation::{ContainerState, InstanceFacts, TaskTimes};
use crate::state::{State, Stop, Task};

/// An agent's stream has come: its instance joins, or is there again.
#[derive(Debug, Clone)]
pub struct ConnectInstance {
    /// The cluster that the agent is configured for.
    pub cluster: ClusterName,
    /// The id that the agent chose.
    pub instance: InstanceId,
    /// What the agent says of its host.
    pub facts: Arc<InstanceFacts>,
    /// Why the host leaves, where it does.
    pub leaving: Option<Arc<str>>,
    /// The scheduler that it came to, where there are several.
    pub via: Option<ReplicaId>,
}

/// How an agent is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// It serves the cluster.
    Welcome(InstanceKey),
    /// Its instance was deregistered: it may only stop what it still runs.
    Deregistered(InstanceKey),
}

/// An agent's stream has been gone for too long, or is there although the state says otherwise.
///
/// The end of a stream is no news once the agent has another, at another scheduler.
#[derive(Debug, Clone, Copy)]
pub struct SetConnection {
    /// Its instance.
    pub key: InstanceKey,
    /// Whether the stream is there.
    pub connected: bool,
    /// The scheduler that has it, or had it; none where there is only one.
    pub via: Option<ReplicaId>,
}

/// An agent says that its host leaves, or that it stays after all.
#[derive(Debug, Clone)]
pub struct SetLeaving {
    /// Its instance.
    pub key: InstanceKey,
    /// Why the host leaves; none where it stays.
    pub leaving: Option<Arc<str>>,
}

/// UpdateContainerInstancesState.
#[derive(Debug, Clone)]
pub struct SetInstancesStatus {
    /// Their cluster.
    pub cluster: ClusterName,
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// ACTIVE or DRAINING.
    pub status: InstanceStatus,
}

/// Which instances took the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet {
    /// The cluster's number.
    pub cluster: ClusterKey,
    /// Those that have it now.
    pub set: Vec<InstanceId>,
    /// Those that cannot, with ECS's reason.
    pub failures: Vec<(InstanceId, &'static str)>,
}

/// DeregisterContainerInstance.
#[derive(Debug, Clone)]
pub struct DeregisterInstance {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The instance.
    pub instance: InstanceId,
    /// Whether it goes although it has tasks.
    pub force: bool,
}

impl Command for ConnectInstance {
    type Outcome = Reception;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Reception>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let key = InstanceKey {
            cluster,
            instance: self.instance,
        };
        let known = state.instance(key);
        if known.is_some_and(|instance| instance.status == InstanceStatus::Inactive) {
            return Ok(Decision::unchanged(Reception::Deregistered(key)));
        }
        let mut changes = match known {
            Some(instance) if *instance.facts == *self.facts => Vec::new(),
            Some(_) | None => vec![Change::InstanceRegistered {
                cluster,
                instance: self.instance,
                facts: Arc::clone(&self.facts),
                at: env.now(),
            }],
        };
        // An instance that is registered is connected, to nobody in particular if it is new.
        let connected = !changes.is_empty() || known.is_some_and(|known| known.connected);
        if !connected || known.and_then(|known| known.via) != self.via {
            changes.push(connection(key, true, self.via, env.now()));
        }
        let before = known.map_or((InstanceStatus::Active, None), |known| {
            (known.status, known.leaving.as_ref())
        });
        changes.extend(leave(key, before, self.leaving.as_ref(), env.now()));
        Ok(Decision {
            changes,
            outcome: Reception::Welcome(key),
        })
    }
}

impl Command for SetLeaving {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let change = state.instance(self.key).and_then(|instance| {
            let before = (instance.status, instance.leaving.as_ref());
            leave(self.key, before, self.leaving.as_ref(), env.now())
        });
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: (),
        })
    }
}

/// A host that leaves makes its instance DRAINING; one that is back, or stays, makes ACTIVE what it had made DRAINING.
/// What an operator drained is the operator's to make ACTIVE.
fn leave(
    key: InstanceKey,
    (status, before): (InstanceStatus, Option<&Arc<str>>),
    leaving: Option<&Arc<str>>,
    at: Timestamp,
) -> Option<Change> {
    let status = match (status, leaving) {
        (InstanceStatus::Active, Some(_)) => InstanceStatus::Draining,
        (InstanceStatus::Draining, Some(_)) if before.is_some() && before != leaving => InstanceStatus::Draining,
        (InstanceStatus::Draining, None) if before.is_some() => InstanceStatus::Active,
        (InstanceStatus::Active | InstanceStatus::Draining | InstanceStatus::Inactive, _) => return None,
    };
    Some(Change::InstanceStatusSet {
        cluster: key.cluster,
        instance: key.instance,
        status,
        leaving: leaving.cloned(),
        at: Some(at),
    })
}

impl Command for SetConnection {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let differs = state.instance(self.key).is_some_and(|instance| {
            let same_stream = instance.via == self.via;
            if self.connected {
                !instance.connected || !same_stream
            } else {
                instance.connected && same_stream
            }
        });
        let changes = if differs {
            vec![connection(self.key, self.connected, self.via, env.now())]
        } else {
            Vec::new()
        };
        Ok(Decision { changes, outcome: () })
    }
}

pub(super) fn connection(key: InstanceKey, connected: bool, via: Option<ReplicaId>, at: Timestamp) -> Change {
    Change::InstanceConnection {
        cluster: key.cluster,
        instance: key.instance,
        connected,
        via,
        at: Some(at),
    }
}

impl Command for SetInstancesStatus {
    type Outcome = StatusSet;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<StatusSet>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let mut changes = Vec::new();
        let mut outcome = StatusSet {
            cluster,
            set: Vec::new(),
            failures: Vec::new(),
        };
        for id in &self.instances {
            let known = state.instance(InstanceKey { cluster, instance: *id });
            match known.map(|known| (known.status, known.leaving.is_some())) {
                None => outcome.failures.push((*id, "MISSING")),
                Some((InstanceStatus::Inactive, _)) => outcome.failures.push((*id, "INACTIVE")),
                Some((status, by_its_host)) => {
                    outcome.set.push(*id);
                    // What its host had drained is the operator's from now on.
                    if status != self.status || by_its_host {
                        changes.push(Change::InstanceStatusSet {
                            cluster,
                            instance: *id,
                            status: self.status,
                            leaving: None,
                            at: Some(env.now()),
                        });
                    }
                }
            }
        }
        Ok(Decision { changes, outcome })
    }
}

impl Command for DeregisterInstance {
    type Outcome = InstanceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<InstanceKey>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let key = InstanceKey {
            cluster,
            instance: self.instance,
        };
        let instance = state
            .instance(key)
            .ok_or_else(|| Fault::invalid(format!("Referenced container instance {} not found.", self.instance)))?;
        if instance.status == InstanceStatus::Inactive {
            return Ok(Decision::unchanged(key));
        }
        if !instance.live.is_empty() && !self.force {
            return Err(Fault::invalid("Found running tasks on the instance."));
        }
        let mut changes: Vec<Change> = state.live_tasks_on(key).map(|task| abandoned(key, task, env)).collect();
        changes.push(Change::InstanceStatusSet {
            cluster,
            instance: self.instance,
            status: InstanceStatus::Inactive,
            leaving: None,
            at: Some(env.now()),
        });
        Ok(Decision { changes, outcome: key })
    }
}

/// The end of a task whose instance was deregistered over its head: nobody will report it any more.
fn abandoned(key: InstanceKey, task: &Task, env: &Env<'_>) -> Change {
    let stop = task.stop.as_deref().cloned().unwrap_or_else(|| Stop {
        code: Some(StopCode::UserInitiated),
        reason: "Container instance deregistration forced by user".into(),
    });
    let containers = task.containers.iter().map(|container| ContainerState {
        last: berth_model::status::ContainerStatus::Stopped,
        ..container.clone()
    });
    Change::TaskObserved {
        cluster: key.cluster,
        task: task.id,
        observed: Arc::new(Observation {
            last_status: TaskStatus::Stopped,
            containers: containers.collect(),
            stop_code: stop.code,
            stopped_reason: Some(stop.reason),
            times: TaskTimes::default(),
        }),
        at: env.now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_no_news_once_the_agent_has_another() {
        let (key, name) = (
            InstanceKey {
                cluster: ClusterKey(1),
                instance: InstanceId::from_bits(1),
            },
            ClusterName::parse("test").unwrap(),
        );
        let (first, second) = (Some(ReplicaId(1)), Some(ReplicaId(2)));
        let mut state = State::default();
        let created = Change::ClusterCreated {
            name: name.clone(),
            key: key.cluster,
            tags: Vec::new(),
        };
        crate::fold::fold(&mut state, &created);
        let mut memory = crate::command::Memory::default();
        let mut submit = |state: &mut State, changes: &dyn Fn(&State, &mut Env<'_>) -> Vec<Change>| {
            let mut env = Env::new(Timestamp::from_millis(1), 1, &mut memory);
            let changes = changes(state, &mut env);
            changes.iter().for_each(|change| crate::fold::fold(state, change));
            changes.len()
        };
        let connect = |via| {
            let name = name.clone();
            move |state: &State, env: &mut Env<'_>| {
                let command = ConnectInstance {
                    cluster: name.clone(),
                    instance: key.instance,
                    facts: Arc::default(),
                    leaving: None,
                    via,
                };
                command.decide(state, env).unwrap().changes
            }
        };
        let set = |connected, via| {
            move |state: &State, env: &mut Env<'_>| {
                let command = SetConnection { key, connected, via };
                command.decide(state, env).unwrap().changes
            }
        };
        assert_eq!(submit(&mut state, &connect(first)), 2, "registered, at the first");
        assert_eq!(submit(&mut state, &connect(first)), 0);
        assert_eq!(submit(&mut state, &connect(second)), 1, "moved to the second");
        assert_eq!(
            submit(&mut state, &set(false, first)),
            0,
            "the first has nothing to say"
        );
        assert!(state.instance(key).unwrap().connected);
        assert_eq!(submit(&mut state, &set(false, second)), 1);
        assert!(!state.instance(key).unwrap().connected);
        assert_eq!(submit(&mut state, &set(true, first)), 1);
        assert_eq!(state.instance(key).unwrap().via, first);
    }

    #[test]
    fn a_host_takes_back_what_it_drained_itself_and_nothing_else() {
        use InstanceStatus::{Active, Draining, Inactive};
        let key = InstanceKey {
            cluster: ClusterKey(1),
            instance: InstanceId::from_bits(1),
        };
        let (stops, reclaimed): (Arc<str>, Arc<str>) = ("stops".into(), "reclaimed".into());
        for (status, before, leaving, after) in [
            (Active, None, Some(&stops), Some(Draining)),
            (Active, None, None, None),
            (Draining, Some(&stops), Some(&stops), None),
            (Draining, Some(&stops), Some(&reclaimed), Some(Draining)),
            (Draining, Some(&stops), None, Some(Active)),
            (Draining, None, Some(&stops), None),
            (Draining, None, None, None),
            (Inactive, None, Some(&stops), None),
        ] {
            let at = Timestamp::from_millis(1);
            let change = leave(key, (status, before), leaving, at);
            let expected = after.map(|status| Change::InstanceStatusSet {
                cluster: key.cluster,
                instance: key.instance,
                status,
                leaving: leaving.cloned(),
                at: Some(at),
            });
            assert_eq!(change, expected, "{status:?} {before:?} {leaving:?}");
        }
    }
}
