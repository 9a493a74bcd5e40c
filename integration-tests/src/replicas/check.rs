//! Whether what clients were told can be true, given the order that the journal bears witness to. Pure.
//!
//! Of each operation the earliest revision is found at which it can have been answered, and operations of which one had
//! ended before the other began must not be in the other order:
//!
//! * what changes something is where the journal has it, behind everything that had been answered by *any* scheduler;
//! * what asks for a change and finds it made is answered of a state that has everything that had been answered by any
//!   scheduler;
//! * a read is a state that was the journal's at one revision, with everything that *its* scheduler had answered, or the
//!   state at the revision that was asked for;
//! * the revision that an answer names is that of the read, or has the change.
//!
//! An operation without an answer may be in the journal or not, at any time after it began.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::time::Duration;

use berth_model::id::TaskId;
use berth_model::status::DesiredStatus;
use berth_scheduler_core::keys::Revision;

use super::history::{Answer, Call, Operation, Shown};
use super::witness::Witness;

#[cfg(test)]
mod tests;

/// What cannot be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation, as a place in the history.
    pub operation: usize,
    /// What is wrong with it.
    pub what: String,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What cannot be true.
    pub violations: Vec<Violation>,
    /// Reads without something that another scheduler had answered before they began: as they may be.
    pub old_reads: usize,
    /// How long before such a read the oldest answer was that it did not have, at most.
    pub oldest: Duration,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.operation, self.what)
    }
}

/// Holds a history against the journal.
#[must_use]
pub fn check(history: &[Operation], witness: &Witness) -> Verdict {
    let mut checker = Checker {
        witness,
        requests: requests(history),
        known: Known::default(),
        verdict: Verdict::default(),
    };
    let mut begins: Vec<usize> = (0..history.len()).collect();
    begins.sort_by_key(|at| history[*at].began);
    // Those under way whose answer tells something, the first to end first.
    let mut under_way: BinaryHeap<Reverse<(Duration, usize, Revision)>> = BinaryHeap::new();
    for at in begins {
        let operation = &history[at];
        while let Some(Reverse((ended, which, revision))) = under_way.peek().copied()
            && ended < operation.began
        {
            under_way.pop();
            checker.known.learn(history[which].scheduler, revision, ended);
        }
        let placed = checker.place(operation);
        match placed.and_then(|least| Checker::named(operation, least)) {
            Ok(None) => {}
            Ok(Some(revision)) => under_way.push(Reverse((operation.ended, at, revision))),
            Err(what) => checker.verdict.violations.push(Violation { operation: at, what }),
        }
    }
    checker.verdict
}

/// The attempts of one request.
#[derive(Debug, Default, Clone, Copy)]
struct Request {
    /// When the first was made.
    began: Duration,
    /// All were refused.
    refused: bool,
}

fn requests(history: &[Operation]) -> BTreeMap<u64, Request> {
    let mut requests: BTreeMap<u64, Request> = BTreeMap::new();
    for operation in history {
        if let Call::Run { token, answer } = &operation.call {
            let request = requests.entry(*token).or_insert(Request {
                began: operation.began,
                refused: true,
            });
            request.began = request.began.min(operation.began);
            request.refused &= *answer == Answer::Refused;
        }
    }
    requests
}

/// What had been answered by a time.
#[derive(Debug, Default)]
struct Known {
    all: Revision,
    by: BTreeMap<usize, Revision>,
    /// Each time at which an answer told of a revision beyond all before.
    steps: Vec<(Revision, Duration)>,
}

impl Known {
    fn learn(&mut self, scheduler: usize, revision: Revision, at: Duration) {
        let own = self.by.entry(scheduler).or_default();
        *own = (*own).max(revision);
        if revision > self.all {
            self.all = revision;
            self.steps.push((revision, at));
        }
    }

    fn of(&self, scheduler: usize) -> Revision {
        self.by.get(&scheduler).copied().unwrap_or_default()
    }

    /// When something beyond a revision was answered first.
    fn beyond(&self, revision: Revision) -> Option<Duration> {
        let at = self.steps.partition_point(|(known, _)| *known <= revision);
        self.steps.get(at).map(|(_, at)| *at)
    }
}

struct Checker<'a> {
    witness: &'a Witness,
    requests: BTreeMap<u64, Request>,
    known: Known,
    verdict: Verdict,
}

