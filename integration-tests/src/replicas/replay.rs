//! Adds the journal up again, record by record, and holds every state against what must be true of it. Pure.

use std::collections::BTreeSet;

use berth_model::id::TaskId;
use berth_model::status::DesiredStatus;
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, Revision, TaskKey};
use berth_scheduler_core::launch::Launch;
use berth_scheduler_core::state::State;

use super::history::Look;
use super::witness::Witness;

/// Every invariant is checked after so many records, and after one more for so many tasks: it takes as long as all tasks
/// together.
const CHECKED_EVERY: u64 = 64;
const TASKS_A_RECORD: u64 = 16;
/// What is told at most: the rest follows from the first.
const TOLD: usize = 20;

/// The journal so far.
#[derive(Debug, Default)]
pub struct Replay {
    state: State,
    witness: Witness,
    placed: BTreeSet<TaskId>,
    checked: Revision,
    problems: Vec<String>,
}

/// The token under which a client asks, as it is sent.
#[must_use]
pub fn token_text(token: u64) -> String {
    format!("{token:x}")
}

impl Replay {
    /// The next record.
    pub fn add(&mut self, record: &Record) {
        let expected = self.state.revision().next();
        if record.revision != expected {
            self.problem(record.revision, &format!("it should be revision {expected}"));
        }
        let mut touched = BTreeSet::new();
        for change in record.entries.iter().flat_map(|entry| &entry.changes) {
            self.note(record.revision, change, &mut touched);
        }
        fold_record(&mut self.state, record);
        for key in touched {
            self.look(record.revision, key);
        }
        if let Some(instance) = invariant::overcommitted(&self.state).first() {
            self.problem(
                record.revision,
                &format!("instance {} is over-committed", instance.instance),
            );
        }
        let tasks = u64::try_from(self.placed.len()).unwrap_or(u64::MAX);
        if record.revision.0 - self.checked.0 >= CHECKED_EVERY + tasks / TASKS_A_RECORD {
            self.check();
        }
    }

    /// The end: everything is checked once more.
    #[must_use]
    pub fn finish(mut self) -> (State, Witness, Vec<String>) {
        self.check();
        (self.state, self.witness, self.problems)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others change no task")]
    fn note(&mut self, revision: Revision, change: &Change, touched: &mut BTreeSet<TaskKey>) {
        match change {
            Change::TasksPlaced {
                cluster,
                launch,
                placements,
            } => {
                self.note_run(revision, launch, placements.iter().map(|placement| placement.task));
                for placement in placements {
                    if !self.placed.insert(placement.task) {
                        self.problem(revision, &format!("task {} is placed again", placement.task));
                    }
                    touched.insert(key(*cluster, placement.task));
                }
            }
            Change::TaskStopRequested { cluster, task, .. } | Change::TaskObserved { cluster, task, .. } => {
                touched.insert(key(*cluster, *task));
            }
            Change::TasksForgotten { cluster, tasks } => {
                touched.extend(tasks.iter().map(|task| key(*cluster, *task)));
            }
            _ => {}
        }
    }

    fn note_run(&mut self, revision: Revision, launch: &Launch, tasks: impl Iterator<Item = TaskId>) {
        let token = launch.client_token.as_ref();
        if let Some(token) = token.and_then(|token| u64::from_str_radix(&token.token, 16).ok())
            && let Err(problem) = self.witness.ran(token, revision, tasks)
        {
            self.problem(revision, &problem);
        }
    }

    fn look(&mut self, revision: Revision, key: TaskKey) {
        let shown = self.state.task(key).map(|task| Look {
            last: task.last,
            desired: task.desired,
            version: task.version,
        });
        if let (Some(was), Some(is)) = (self.witness.last_look(key.task), shown)
            && (is.last < was.last
                || is.version < was.version
                || (was.desired == DesiredStatus::Stopped && is.desired != was.desired))
        {
            self.problem(revision, &format!("task {} goes from {was:?} back to {is:?}", key.task));
        }
        self.witness.looks(key.task, revision, shown);
    }

    fn check(&mut self) {
        let revision = self.state.revision();
        self.checked = revision;
        for violation in invariant::violations(&self.state) {
            self.problem(revision, &violation);
        }
    }

    fn problem(&mut self, revision: Revision, what: &str) {
        if self.problems.len() < TOLD {
            self.problems.push(format!("revision {revision}: {what}"));
        }
    }
}

#[cfg(test)]
mod tests;

const fn key(cluster: ClusterKey, task: TaskId) -> TaskKey {
    TaskKey { cluster, task }
}
