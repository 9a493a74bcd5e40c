//! The order in which things happened, as the journal has it: of each request when it was carried out, and of each task
//! how it looked from which revision on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::id::TaskId;
use berth_scheduler_core::keys::Revision;

use super::history::{Look, Shown};

/// What the journal bears witness to.
#[derive(Debug, Default, Clone)]
pub struct Witness {
    runs: BTreeMap<u64, Run>,
    lives: BTreeMap<TaskId, Vec<(Revision, Shown)>>,
}

/// A RunTask that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The record that has it.
    pub revision: Revision,
    /// The tasks that it placed.
    pub tasks: BTreeSet<TaskId>,
}

impl Witness {
    /// A request was carried out.
    ///
    /// # Errors
    ///
    /// If it had been before: then a retry has started its tasks anew.
    pub fn ran(
        &mut self,
        token: u64,
        revision: Revision,
        tasks: impl IntoIterator<Item = TaskId>,
    ) -> Result<(), String> {
        let run = Run {
            revision,
            tasks: tasks.into_iter().collect(),
        };
        match self.runs.insert(token, run) {
            None => Ok(()),
            Some(before) => Err(format!(
                "request {token:x} was carried out at revision {} and again at {revision}",
                before.revision
            )),
        }
    }

    /// From a revision on a task looks so; none where it is not there any more.
    pub fn looks(&mut self, task: TaskId, from: Revision, shown: Shown) {
        let life = self.lives.entry(task).or_default();
        if life.last().is_some_and(|(_, before)| *before == shown) {
            return;
        }
        life.push((from, shown));
    }

    /// The request of a token, if it was carried out.
    #[must_use]
    pub fn run(&self, token: u64) -> Option<&Run> {
        self.runs.get(&token)
    }

    /// How many requests were carried out.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How the task looked last.
    #[must_use]
    pub fn last_look(&self, task: TaskId) -> Shown {
        self.lives.get(&task)?.last()?.1
    }

    /// The first revision from which a task's look meets a condition.
    pub fn first(&self, task: TaskId, meets: impl Fn(&Look) -> bool) -> Option<Revision> {
        let life = self.lives.get(&task)?;
        let found = life.iter().find(|(_, shown)| shown.as_ref().is_some_and(&meets));
        found.map(|(revision, _)| *revision)
    }

    /// The first revision, from one on, at which a task looks so.
    #[must_use]
    pub fn shows(&self, task: TaskId, shown: Shown, from: Revision) -> Option<Revision> {
        let stages = self.stages(task);
        let reached = stages.filter(|(_, is, until)| *is == shown && until.is_none_or(|until| from < until));
        reached.map(|(begin, ..)| begin.max(from)).next()
    }

    /// The revision from which a task looks otherwise than at one; none where it stays as it is.
    #[must_use]
    pub fn changes_after(&self, task: TaskId, at: Revision) -> Option<Revision> {
        let life = self.lives.get(&task)?;
        life.iter()
            .map(|(revision, _)| *revision)
            .find(|revision| *revision > at)
    }

    /// How a task looked, each with its first revision and the first of the next look.
    fn stages(&self, task: TaskId) -> impl Iterator<Item = (Revision, Shown, Option<Revision>)> {
        let life = self.lives.get(&task).map(Vec::as_slice).unwrap_or_default();
        let before = (Revision(0), None, life.first().map(|(revision, _)| *revision));
        let known = life.iter().enumerate().map(|(at, (revision, shown))| {
            let until = life.get(at + 1).map(|(revision, _)| *revision);
            (*revision, *shown, until)
        });
        std::iter::once(before).chain(known)
    }
}

#[cfg(test)]
mod tests {
    use berth_model::status::{DesiredStatus, TaskStatus};

    use super::*;

    const TASK: TaskId = TaskId::from_bits(1);

    fn look(version: u64) -> Shown {
        Some(Look {
            last: TaskStatus::Running,
            desired: DesiredStatus::Running,
            version,
        })
    }

    #[test]
    fn a_task_is_found_at_the_revisions_at_which_it_looked_so() {
        let mut witness = Witness::default();
        witness.looks(TASK, Revision(3), look(1));
        witness.looks(TASK, Revision(5), look(2));
        witness.looks(TASK, Revision(6), look(2));
        witness.looks(TASK, Revision(9), None);
        let shows = |shown, from| witness.shows(TASK, shown, Revision(from)).map(|revision| revision.0);
        assert_eq!(shows(None, 0), Some(0));
        assert_eq!(shows(None, 2), Some(2));
        assert_eq!(shows(None, 3), Some(9), "it is gone again");
        assert_eq!(shows(look(1), 0), Some(3));
        assert_eq!(shows(look(1), 4), Some(4));
        assert_eq!(shows(look(1), 5), None);
        assert_eq!(shows(look(2), 1), Some(5));
        assert_eq!(shows(look(2), 8), Some(8));
        assert_eq!(shows(look(3), 0), None);
        assert_eq!(witness.changes_after(TASK, Revision(5)), Some(Revision(9)));
        assert_eq!(witness.changes_after(TASK, Revision(9)), None);
        assert_eq!(
            witness.shows(TaskId::from_bits(2), None, Revision(7)),
            Some(Revision(7))
        );
    }

    #[test]
    fn a_request_that_is_carried_out_twice_is_told() {
        let mut witness = Witness::default();
        assert_eq!(witness.ran(7, Revision(1), [TASK]), Ok(()));
        let error = witness.ran(7, Revision(4), []).unwrap_err();
        assert_eq!(error, "request 7 was carried out at revision 1 and again at 4");
    }
}
