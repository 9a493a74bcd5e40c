//! A Docker that does what it is asked, or what the test says.

use std::collections::BTreeMap;

use berth_agent_core::container::{Detail, ListedContainer, RunState, Snapshot};
use berth_agent_core::machine::Action;
use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;

use super::NAMES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Real {
    Created,
    Running,
    Exited { code: i32, finished_at: Timestamp },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) real: Real,
    pub(super) started_at: Option<Timestamp>,
    pub(super) health: HealthStatus,
}

/// Its containers, by their place in the definition.
#[derive(Debug, Default)]
pub(super) struct Docker {
    pub(super) containers: BTreeMap<usize, Process>,
    /// How often the agent has had each started, and each ended by itself.
    pub(super) starts: [u32; NAMES.len()],
    /// A port of the host that `app` wants is somebody else's.
    pub(super) port_taken: bool,
}

impl Docker {
    /// What an action does when it reaches Docker. Says whether it could be done.
    pub(super) fn carry_out(&mut self, action: &Action, now: Timestamp) -> bool {
        match action {
            Action::Create { container, .. } => {
                self.containers.entry(*container).or_insert(Process {
                    real: Real::Created,
                    started_at: None,
                    health: HealthStatus::Unknown,
                });
                true
            }
            Action::Start { container, .. } => self.start(*container, now),
            Action::Signal { container, .. } | Action::Kill { container, .. } => self.end(*container, 143, now),
            Action::Remove { container, .. } => {
                self.containers.remove(container);
                true
            }
            Action::Pull { .. } | Action::Look { .. } | Action::RemoveVolumes | Action::Forget => true,
        }
    }

    /// The process ends, if there is one.
    pub(super) fn end(&mut self, container: usize, code: i32, now: Timestamp) -> bool {
        match self.containers.get_mut(&container) {
            Some(process) if process.real == Real::Running => {
                process.real = Real::Exited { code, finished_at: now };
                true
            }
            _ => false,
        }
    }

    /// Somebody else starts it again.
    pub(super) fn restart(&mut self, container: usize, now: Timestamp) {
        if let Some(process) = self.containers.get_mut(&container)
            && process.started_at.is_some()
        {
            process.real = Real::Running;
            process.started_at = Some(now);
            process.health = HealthStatus::Unknown;
        }
    }

    fn start(&mut self, container: usize, now: Timestamp) -> bool {
        if container == 0 && self.port_taken {
            return false;
        }
        let Some(process) = self.containers.get_mut(&container) else {
            return false;
        };
        if process.real != Real::Running {
            process.real = Real::Running;
            process.started_at = Some(now);
            process.health = HealthStatus::Unknown;
            self.starts[container] += 1;
        }
        true
    }

    pub(super) fn inspect(&self, container: usize) -> Option<Snapshot> {
        let process = self.containers.get(&container)?;
        Some(Snapshot {
            id: id(container),
            started_at: process.started_at,
            state: match process.real {
                Real::Created => RunState::Created,
                Real::Running => RunState::Running,
                Real::Exited { code, finished_at } => RunState::Exited {
                    exit_code: code,
                    oom_killed: false,
                    finished_at: Some(finished_at),
                },
            },
            bindings: Vec::new(),
            stop_signal: None,
            health: process.health,
            paused: false,
            detail: Detail::default(),
            tail: Vec::new(),
        })
    }

    pub(super) fn list(&self) -> Vec<ListedContainer> {
        let listed = self.containers.iter().map(|(at, process)| ListedContainer {
            name: NAMES[*at].to_owned(),
            id: id(*at),
            running: process.real == Real::Running,
            paused: false,
        });
        listed.collect()
    }

    pub(super) fn runs(&self, container: usize) -> bool {
        self.containers
            .get(&container)
            .is_some_and(|process| process.real == Real::Running)
    }
}

pub(super) fn id(container: usize) -> String {
    format!("id{container}")
}
