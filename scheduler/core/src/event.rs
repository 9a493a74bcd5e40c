//! What watchers are told: the events that follow from a record, as EventBridge has them (ECS guide, "Amazon ECS events").
//!
//! A record is folded change by change. Each change that alters what ECS shows of a task, an instance or a deployment is
//! one event of it, told with the state that the change has made; so is each message of a service. Nothing is remembered
//! between records: the same journal gives the same events with the same ids, whoever derives them and whenever.

mod news;
mod position;

use std::sync::Arc;

use berth_model::id::{DeploymentId, InstanceId, TaskId};
use berth_model::name::ServiceName;
use berth_model::time::Timestamp;

use crate::change::Record;
use crate::command::nth_draw;
use crate::fold::fold;
use crate::keys::{ClusterKey, Revision};
use crate::state::State;
use news::Before;
pub use position::{InvalidPosition, Position};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the journal.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked for it, as the journal has it.
    pub by: Arc<str>,
    /// Its cluster.
    pub cluster: ClusterKey,
    /// To what it happened.
    pub subject: Subject,
}

/// To what something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A task, with an instance or without, is new or shown differently.
    Task(TaskId),
    /// An instance is new or shown differently.
    Instance(InstanceId),
    /// A deployment has begun or ended.
    Deployment(Deployed),
    /// There is something to say of a service.
    Service(Said),
}

/// That a deployment has begun or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The service.
    pub service: ServiceName,
    /// Which of its deployments.
    pub deployment: DeploymentId,
    /// What became of it.
    pub name: DeploymentEvent,
    /// Why, in words.
    pub reason: Arc<str>,
    /// When it changed.
    pub updated_at: Timestamp,
}

/// What there is to say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The service.
    pub service: ServiceName,
    /// What it is, as ECS counts.
    pub action: Action,
    /// What is said: the text of the service's own event.
    pub message: Arc<str>,
}

/// What became of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentEvent {
    /// It has begun, or the service goes back to it.
    InProgress,
    /// The service consists of it.
    Completed,
    /// The circuit breaker has ended it.
    Failed,
    /// There was nothing to go back to, or that failed too.
    RollbackFailed,
}

/// What is said of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is as it should be.
    SteadyState,
    /// One of its task sets is as it should be.
    TaskSetSteadyState,
    /// Its policies have changed its count.
    DesiredCountUpdated(u32),
    /// A task found no instance.
    PlacementFailure {
        /// What the instance that came closest lacks, such as `RESOURCE:CPU`; absent where there is no instance.
        reason: Option<&'static str>,
    },
    /// Its tasks end again and again before they are RUNNING.
    StartImpaired,
    /// What EventBridge has no name for.
    Message,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DetailType {
    /// Of tasks.
    Task,
    /// Of instances.
    Instance,
    /// Of deployments.
    Deployment,
    /// Of services.
    Service,
}

impl DetailType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Task, Self::Instance, Self::Deployment, Self::Service];

    /// EventBridge's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task => "ECS Task State Change",
            Self::Instance => "ECS Container Instance State Change",
            Self::Deployment => "ECS Deployment State Change",
            Self::Service => "ECS Service Action",
        }
    }

    /// A name that is quick to type.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Instance => "instance",
            Self::Deployment => "deployment",
            Self::Service => "service",
        }
    }

    /// The kind of either name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| [kind.name(), kind.short()].contains(&name))
    }
}

impl Event {
    /// Which kind it is of.
    #[must_use]
    pub const fn detail_type(&self) -> DetailType {
        match self.subject {
            Subject::Task(_) => DetailType::Task,
            Subject::Instance(_) => DetailType::Instance,
            Subject::Deployment(_) => DetailType::Deployment,
            Subject::Service(_) => DetailType::Service,
        }
    }

    /// Its id in the form of a UUID. It follows from where the event stands in the journal and from its time, which tells
    /// the events of different journals apart.
    #[must_use]
    pub fn id(&self) -> String {
        let seed = nth_draw(self.at.as_millis().cast_unsigned(), self.position.revision.0);
        let place = u64::from(self.position.place);
        let (high, low) = (nth_draw(seed, 2 * place), nth_draw(seed, 2 * place + 1));
        // The bits that say "made of random numbers" (RFC 9562, version 4).
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

impl DeploymentEvent {
    /// EventBridge's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "SERVICE_DEPLOYMENT_IN_PROGRESS",
            Self::Completed => "SERVICE_DEPLOYMENT_COMPLETED",
            Self::Failed => "SERVICE_DEPLOYMENT_FAILED",
            Self::RollbackFailed => "SERVICE_DEPLOYMENT_ROLLBACK_FAILED",
        }
    }

    /// How bad it is, in EventBridge's words.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::InProgress | Self::Completed => "INFO",
            Self::Failed | Self::RollbackFailed => "ERROR",
        }
    }
}

impl Action {
    /// EventBridge's name, or ours where it has none.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SteadyState => "SERVICE_STEADY_STATE",
            Self::TaskSetSteadyState => "TASKSET_STEADY_STATE",
            Self::DesiredCountUpdated(_) => "SERVICE_DESIRED_COUNT_UPDATED",
            Self::PlacementFailure { .. } => "SERVICE_TASK_PLACEMENT_FAILURE",
            Self::StartImpaired => "SERVICE_TASK_START_IMPAIRED",
            Self::Message => "BERTH_SERVICE_MESSAGE",
        }
    }

    /// How bad it is, in EventBridge's words.
    #[must_use]
    pub const fn severity(&self) -> &'static str {
        match self {
            Self::SteadyState | Self::TaskSetSteadyState | Self::DesiredCountUpdated(_) | Self::Message => "INFO",
            Self::StartImpaired => "WARN",
            Self::PlacementFailure { .. } => "ERROR",
        }
    }
}

/// Adds the record to the state and tells the events that follow from it, in order, each with the state as it was right
/// after.
pub fn tell(state: &mut State, record: &Record, mut told: impl FnMut(&State, Event)) {
    let mut place = 0;
    for entry in &record.entries {
        for change in &entry.changes {
            let before = Before::of(state, change);
            fold(state, change);
            for (cluster, subject) in before.news(state) {
                place += 1;
                let event = Event {
                    position: Position {
                        revision: record.revision,
                        place,
                    },
                    at: entry.at,
                    by: Arc::clone(&entry.by),
                    cluster,
                    subject,
                };
                told(state, event);
            }
        }
    }
    state.revision = record.revision;
}

impl From<Revision> for Position {
    /// All of the record.
    fn from(revision: Revision) -> Self {
        Self {
            revision,
            place: Self::ALL,
        }
    }
}

#[cfg(test)]
mod tests;
