//! Reports on their way to the scheduler: per task the latest state, numbered per message, repeated until recorded.
//!
//! It holds ids alone; whoever sends looks up the state at that moment, so that what was overtaken is never sent.
//! What only shows how far a task has come waits a moment for the status that follows: each message costs the scheduler
//! a record, and a start would cost it four.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use berth_model::id::TaskId;
use berth_model::time::Timestamp;

/// Messages on their way at a time: what changes meanwhile waits and is sent as one.
const WINDOW: usize = 8;
/// Tasks in one message.
const BATCH: usize = 256;
/// How long progress waits for something else to be told of its task.
const PROGRESS: Duration = Duration::from_millis(500);

/// What is still to be told.
#[derive(Debug, Default, Clone)]
pub struct Outbox {
    waiting: BTreeSet<TaskId>,
    /// Tasks of which only progress is to be told, with when it began to wait.
    progressed: BTreeMap<TaskId, Timestamp>,
    sent: VecDeque<Message>,
    last: u64,
}

#[derive(Debug, Clone)]
struct Message {
    sequence: u64,
    /// Each task with whether the message told its end.
    tasks: BTreeMap<TaskId, bool>,
}

impl Outbox {
    /// The state of the task has changed.
    pub fn changed(&mut self, task: TaskId) {
        self.progressed.remove(&task);
        self.waiting.insert(task);
    }

    /// The task has come further, and nothing else of it has changed.
    pub fn progressed(&mut self, task: TaskId, now: Timestamp) {
        if !self.waiting.contains(&task) {
            self.progressed.entry(task).or_insert(now);
        }
    }

    /// How long it is from now until progress is to be told; none where there is none.
    #[must_use]
    pub fn next_progress(&self, now: Timestamp) -> Option<Duration> {
        let since = self.progressed.values().min()?;
        // The host's clock may go back; nothing waits longer for it.
        Some((*since + PROGRESS).since(now).min(PROGRESS))
    }

    /// The task is no more.
    pub fn forget(&mut self, task: TaskId) {
        self.waiting.remove(&task);
        self.progressed.remove(&task);
        for message in &mut self.sent {
            message.tasks.remove(&task);
        }
    }

    /// The next message: its number and its tasks, of which `ended` says whether their end is told. None when nothing
    /// waits, or enough is on its way.
    pub fn next_message(&mut self, now: Timestamp, ended: impl Fn(TaskId) -> bool) -> Option<(u64, Vec<TaskId>)> {
        let waits = |since: Timestamp| since <= now && now < since + PROGRESS;
        let due = self.progressed.extract_if(.., |_, since| !waits(*since));
        self.waiting.extend(due.map(|(task, _)| task));
        if self.waiting.is_empty() || self.sent.len() >= WINDOW {
            return None;
        }
        let tasks: Vec<TaskId> = self.waiting.iter().copied().take(BATCH).collect();
        for task in &tasks {
            self.waiting.remove(task);
        }
        self.last += 1;
        self.sent.push_back(Message {
            sequence: self.last,
            tasks: tasks.iter().map(|task| (*task, ended(*task))).collect(),
        });
        Some((self.last, tasks))
    }

    /// All messages up to the sequence are durable. Returns the tasks whose end is among them.
    pub fn recorded(&mut self, sequence: u64) -> Vec<TaskId> {
        let mut ends = Vec::new();
        while let Some(message) = self.sent.pop_front_if(|message| message.sequence <= sequence) {
            ends.extend(message.tasks.into_iter().filter(|(_, end)| *end).map(|(task, _)| task));
        }
        ends
    }

    /// A new stream: numbers begin anew, and what was not recorded is sent again.
    pub fn reset(&mut self) {
        for message in self.sent.drain(..) {
            self.waiting.extend(message.tasks.into_keys());
        }
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TaskId = TaskId::from_bits(1);
    const B: TaskId = TaskId::from_bits(2);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn the_latest_state_is_sent_once_and_repeated_until_recorded() {
        let mut outbox = Outbox::default();
        outbox.changed(A);
        outbox.changed(A);
        outbox.changed(B);
        assert_eq!(outbox.next_message(NOW, |task| task == B), Some((1, vec![A, B])));
        assert_eq!(outbox.next_message(NOW, |_| false), None);
        outbox.changed(A);
        assert_eq!(outbox.next_message(NOW, |_| true), Some((2, vec![A])));
        assert_eq!(outbox.recorded(1), [B]);
        outbox.reset();
        assert_eq!(outbox.next_message(NOW, |_| true), Some((1, vec![A])));
        assert_eq!(outbox.recorded(1), [A]);
        outbox.reset();
        assert_eq!(outbox.next_message(NOW, |_| true), None);
    }

    #[test]
    fn no_more_than_a_window_is_on_its_way() {
        let mut outbox = Outbox::default();
        for number in 0..100_u64 {
            outbox.changed(TaskId::from_bits(u128::from(number)));
            let sent = outbox.next_message(NOW, |_| false);
            assert_eq!(sent.is_some(), number < WINDOW as u64, "{number}");
        }
        outbox.recorded(1);
        assert_eq!(
            outbox.next_message(NOW, |_| false).map(|(_, tasks)| tasks.len()),
            Some(100 - WINDOW)
        );
    }

    #[test]
    fn a_forgotten_task_is_told_no_more() {
        let mut outbox = Outbox::default();
        outbox.changed(A);
        outbox.next_message(NOW, |_| true);
        outbox.changed(A);
        outbox.forget(A);
        assert_eq!(outbox.recorded(1), []);
        assert_eq!(outbox.next_message(NOW, |_| true), None);
    }

    #[test]
    fn progress_waits_for_the_status_that_follows_but_not_long() {
        let mut outbox = Outbox::default();
        let at = |millis: u64| NOW + Duration::from_millis(millis);
        outbox.progressed(A, NOW);
        outbox.progressed(B, at(100));
        assert_eq!(outbox.next_message(at(100), |_| false), None);
        assert_eq!(outbox.next_progress(at(100)), Some(Duration::from_millis(400)));
        outbox.changed(B);
        assert_eq!(outbox.next_message(at(200), |_| false), Some((1, vec![B])));
        outbox.progressed(A, at(400));
        assert_eq!(outbox.next_message(at(500), |_| false), Some((2, vec![A])));
        assert_eq!(
            (outbox.next_progress(at(500)), outbox.next_message(at(2000), |_| false)),
            (None, None)
        );
    }

    #[test]
    fn a_clock_that_goes_back_holds_no_progress_up() {
        let mut outbox = Outbox::default();
        outbox.progressed(A, NOW + Duration::from_secs(3600));
        assert_eq!(outbox.next_progress(NOW), Some(PROGRESS));
        assert_eq!(outbox.next_message(NOW, |_| false), Some((1, vec![A])));
    }

    #[test]
    fn progress_of_a_forgotten_task_is_not_told() {
        let mut outbox = Outbox::default();
        outbox.progressed(A, NOW);
        outbox.forget(A);
        assert_eq!(outbox.next_message(NOW + PROGRESS, |_| false), None);
    }
}
