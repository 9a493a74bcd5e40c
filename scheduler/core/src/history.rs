//! The story of one task, service or container instance, told from the records: when, who asked, what, why.
//!
//! Of a record only what concerns the subject is kept ([`happenings`]), so that a journal is read in pieces; a [`Story`]
//! then tells happenings in their order, each by what the one before it left. Reads nothing and knows no state.

mod instance;
mod service;
mod task;

use std::sync::Arc;

use berth_model::status::StopCode;
use berth_model::time::Timestamp;

use crate::change::{Change, Entry, Record};
use crate::keys::{InstanceKey, Revision, ServiceKey, TaskKey};
use crate::launch::Launch;

/// Whose story it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A task's.
    Task(TaskKey),
    /// A service's.
    Service(ServiceKey),
    /// A container instance's.
    Instance(InstanceKey),
}

/// What one command changed of the subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// The record that has it.
    pub revision: Revision,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub by: Arc<str>,
    /// What concerns the subject, in order.
    changes: Vec<Change>,
}

/// One thing that happened, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The record that has it.
    pub revision: Revision,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub by: Arc<str>,
    /// What changed.
    pub what: String,
    /// Why, as far as that is recorded; empty where it is not.
    pub why: String,
}

/// What changed, and why.
type Told = (String, String);

/// A story as it is told: remembers what the last happening left.
#[derive(Debug)]
pub struct Story {
    teller: Teller,
}

#[derive(Debug)]
enum Teller {
    Task(task::Teller),
    Service(service::Teller),
    Instance(instance::Teller),
}

impl Subject {
    /// Text that each record which concerns the subject has in its JSON: what lacks it need not be decoded.
    #[must_use]
    pub fn mark(&self) -> String {
        match self {
            Self::Task(key) => format!("\"{}\"", key.task),
            Self::Service(key) => format!("\"{}\"", key.service),
            // Without quotes: its agent bears it in its name.
            Self::Instance(key) => key.instance.to_string(),
        }
    }

    /// When it began to be, where that is in its id: there is nothing to tell of before.
    #[must_use]
    pub fn born(&self) -> Option<Timestamp> {
        match self {
            // A version 7 UUID begins with its time (RFC 9562).
            Self::Task(key) => i64::from_str_radix(key.task.to_string().get(..12)?, 16)
                .ok()
                .map(Timestamp::from_millis),
            Self::Service(_) | Self::Instance(_) => None,
        }
    }

    fn concerns(&self, change: &Change, entry: &Entry) -> bool {
        match self {
            Self::Task(key) => task::concerns(*key, change),
            Self::Service(key) => service::concerns(key, change, entry),
            Self::Instance(key) => instance::concerns(*key, change, entry),
        }
    }
}

/// What a record has of the subject.
#[must_use]
pub fn happenings(record: &Record, subject: &Subject) -> Vec<Happening> {
    let of_entry = |entry: &Entry| {
        let concerning = entry.changes.iter().filter(|change| subject.concerns(change, entry));
        Happening {
            revision: record.revision,
            at: entry.at,
            by: Arc::clone(&entry.by),
            changes: concerning.cloned().collect(),
        }
    };
    let all = record.entries.iter().map(of_entry);
    all.filter(|happening| !happening.changes.is_empty()).collect()
}

impl Happening {
    /// Whether nothing of the subject can be before it.
    #[must_use]
    pub fn is_first_of(&self, subject: &Subject) -> bool {
        let begins = |change: &Change| matches!(change, Change::TasksPlaced { .. } | Change::TasksQueued { .. });
        matches!(subject, Subject::Task(_)) && self.changes.iter().any(begins)
    }

    /// Whether nothing of the subject can be after it.
    #[must_use]
    pub fn is_last_of(&self, subject: &Subject) -> bool {
        let ends = |change: &Change| matches!(change, Change::TasksForgotten { .. });
        matches!(subject, Subject::Task(_)) && self.changes.iter().any(ends)
    }
}

impl Story {
    /// The story of the subject.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let teller = match subject {
            Subject::Task(key) => Teller::Task(task::Teller::of(*key)),
            Subject::Service(key) => Teller::Service(service::Teller::of(key.clone())),
            Subject::Instance(key) => Teller::Instance(instance::Teller::of(*key)),
        };
        Self { teller }
    }

    /// Tells what happened; to be called in the order in which it did.
    pub fn tell(&mut self, happening: &Happening) -> Vec<Line> {
        let told = happening.changes.iter().flat_map(|change| match &mut self.teller {
            Teller::Task(teller) => teller.tell(change).into_iter().collect(),
            Teller::Service(teller) => teller.tell(change),
            Teller::Instance(teller) => teller.tell(change).into_iter().collect(),
        });
        let line = |(what, why): Told| Line {
            revision: happening.revision,
            at: happening.at,
            by: Arc::clone(&happening.by),
            what,
            why,
        };
        told.map(line).collect()
    }
}

fn told(what: impl Into<String>, why: impl Into<String>) -> Told {
    (what.into(), why.into())
}

/// What tasks are, and for whom.
fn launch_words(launch: &Launch) -> String {
    let mut words = format!(
        "{} with {} CPU units and {} MiB",
        launch.definition, launch.demand.cpu, launch.demand.memory
    );
    if let Some(service) = &launch.service {
        words += &format!(", deployment {} of service {}", service.deployment, service.service);
    } else if let Some(schedule) = &launch.schedule {
        words += &format!(", by schedule {schedule}");
    } else {
        words += &format!(", group {}", launch.group);
    }
    if let Some(started_by) = &launch.started_by {
        words += &format!(", startedBy {started_by}");
    }
    words
}

/// Why a task stops.
fn stop_words(code: Option<StopCode>, reason: &str) -> String {
    let parts = [
        code.map(StopCode::name),
        Some(reason).filter(|reason| !reason.is_empty()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
