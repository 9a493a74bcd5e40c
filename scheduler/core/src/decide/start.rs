//! StartTask: the caller names the instances.

use berth_model::fault::Fault;
use berth_model::id::InstanceId;

use super::launch::{Call, Failure, Launched};
use crate::command::{Command, Decision, Env};
use crate::keys::InstanceKey;
use crate::place::{Refusal, fits};
use crate::state::State;

/// Starts one copy on each of the instances that can take it; no strategy, the same checks (ECS API, StartTask).
///
/// A scheduler of somebody else's says which version of each instance it has chosen by: of several that chose the same room
/// at the same time exactly one gets it, and the others hear of it.
#[derive(Debug, Clone)]
pub struct StartTask {
    /// What to start, and for whom.
    pub call: Call,
    /// 1 to 10 instances.
    pub instances: Vec<Chosen>,
}

/// An instance that the caller has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub instance: InstanceId,
    /// The version of it that the caller chose by, where it says so: another one is a conflict.
    pub version: Option<u64>,
}

impl Command for StartTask {
    type Outcome = Launched;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Launched>, Fault> {
        let cluster = state.active_cluster(&self.call.cluster)?.key;
        let admitted = self.call.admit(state, cluster)?;
        let request = admitted.request(Vec::new(), Vec::new());
        let mut placed: Vec<InstanceId> = Vec::new();
        let mut failures = Vec::new();
        for Chosen { instance: id, version } in &self.instances {
            let key = InstanceKey { cluster, instance: *id };
            let Some(instance) = state.instance(key) else {
                failures.push(Failure::Missing(*id));
                continue;
            };
            if let Some(expected) = version.filter(|expected| *expected != instance.version) {
                failures.push(Failure::Changed {
                    instance: *id,
                    expected,
                    found: instance.version,
                });
                continue;
            }
            let earlier = placed.iter().filter(|placed| *placed == id).count();
            let misfits = fits(instance, &request, u32::try_from(earlier).unwrap_or(u32::MAX));
            if misfits.is_empty() {
                placed.push(*id);
            } else {
                failures.push(Failure::Refused(Refusal { instance: *id, misfits }));
            }
        }
        let (tasks, change) = admitted.placed(&self.call, state, &placed, env);
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: Launched {
                cluster,
                tasks,
                failures,
                explanation: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_model::arn::DefinitionReference;
    use berth_model::name::{ClusterName, Family};
    use berth_model::quantity::{CpuUnits, MemoryMib};
    use berth_model::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::change::Change;
    use crate::command::Memory;
    use crate::decide::definition::RegisterDefinition;
    use crate::fold::fold;
    use crate::keys::ClusterKey;
    use crate::observation::InstanceFacts;

    const CLUSTER: ClusterKey = ClusterKey(1);

    fn submit<C: Command>(state: &mut State, command: &C) -> C::Outcome {
        let mut memory = Memory::default();
        let mut env = Env::new(Timestamp::from_millis(1), 7, &mut memory);
        let decision = command.decide(state, &mut env).unwrap();
        decision.changes.iter().for_each(|change| fold(state, change));
        decision.outcome
    }

    /// Two instances of 1000 MiB, and a definition of 400 MiB.
    fn state() -> State {
        let mut state = State::default();
        let name = ClusterName::parse("default").unwrap();
        let (key, tags) = (CLUSTER, Vec::new());
        fold(&mut state, &Change::ClusterCreated { name, key, tags });
        for id in [1, 2] {
            let facts = InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1000),
                attributes: [("ecs.os-type".to_owned(), Some("linux".to_owned()))].into(),
                ..InstanceFacts::default()
            };
            let registered = Change::InstanceRegistered {
                cluster: CLUSTER,
                instance: InstanceId::from_bits(id),
                facts: Arc::new(facts),
                at: Timestamp::from_millis(1),
            };
            fold(&mut state, &registered);
        }
        let definition =
            json!({"family": "web", "containerDefinitions": [{"name": "app", "image": "a", "memory": 400}]});
        let register = RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        };
        submit(&mut state, &register);
        state
    }

    fn start(instances: &[(u128, Option<u64>)]) -> StartTask {
        let chosen = instances.iter().map(|(id, version)| Chosen {
            instance: InstanceId::from_bits(*id),
            version: *version,
        });
        StartTask {
            call: Call::of(
                ClusterName::parse("default").unwrap(),
                DefinitionReference::newest(Family::parse("web").unwrap()),
            ),
            instances: chosen.collect(),
        }
    }

    fn version(state: &State, id: u128) -> u64 {
        let instance = InstanceId::from_bits(id);
        let key = InstanceKey {
            cluster: CLUSTER,
            instance,
        };
        state.instance(key).unwrap().version
    }

    #[test]
    fn of_two_that_chose_by_the_same_version_the_second_hears_of_the_first() {
        let mut state = state();
        let seen = version(&state, 1);
        let first = submit(&mut state, &start(&[(1, Some(seen))]));
        assert_eq!((first.tasks.len(), first.failures.len()), (1, 0));

        let found = version(&state, 1);
        let both = [(1, Some(seen)), (2, Some(version(&state, 2)))];
        let second = submit(&mut state, &start(&both));
        assert_eq!(second.tasks.len(), 1, "the other instance is as it was seen");
        let conflict = Failure::Changed {
            instance: InstanceId::from_bits(1),
            expected: seen,
            found,
        };
        assert_eq!(second.failures, [conflict]);

        // There is room all the same: who looks again gets it.
        let again = submit(&mut state, &start(&[(1, Some(found))]));
        assert_eq!((again.tasks.len(), again.failures.len()), (1, 0));
    }

    #[test]
    fn copies_of_one_call_are_no_conflict_with_each_other() {
        let mut state = state();
        let seen = Some(version(&state, 1));
        let launched = submit(&mut state, &start(&[(1, seen), (1, seen), (1, seen)]));
        assert_eq!(launched.tasks.len(), 2);
        assert!(
            matches!(launched.failures[..], [Failure::Refused(_)]),
            "the third finds no memory"
        );
    }
}
