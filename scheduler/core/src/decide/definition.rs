//! RegisterTaskDefinition, DeregisterTaskDefinition and DeleteTaskDefinitions, and what a reference to a definition means.

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{DefinitionId, DefinitionRevision};
use berth_model::name::Family;
use berth_model::status::DefinitionStatus;
use berth_model::tag::Tag;
use berth_model::task_definition::TaskDefinition;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::state::{RegisteredDefinition, State};

/// Revisions of one family, at most (ECS service quotas).
const MAX_REVISIONS: u32 = 1_000_000;

/// Adds the next revision to a family.
#[derive(Debug, Clone)]
pub struct RegisterDefinition {
    /// The family, which the definition names too.
    pub family: Family,
    /// The definition, validated.
    pub definition: Arc<TaskDefinition>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Turns a revision INACTIVE; what runs on it goes on.
#[derive(Debug, Clone)]
pub struct DeregisterDefinition {
    /// Which one; the revision must be named.
    pub reference: DefinitionReference,
}

/// Lets INACTIVE revisions go as soon as nothing uses them any more.
#[derive(Debug, Clone)]
pub struct DeleteDefinitions {
    /// Which.
    pub ids: Vec<DefinitionId>,
}

/// A revision that was to be deleted, and why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: DefinitionId,
    /// Why, in ECS's words.
    pub reason: &'static str,
}

/// What ECS says of a revision that it does not know.
const UNKNOWN: &str =
    "The specified task definition does not exist. Specify a valid account, family, revision and try again.";
/// What ECS says of one that cannot be deleted yet.
const ACTIVE: &str =
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again.";

impl Command for DeleteDefinitions {
    /// Of each, in order, that it is being deleted or why not.
    type Outcome = Vec<Result<DefinitionId, Kept>>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Self::Outcome>, Fault> {
        let mut changes = Vec::new();
        let mut outcome = Vec::new();
        for (at, id) in self.ids.iter().enumerate() {
            let kept = |reason| Err(Kept { id: id.clone(), reason });
            outcome.push(match state.definition(id).map(|known| known.status) {
                None => kept(UNKNOWN),
                Some(DefinitionStatus::Active) => kept(ACTIVE),
                Some(DefinitionStatus::DeleteInProgress) => Ok(id.clone()),
                Some(DefinitionStatus::Inactive) => {
                    if !self.ids[..at].contains(id) {
                        changes.push(deletion(id.clone(), env));
                    }
                    Ok(id.clone())
                }
            });
        }
        Ok(Decision { changes, outcome })
    }
}

pub(super) fn deletion(id: DefinitionId, env: &Env<'_>) -> Change {
    Change::DefinitionDeletionRequested { id, at: env.now() }
}

impl Command for RegisterDefinition {
    type Outcome = DefinitionId;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<DefinitionId>, Fault> {
        let family = state.family(&self.family);
        let revision = family.map_or(DefinitionRevision(1), |revisions| revisions.next_revision());
        if revision.0 > MAX_REVISIONS {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!(
                    "family '{}' has {MAX_REVISIONS} revisions, no more are allowed.",
                    self.family
                ),
            ));
        }
        let id = DefinitionId {
            family: self.family.clone(),
            revision,
        };
        let registered = Change::DefinitionRegistered {
            id: id.clone(),
            definition: Arc::clone(&self.definition),
            tags: self.tags.clone(),
            at: env.now(),
        };
        Ok(Decision {
            changes: vec![registered],
            outcome: id,
        })
    }
}

impl Command for DeregisterDefinition {
    type Outcome = DefinitionId;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<DefinitionId>, Fault> {
        if self.reference.revision.is_none() {
            return Err(Fault::client("Revision is missing."));
        }
        let definition = find(state, &self.reference).ok_or_else(|| Fault::client(UNKNOWN))?;
        let id = definition.id.clone();
        let changes = match definition.status {
            DefinitionStatus::Inactive | DefinitionStatus::DeleteInProgress => Vec::new(),
            DefinitionStatus::Active => vec![Change::DefinitionDeregistered {
                id: id.clone(),
                at: env.now(),
            }],
        };
        Ok(Decision { changes, outcome: id })
    }
}

/// The definition that a reference means: the newest ACTIVE revision where it names none.
#[must_use]
pub fn find<'s>(state: &'s State, reference: &DefinitionReference) -> Option<&'s Arc<RegisteredDefinition>> {
    let family = state.family(&reference.family)?;
    match reference.revision {
        Some(revision) => family.get(revision),
        None => family.newest_active(),
    }
}

