//! Records on their way to disk. One batch is written at a time; what changes meanwhile is packed into the next, so
//! that many tasks share one wait for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_model::id::TaskId;
use tokio::sync::mpsc;

use super::step::Task;
use crate::event::Event;
use crate::spool::{self, Change, Writer};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is to be written and what is being written.
#[derive(Debug)]
pub(super) struct Store {
    writer: Writer,
    events: mpsc::Sender<Event>,
    dirty: BTreeSet<TaskId>,
    removed: BTreeSet<TaskId>,
    /// The assignments that what is dirty belongs to.
    applied: Option<(u64, u64)>,
    writing: Option<Batch>,
}

/// What becomes durable at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Tasks with the version of theirs that was written.
    pub(super) versions: Vec<(TaskId, u64)>,
    /// The session and the version of assignments that are durable with it.
    pub(super) applied: Option<(u64, u64)>,
}

impl Store {
    pub(super) fn new(writer: Writer, events: mpsc::Sender<Event>) -> Self {
        Self {
            writer,
            events,
            dirty: BTreeSet::new(),
            removed: BTreeSet::new(),
            applied: None,
            writing: None,
        }
    }

    /// The task's record has changed.
    pub(super) fn changed(&mut self, task: TaskId) {
        self.dirty.insert(task);
    }

    /// The task is no more.
    pub(super) fn remove(&mut self, task: TaskId) {
        self.dirty.remove(&task);
        self.removed.insert(task);
    }

    /// All that changed up to now belongs to this version of the assignments of this session.
    pub(super) fn applied(&mut self, session: u64, version: u64) {
        self.applied = Some((session, version));
    }

    /// Begins to write what has changed, unless a batch is on its way; [`Event::Spooled`] follows.
    pub(super) fn flush(&mut self, tasks: &BTreeMap<TaskId, Task>) {
        if self.writing.is_some() || (self.dirty.is_empty() && self.removed.is_empty() && self.applied.is_none()) {
            return;
        }
        let mut batch = Batch {
            versions: Vec::new(),
            applied: self.applied.take(),
        };
        let mut changes: Vec<Change> = std::mem::take(&mut self.removed)
            .into_iter()
            .map(Change::Remove)
            .collect();
        for id in std::mem::take(&mut self.dirty) {
            let Some(task) = tasks.get(&id) else { continue };
            match spool::encode(task.machine.record()) {
                Ok(content) => {
                    changes.push(Change::Write(id, content));
                    batch.versions.push((id, task.version));
                }
                Err(error) => tracing::error!(task = %id, %error, "record cannot be encoded"),
            }
        }
        self.writing = Some(batch);
        drop(tokio::spawn(write(self.writer.clone(), changes, self.events.clone())));
    }

    /// What has become durable.
    pub(super) fn written(&mut self) -> Batch {
        self.writing.take().unwrap_or_default()
    }
}

/// Writes until it is written: a disk that is full or gone stops new steps, not what runs.
async fn write(writer: Writer, changes: Vec<Change>, events: mpsc::Sender<Event>) {
    let mut pause = FIRST_PAUSE;
    let changes = std::sync::Arc::new(changes);
    while !changes.is_empty() {
        match writer.commit(std::sync::Arc::clone(&changes)).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "records cannot be written; no new step is taken until they can");
            }
            Err(gone) => tracing::error!(error = %gone, "records cannot be written; no new step is taken"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if events.send(Event::Spooled).await.is_err() {
        tracing::debug!("records were written after the driver ended");
    }
}
