//! What happens to task definitions.

use std::sync::Arc;

use berth_model::id::DefinitionId;
use berth_model::status::DefinitionStatus;

use crate::change::Change;
use crate::state::{RegisteredDefinition, State};

/// Adds a change of a definition; others are none of its business.
#[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
pub(super) fn fold(state: &mut State, change: &Change) {
    match change {
        Change::DefinitionRegistered {
            id,
            definition,
            tags,
            at,
        } => {
            let registered = RegisteredDefinition::new(id.clone(), Arc::clone(definition), tags.clone(), *at);
            add_definition(state, registered);
        }
        Change::DefinitionDeregistered { id, at } => with_definition(state, id, |definition| {
            definition.status = DefinitionStatus::Inactive;
            definition.deregistered_at = Some(*at);
        }),
        Change::DefinitionDeletionRequested { id, at } => {
            with_definition(state, id, |definition| {
                definition.status = DefinitionStatus::DeleteInProgress;
                definition.delete_requested_at = Some(*at);
            });
            state.deleting.insert(id.clone());
        }
        Change::DefinitionsForgotten { ids } => {
            for id in ids {
                state.deleting.remove(id);
                // The family stays: its numbers are never given again.
                if let Some(family) = state.families.get_mut(&id.family) {
                    Arc::make_mut(family).revisions.remove(&id.revision);
                }
            }
        }
        _ => {}
    }
}

/// Adds a revision, whatever its status.
pub(crate) fn add_definition(state: &mut State, registered: RegisteredDefinition) {
    if registered.status == DefinitionStatus::DeleteInProgress {
        state.deleting.insert(registered.id.clone());
    }
    let family = state.families.entry(registered.id.family.clone()).or_default();
    Arc::make_mut(family).add(registered);
}

pub(super) fn with_definition(state: &mut State, id: &DefinitionId, edit: impl FnOnce(&mut RegisteredDefinition)) {
    if let Some(family) = state.families.get_mut(&id.family)
        && let Some(definition) = Arc::make_mut(family).revisions.get_mut(&id.revision)
    {
        edit(Arc::make_mut(definition));
    }
}