/// The definition that new tasks may run.
pub(super) fn runnable<'s>(
    state: &'s State,
    reference: &DefinitionReference,
) -> Result<&'s Arc<RegisteredDefinition>, Fault> {
    let definition = find(state, reference).ok_or_else(|| Fault::client("TaskDefinition not found."))?;
    match definition.status {
        DefinitionStatus::Active => Ok(definition),
        DefinitionStatus::Inactive | DefinitionStatus::DeleteInProgress => {
            Err(Fault::client("TaskDefinition is inactive"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::time::Timestamp;

    use super::*;
    use crate::command::Memory;
    use crate::decide::upkeep::{ExpireDefinitions, ForgetDefinitions, unused_definitions};
    use crate::fold::fold;
    use crate::keys::{ClusterKey, Revision};
    use crate::launch::Launch;
    use crate::snapshot::{Restoration, pieces};

    fn family() -> Family {
        Family::parse("web").unwrap()
    }

    fn web(revision: u32) -> DefinitionId {
        DefinitionId {
            family: family(),
            revision: DefinitionRevision(revision),
        }
    }

    fn submit<C: Command>(state: &mut State, command: &C) -> C::Outcome {
        let mut memory = Memory::default();
        let mut env = Env::new(Timestamp::from_millis(1000), 1, &mut memory);
        let decision = command.decide(state, &mut env).unwrap();
        decision.changes.iter().for_each(|change| fold(state, change));
        decision.outcome
    }

    /// Revisions 1 to 3, of which the first two are INACTIVE.
    fn state() -> State {
        let mut state = State::default();
        for _ in 0..3 {
            register(&mut state);
        }
        for revision in [1, 2] {
            let reference = DefinitionReference {
                family: family(),
                revision: Some(DefinitionRevision(revision)),
            };
            submit(&mut state, &DeregisterDefinition { reference });
        }
        state
    }

    fn register(state: &mut State) -> DefinitionId {
        let definition = serde_json::json!({"family": "web", "containerDefinitions": []});
        let command = RegisterDefinition {
            family: family(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        };
        submit(state, &command)
    }

    fn run(state: &mut State, definition: &DefinitionId) {
        let launch = serde_json::json!({
            "definition": definition, "demand": {"cpu": 0, "memory": 0, "ports": [], "gpus": 0}, "group": "g", "created_at": 1,
        });
        let launch: Launch = serde_json::from_value(launch).unwrap();
        let change = Change::TasksPlaced {
            cluster: ClusterKey(1),
            launch: Arc::new(launch),
            placements: vec![crate::launch::Placement {
                task: berth_model::id::TaskId::from_bits(1),
                instance: berth_model::id::InstanceId::from_bits(1),
                gpus: Arc::new([]),
            }],
        };
        fold(state, &change);
    }

    fn forget(state: &mut State) -> usize {
        let unused = unused_definitions(state);
        submit(state, &ForgetDefinitions { unused })
    }

    #[test]
    fn only_what_is_inactive_is_deleted_and_each_once() {
        let mut state = state();
        let ids = vec![web(1), web(3), web(9), web(1)];
        let outcome = submit(&mut state, &DeleteDefinitions { ids });
        let reasons: Vec<_> = outcome.into_iter().map(|one| one.map_err(|kept| kept.reason)).collect();
        assert_eq!(reasons, [Ok(web(1)), Err(ACTIVE), Err(UNKNOWN), Ok(web(1))]);
        let deleting: Vec<_> = state.deleting().cloned().collect();
        assert_eq!(deleting, [web(1)]);
        let reference = DefinitionReference {
            family: family(),
            revision: Some(DefinitionRevision(1)),
        };
        let fault = runnable(&state, &reference).unwrap_err();
        assert_eq!(fault.message, "TaskDefinition is inactive");
    }

    #[test]
    fn what_a_task_uses_is_kept_until_the_task_is_forgotten() {
        let mut state = state();
        run(&mut state, &web(1));
        submit(
            &mut state,
            &DeleteDefinitions {
                ids: vec![web(1), web(2)],
            },
        );
        assert_eq!((forget(&mut state), forget(&mut state)), (1, 0));
        assert!(state.definition(&web(1)).is_some() && state.definition(&web(2)).is_none());
    }

    #[test]
    fn the_number_of_what_is_gone_is_never_given_again() {
        let mut state = state();
        let reference = DefinitionReference {
            family: family(),
            revision: Some(DefinitionRevision(3)),
        };
        submit(&mut state, &DeregisterDefinition { reference });
        submit(
            &mut state,
            &DeleteDefinitions {
                ids: vec![web(1), web(2), web(3)],
            },
        );
        assert_eq!(forget(&mut state), 3);
        assert!(state.family(&family()).unwrap().is_deleted());
        let mut restored = Restoration::default();
        pieces(&state).for_each(|piece| restored.add(piece));
        let mut restored = restored.finish(Revision(0));
        assert_eq!(restored, state);
        assert_eq!(register(&mut restored), web(4));
    }

    #[test]
    fn what_has_been_inactive_for_long_expires() {
        let mut state = state();
        let expire = |millis, limit| ExpireDefinitions {
            retention: Duration::from_millis(millis),
            limit,
        };
        assert_eq!(submit(&mut state, &expire(5000, 9)), 0);
        for id in [web(1), web(2)] {
            let at = Timestamp::from_millis(10);
            fold(&mut state, &Change::DefinitionDeregistered { id, at });
        }
        assert_eq!(submit(&mut state, &expire(500, 1)), 1);
        assert_eq!(submit(&mut state, &expire(500, 9)), 1);
        assert_eq!(state.deleting().count(), 2, "what is ACTIVE stays");
    }
}
