//! ExecuteCommand: whether a command may be run in a container, and what is remembered of it.
//!
//! What is typed and what comes back is nowhere in the journal; who may run what, where and when, and how it ended, is.
//! What comes back is logged by the host where the cluster wants it.

use std::sync::Arc;

use berth_model::cluster::ExecuteCommandLogging;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::TaskId;
use berth_model::name::{ClusterName, LogGroup};
use berth_model::status::{ContainerStatus, DesiredStatus, TaskStatus};

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{InstanceKey, TaskKey};
use crate::state::{State, Task};

/// In ECS's words (ECS API, ExecuteCommand); what the cause is follows.
const NOT_ENABLED: &str = "The execute command failed because execute command was not enabled when the task was run or the \
                           execute command agent isn’t running. Wait and try again or run a new task with execute command \
                           enabled and try again.";
const NOT_CONNECTED: &str = "The execute command failed due to an internal error. Try again later.";

/// Opens a session in which a command is run (ECS API, ExecuteCommand).
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// The task's cluster.
    pub cluster: ClusterName,
    /// The task.
    pub task: TaskId,
    /// The container; may be left out where the task has one.
    pub container: Option<Arc<str>>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// By what the session will be known.
    pub session: Arc<str>,
}

/// Where a session leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The task.
    pub task: TaskKey,
    /// Its instance.
    pub instance: InstanceKey,
    /// The container, by its name in the definition.
    pub container: Arc<str>,
}

/// A session that may be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where it leads.
    pub place: Place,
    /// Under which name the host logs what the command writes, where the cluster wants that.
    pub log_group: Option<LogGroup>,
}

/// Says how a session has ended.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// Its task.
    pub task: TaskKey,
    /// The session.
    pub session: Arc<str>,
    /// How it ended, in words.
    pub reason: Arc<str>,
}

impl Command for OpenSession {
    type Outcome = Opened;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Opened>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?;
        let logging = cluster.settings.execute_command_logging.as_ref();
        let log_group = logging.and_then(ExecuteCommandLogging::log_group).cloned();
        let cluster = cluster.key;
        let key = TaskKey {
            cluster,
            task: self.task,
        };
        let Some(task) = state.task(key) else {
            return Err(match state.queue().task(key) {
                Some(_) => not_enabled("The task waits for room on a container instance."),
                None => Fault::invalid(format!("The referenced task was not found. taskId: {}", self.task)),
            });
        };
        if !task.launch.execute_command {
            return Err(not_enabled("The task was started without enableExecuteCommand."));
        }
        if task.last != TaskStatus::Running || task.desired == DesiredStatus::Stopped {
            let text = format!("The task is {}, and to be {}.", task.last.name(), task.desired.name());
            return Err(not_enabled(&text));
        }
        let place = Place {
            task: key,
            instance: InstanceKey {
                cluster,
                instance: task.instance,
            },
            container: self.container_of(task)?,
        };
        if !state
            .instance(place.instance)
            .is_some_and(|instance| instance.connected)
        {
            return Err(not_connected(&format!(
                "The agent of container instance {} is not connected.",
                task.instance
            )));
        }
        Ok(Decision {
            changes: vec![Change::SessionOpened {
                cluster,
                task: self.task,
                session: Arc::clone(&self.session),
                container: Arc::clone(&place.container),
                command: self.command.clone(),
                at: env.now(),
            }],
            outcome: Opened { place, log_group },
        })
    }
}

impl OpenSession {
    /// The container that is meant, which must run.
    fn container_of(&self, task: &Task) -> Result<Arc<str>, Fault> {
        let found = match (&self.container, &*task.containers) {
            (Some(name), containers) => {
                containers
                    .iter()
                    .find(|container| container.name == *name)
                    .ok_or_else(|| {
                        Fault::invalid(format!(
                            "container '{name}' is none of the task's: it should be one of [{}].",
                            names(task)
                        ))
                    })?
            }
            (None, [only]) => only,
            (None, _) => {
                return Err(Fault::invalid(format!(
                    "container must be given for a task of several containers: one of [{}].",
                    names(task)
                )));
            }
        };
        if found.last != ContainerStatus::Running {
            return Err(not_enabled(&format!(
                "Container '{}' is {}.",
                found.name,
                found.last.name()
            )));
        }
        Ok(Arc::clone(&found.name))
    }
}

impl Command for EndSession {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        // Of a task that was forgotten meanwhile nothing is told any more.
        let change = state.task(self.task).map(|_| Change::SessionEnded {
            cluster: self.task.cluster,
            task: self.task.task,
            session: Arc::clone(&self.session),
            reason: Arc::clone(&self.reason),
            at: env.now(),
        });
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: (),
        })
    }
}

/// `TargetNotConnectedException`: ECS's text, and the cause.
#[must_use]
pub fn not_connected(cause: &str) -> Fault {
    Fault::new(FaultClass::TargetNotConnected, format!("{NOT_CONNECTED} {cause}"))
}

fn not_enabled(cause: &str) -> Fault {
    Fault::invalid(format!("{NOT_ENABLED} {cause}"))
}

fn names(task: &Task) -> String {
    let names: Vec<&str> = task.containers.iter().map(|container| &*container.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
