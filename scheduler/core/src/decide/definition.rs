//! RegisterTaskDefinition and DeregisterTaskDefinition, and what a reference to a definition means.

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{DefinitionId, DefinitionRevision, Family};
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
        let unknown = || {
            Fault::client(
                "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
            )
        };
        let definition = find(state, &self.reference).ok_or_else(unknown)?;
        let id = definition.id.clone();
        let changes = match definition.status {
            DefinitionStatus::Inactive => Vec::new(),
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
        DefinitionStatus::Inactive => Err(Fault::client("TaskDefinition is inactive")),
    }
}
