//! Task definitions as they are registered.

use std::sync::Arc;

use berth_model::id::{DefinitionId, DefinitionRevision};
use berth_model::query::Expression;
use berth_model::status::DefinitionStatus;
use berth_model::tag::Tag;
use berth_model::task_definition::{TaskDefinition, capability};
use berth_model::time::Timestamp;
use imbl::OrdMap;

/// The revisions of a family.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FamilyRevisions {
    /// The greatest number that a revision ever had.
    pub(crate) last: u32,
    pub(crate) revisions: OrdMap<DefinitionRevision, Arc<RegisteredDefinition>>,
}

/// One revision.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredDefinition {
    /// Family and revision.
    pub id: DefinitionId,
    /// What it says.
    pub definition: Arc<TaskDefinition>,
    /// ACTIVE until it is deregistered.
    pub status: DefinitionStatus,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was deregistered.
    pub deregistered_at: Option<Timestamp>,
    /// When its deletion was asked for.
    pub delete_requested_at: Option<Timestamp>,
    /// The attributes that an instance must have, derived from the content.
    pub required_attributes: Arc<[String]>,
    /// Its `memberOf` constraints, derived from the content.
    pub constraints: Arc<[Expression]>,
}

impl RegisteredDefinition {
    /// A new ACTIVE revision, with what follows from its content.
    #[must_use]
    pub fn new(id: DefinitionId, definition: Arc<TaskDefinition>, tags: Vec<Tag>, registered_at: Timestamp) -> Self {
        let required_attributes = capability::required_by(&definition).into();
        // The definition was validated before it became a fact; what does not parse cannot stand in it.
        let constraints = berth_model::placement::parse_definition_constraints(&definition.placement_constraints)
            .unwrap_or_default()
            .into();
        Self {
            id,
            definition,
            status: DefinitionStatus::Active,
            tags,
            registered_at,
            deregistered_at: None,
            delete_requested_at: None,
            required_attributes,
            constraints,
        }
    }
}

impl FamilyRevisions {
    /// One revision.
    #[must_use]
    pub fn get(&self, revision: DefinitionRevision) -> Option<&Arc<RegisteredDefinition>> {
        self.revisions.get(&revision)
    }

    /// The newest revision that is ACTIVE.
    #[must_use]
    pub fn newest_active(&self) -> Option<&Arc<RegisteredDefinition>> {
        let mut newest_first = self.revisions.values().rev();
        newest_first.find(|definition| definition.status == DefinitionStatus::Active)
    }

    /// The number that the next revision gets: never one that was used before.
    #[must_use]
    pub fn next_revision(&self) -> DefinitionRevision {
        DefinitionRevision(self.last.saturating_add(1))
    }

    /// Whether it has no revision that is ACTIVE or INACTIVE: it is known for its numbers alone.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        let is_left = |known: &Arc<RegisteredDefinition>| known.status != DefinitionStatus::DeleteInProgress;
        !self.revisions.values().any(is_left)
    }

    pub(crate) fn add(&mut self, registered: RegisteredDefinition) {
        let revision = registered.id.revision;
        self.last = self.last.max(revision.0);
        self.revisions.insert(revision, Arc::new(registered));
    }

    /// The revisions, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<RegisteredDefinition>> {
        self.revisions.values()
    }
}