impl Checker<'_> {
    /// The earliest revision of which the operation can have been answered; none where it was not answered.
    fn place(&mut self, operation: &Operation) -> Result<Option<Revision>, String> {
        match &operation.call {
            Call::Run { token, answer } => self.run(operation, *token, answer),
            Call::Stop { task, answer } => self.stop(*task, answer),
            Call::Describe { at, answer } => {
                let Some(shown) = answer.acknowledged() else {
                    return Ok(None);
                };
                let least = match at {
                    Some(at) => *at,
                    None => self.read(operation, shown)?,
                };
                let named = operation.revision.unwrap_or(least);
                if at.is_some_and(|at| at != named) {
                    return Err(format!("revision {least} was asked for, {named} was answered"));
                }
                let other = |(task, shown): &&(TaskId, Shown)| self.witness.shows(*task, *shown, named) != Some(named);
                match shown.iter().find(other) {
                    Some((task, shown)) => Err(format!(
                        "task {task} was shown as {shown:?}, which it was not at revision {named}"
                    )),
                    None => Ok(Some(least)),
                }
            }
        }
    }

    /// The revision that the answer names, which is not before the earliest of which it can be.
    fn named(operation: &Operation, least: Option<Revision>) -> Result<Option<Revision>, String> {
        match (operation.revision, least) {
            (Some(named), Some(least)) if named < least => Err(format!(
                "the answer is said to be of revision {named}, and is of {least} or later"
            )),
            (Some(named), Some(_)) => Ok(Some(named)),
            (_, least) => Ok(least),
        }
    }

    fn run(&self, operation: &Operation, token: u64, answer: &Answer<Vec<TaskId>>) -> Result<Option<Revision>, String> {
        let request = self.requests.get(&token).copied().unwrap_or_default();
        let run = self.witness.run(token);
        if let Some(run) = run {
            if request.refused {
                return Err(format!(
                    "request {token:x} was refused and is at revision {}",
                    run.revision
                ));
            }
            let is_empty = answer.acknowledged().is_some_and(Vec::is_empty);
            if (operation.began == request.began || is_empty) && run.revision <= self.known.all {
                return Err(format!(
                    "request {token:x} is at revision {}, and {} had been answered before it was made",
                    run.revision, self.known.all
                ));
            }
        }
        let Some(told) = answer.acknowledged() else {
            return Ok(None);
        };
        if told.is_empty() {
            return Ok(Some(self.known.all));
        }
        let Some(run) = run else {
            return Err(format!("request {token:x} was acknowledged and is not in the journal"));
        };
        let told: BTreeSet<TaskId> = told.iter().copied().collect();
        if told != run.tasks {
            return Err(format!(
                "request {token:x} was told of the tasks {told:?}, the journal has {:?}",
                run.tasks
            ));
        }
        Ok(Some(run.revision.max(self.known.all)))
    }

    fn stop(&self, task: TaskId, answer: &Answer<Shown>) -> Result<Option<Revision>, String> {
        let before = self.known.all;
        match answer.acknowledged() {
            None => Ok(None),
            Some(None) => match self.witness.shows(task, None, before) {
                Some(revision) => Ok(Some(revision)),
                None => Err(format!(
                    "task {task} was said not to exist; it was there at {before} and is since"
                )),
            },
            Some(shown) => {
                let stopped = self.witness.first(task, |look| look.desired == DesiredStatus::Stopped);
                let Some(stopped) = stopped else {
                    return Err(format!(
                        "the stop of task {task} was acknowledged and is not in the journal"
                    ));
                };
                let from = stopped.max(before);
                match self.witness.shows(task, *shown, from) {
                    Some(revision) => Ok(Some(revision)),
                    None => Err(format!(
                        "task {task} was shown as {shown:?}, which it was not from {from} on"
                    )),
                }
            }
        }
    }

    fn read(&mut self, operation: &Operation, shown: &[(TaskId, Shown)]) -> Result<Revision, String> {
        let floor = self.known.of(operation.scheduler);
        let Some(revision) = self.together(shown, floor) else {
            return Err(match self.together(shown, Revision(0)) {
                Some(old) => format!(
                    "scheduler {} showed revision {old} after it had answered of {floor}",
                    operation.scheduler
                ),
                None => format!("the journal never had all of {shown:?} at a time"),
            });
        };
        // The newest that it can have been.
        let until = shown
            .iter()
            .filter_map(|(task, _)| self.witness.changes_after(*task, revision))
            .min();
        if let Some(until) = until
            && until <= self.known.all
        {
            self.verdict.old_reads += 1;
            let newest = Revision(until.0.saturating_sub(1));
            let lag = self.known.beyond(newest).map(|at| operation.began.saturating_sub(at));
            self.verdict.oldest = self.verdict.oldest.max(lag.unwrap_or_default());
        }
        Ok(revision)
    }

    /// The first revision, from one on, at which all tasks looked so.
    fn together(&self, shown: &[(TaskId, Shown)], from: Revision) -> Option<Revision> {
        let mut at = from;
        loop {
            let mut next = at;
            for (task, shown) in shown {
                next = self.witness.shows(*task, *shown, next)?;
            }
            if next == at {
                return Some(at);
            }
            at = next;
        }
    }
}
