//! Which task definitions an agent holds: those that its tasks need, and a few that may be needed again.
//!
//! The scheduler alone decides what an agent keeps, and says so; both sides forget with the same message. What an agent
//! holds is thereby bounded by the tasks that it has, however many revisions come and go.

use std::collections::{BTreeMap, VecDeque};

use berth_model::id::DefinitionId;

/// Definitions that no task needs and that are kept all the same: tasks that come one after the other would have the
/// same one sent each time.
const SPARE: usize = 16;

/// The definitions that one agent holds.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// With the number of tasks that need it.
    held: BTreeMap<DefinitionId, usize>,
    /// Those that none needs, in the order in which they came to that.
    unused: VecDeque<DefinitionId>,
}

impl Definitions {
    /// One task more needs the definition. Says whether the agent does not hold it yet.
    pub(super) fn need(&mut self, id: &DefinitionId) -> bool {
        if let Some(tasks) = self.held.get_mut(id) {
            *tasks += 1;
            if *tasks == 1 {
                self.unused.retain(|unused| unused != id);
            }
            return false;
        }
        self.held.insert(id.clone(), 1);
        true
    }

    /// One task less needs it.
    pub(super) fn release(&mut self, id: &DefinitionId) {
        let Some(tasks) = self.held.get_mut(id) else { return };
        *tasks = tasks.saturating_sub(1);
        if *tasks == 0 && !self.unused.contains(id) {
            self.unused.push_back(id.clone());
        }
    }

    /// Forgets what is over the spare ones, and gives it.
    pub(super) fn forget_unused(&mut self) -> Vec<DefinitionId> {
        let surplus = self.unused.len().saturating_sub(SPARE);
        let forgotten: Vec<DefinitionId> = self.unused.drain(..surplus).collect();
        for id in &forgotten {
            self.held.remove(id);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use berth_model::id::DefinitionRevision;
    use berth_model::name::Family;

    use super::*;

    fn id(revision: u32) -> DefinitionId {
        DefinitionId {
            family: Family::parse("web").unwrap(),
            revision: DefinitionRevision(revision),
        }
    }

    #[test]
    fn what_a_task_needs_is_never_forgotten() {
        let mut definitions = Definitions::default();
        assert!(definitions.need(&id(0)));
        assert!(!definitions.need(&id(0)));
        definitions.release(&id(0));
        for revision in 1..1000 {
            assert!(definitions.need(&id(revision)), "{revision}");
            definitions.release(&id(revision));
            assert!(!definitions.forget_unused().contains(&id(0)), "{revision}");
            assert!(definitions.held.len() <= 1 + SPARE);
        }
        assert!(!definitions.need(&id(0)));
    }

    #[test]
    fn the_longest_unused_goes_first_and_is_carried_again() {
        let mut definitions = Definitions::default();
        let revisions = || 0..=u32::try_from(SPARE).unwrap();
        for revision in revisions() {
            definitions.need(&id(revision));
        }
        revisions().for_each(|revision| definitions.release(&id(revision)));
        // Needed in between, it is the youngest.
        assert!(!definitions.need(&id(0)));
        definitions.release(&id(0));
        assert_eq!(definitions.forget_unused(), [id(1)]);
        assert_eq!(definitions.forget_unused(), []);
        assert!(definitions.need(&id(1)));
        assert!(!definitions.need(&id(2)));
    }
}
