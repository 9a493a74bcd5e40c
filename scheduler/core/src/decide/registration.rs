//! RegisterContainerInstance: instances whose agents are of somebody else's making. They keep no stream; what their tasks
//! do is told by calls.

use std::sync::Arc;

use berth_model::attribute::BY_CALLS;
use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::status::InstanceStatus;
use berth_model::tag::Tag;

use super::instance::connection;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{InstanceKey, ReplicaId, Tagged};
use crate::observation::InstanceFacts;
use crate::state::State;

/// An instance joins by a call, or says anew what it is.
#[derive(Debug, Clone)]
pub struct RegisterInstance {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Which it is, where it was registered before.
    pub instance: Option<InstanceId>,
    /// What it says of its host.
    pub facts: InstanceFacts,
    /// Its tags; none leaves those that it has.
    pub tags: Vec<Tag>,
    /// The scheduler that was called, where there are several.
    pub via: Option<ReplicaId>,
}

impl InstanceFacts {
    /// Whether the instance was registered by a call, so that its agent has no stream.
    #[must_use]
    pub fn is_by_calls(&self) -> bool {
        self.attributes.contains_key(BY_CALLS)
    }
}

impl Command for RegisterInstance {
    type Outcome = InstanceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<InstanceKey>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let (instance, known) = match self.instance {
            None => {
                let bits = (u128::from(env.draw()) << 64) | u128::from(env.draw());
                (InstanceId::from_bits(bits), None)
            }
            Some(instance) => {
                let known = state.instance(InstanceKey { cluster, instance });
                let active = known.filter(|known| known.status != InstanceStatus::Inactive);
                let active = active
                    .ok_or_else(|| Fault::invalid(format!("Referenced container instance {instance} not found.")))?;
                (instance, Some(active))
            }
        };
        if known.is_some_and(|known| !known.facts.is_by_calls()) {
            return Err(Fault::client(format!(
                "Container instance type changes are not supported. Container instance {instance} was previously registered \
                 as one whose agent has a stream."
            )));
        }
        let key = InstanceKey { cluster, instance };
        let mut facts = self.facts.clone();
        facts.attributes.insert(BY_CALLS.to_owned(), None);
        let mut changes = Vec::new();
        let same = known.is_some_and(|known| *known.facts == facts);
        if !same {
            changes.push(Change::InstanceRegistered {
                cluster,
                instance,
                facts: Arc::new(facts),
                at: env.now(),
            });
        }
        let connected = !same || known.is_some_and(|known| known.connected);
        if !connected || known.and_then(|known| known.via) != self.via {
            changes.push(connection(key, true, self.via, env.now()));
        }
        let tags = known.map_or(&[][..], |known| &known.tags);
        if !self.tags.is_empty() && *tags != *self.tags {
            changes.push(Change::TagsSet {
                of: Tagged::Instance(cluster, instance),
                tags: self.tags.clone(),
            });
        }
        Ok(Decision { changes, outcome: key })
    }
}

#[cfg(test)]
mod tests {
    use berth_model::quantity::CpuUnits;
    use berth_model::time::Timestamp;

    use super::*;
    use crate::command::Memory;
    use crate::decide::instance::{ConnectInstance, DeregisterInstance};
    use crate::fold::fold;
    use crate::keys::ClusterKey;

    fn name() -> ClusterName {
        ClusterName::parse("here").unwrap()
    }

    fn state() -> State {
        let mut state = State::default();
        let created = Change::ClusterCreated {
            name: name(),
            key: ClusterKey(1),
            tags: Vec::new(),
        };
        fold(&mut state, &created);
        state
    }

    fn submit<C: Command>(state: &mut State, command: &C, seed: u64) -> Result<(C::Outcome, usize), Fault> {
        let mut memory = Memory::default();
        let mut env = Env::new(Timestamp::from_millis(1), seed, &mut memory);
        let decision = command.decide(state, &mut env)?;
        decision.changes.iter().for_each(|change| fold(state, change));
        Ok((decision.outcome, decision.changes.len()))
    }

    fn register(instance: Option<InstanceId>, cpu: u32) -> RegisterInstance {
        RegisterInstance {
            cluster: name(),
            instance,
            facts: InstanceFacts {
                cpu: CpuUnits(cpu),
                ..InstanceFacts::default()
            },
            tags: Vec::new(),
            via: None,
        }
    }

    #[test]
    fn an_instance_registers_under_an_id_of_ours_and_again_under_the_same() {
        let mut state = state();
        let (first, _) = submit(&mut state, &register(None, 1024), 1).unwrap();
        let (second, _) = submit(&mut state, &register(None, 1024), 2).unwrap();
        assert_ne!(first, second);
        assert!(state.instance(first).unwrap().connected);
        let again = register(Some(first.instance), 1024);
        assert_eq!(submit(&mut state, &again, 3), Ok((first, 0)), "nothing new");
        let grown = register(Some(first.instance), 2048);
        assert_eq!(submit(&mut state, &grown, 4), Ok((first, 1)));
        assert_eq!(state.instance(first).unwrap().facts.cpu, CpuUnits(2048));
    }

    #[test]
    fn what_an_agent_with_a_stream_is_nobody_else_writes() {
        let mut state = state();
        let instance = InstanceId::from_bits(7);
        let connect = ConnectInstance {
            cluster: name(),
            instance,
            facts: Arc::default(),
            leaving: None,
            via: None,
        };
        submit(&mut state, &connect, 1).unwrap();
        let fault = submit(&mut state, &register(Some(instance), 1), 2).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("Container instance type changes are not supported."),
            "{fault}"
        );
    }

    #[test]
    fn what_is_not_there_or_was_deregistered_cannot_register_again() {
        let mut state = state();
        let unknown = register(Some(InstanceId::from_bits(9)), 1);
        assert!(submit(&mut state, &unknown, 1).is_err());
        let (key, _) = submit(&mut state, &register(None, 1), 2).unwrap();
        let gone = DeregisterInstance {
            cluster: name(),
            instance: key.instance,
            force: false,
        };
        submit(&mut state, &gone, 3).unwrap();
        assert!(submit(&mut state, &register(Some(key.instance), 1), 4).is_err());
    }
}
