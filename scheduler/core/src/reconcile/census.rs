//! The tasks of a service, sorted by what they are to it.

use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;

use super::{Phase, TaskView, View, lost};

/// How good a task that is to run is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// On its way to RUNNING.
    Pending,
    /// RUNNING, and its health checks fail.
    Unhealthy,
    /// RUNNING when its instance was last heard of.
    Unknown,
    /// RUNNING, and not yet known to be healthy.
    Settling,
    /// Counts toward the floor (ECS API, `DeploymentConfiguration.minimumHealthyPercent`).
    Healthy,
}

/// A task that is to run, on an instance that is not lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'v> {
    pub(super) task: &'v TaskView,
    pub(super) standing: Standing,
    /// Whether only a failed health check or the end of its service may stop it.
    pub(super) protected: bool,
}

impl Member<'_> {
    pub(super) const fn is_draining(&self) -> bool {
        self.task.host.draining
    }
}

/// The tasks of a service, sorted by what they are to it.
#[derive(Debug)]
pub(super) struct Census<'v> {
    /// Those that have stopped.
    pub(super) ended: Vec<&'v TaskView>,
    /// Those that are to run.
    pub(super) members: Vec<Member<'v>>,
    /// All that have not stopped, besides those on lost instances.
    pub(super) live: Vec<&'v TaskView>,
    /// When standings change by time alone.
    pub(super) wake: Option<Timestamp>,
}

impl<'v> Census<'v> {
    pub(super) fn of(view: &'v View<'_>, now: Timestamp) -> Self {
        let storm = lost::is_storm(view.presence);
        let mut census = Self {
            ended: Vec::new(),
            members: Vec::new(),
            live: Vec::new(),
            wake: None,
        };
        for task in &view.tasks {
            if task.phase == Phase::Stopped {
                census.ended.push(task);
                continue;
            }
            let lost_at = lost::lost_at(task, view);
            let lost = lost_at.is_some_and(|at| at <= now);
            census.wake_at(lost_at, now);
            if lost && !storm {
                continue;
            }
            census.live.push(task);
            if task.wanted && task.phase < Phase::Stopping {
                let (standing, until) = if lost {
                    (Standing::Unknown, None)
                } else {
                    standing(task, view, now)
                };
                census.wake_at(until, now);
                let protected = task.protected_until.is_some_and(|until| until > now);
                census.members.push(Member {
                    task,
                    standing,
                    protected,
                });
            }
        }
        census
    }

    fn wake_at(&mut self, at: Option<Timestamp>, now: Timestamp) {
        if let Some(at) = at.filter(|at| *at > now) {
            self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// Tasks that count toward the ceiling: those that are on their way or RUNNING, whether or not they are to be
    /// (ECS API, `DeploymentConfiguration.maximumPercent`).
    pub(super) fn used(&self) -> usize {
        self.live.iter().filter(|task| task.phase < Phase::Stopping).count()
    }

    /// Tasks that count toward the ceiling and soon will not.
    pub(super) fn leaving(&self) -> usize {
        self.used().saturating_sub(self.members.len())
    }

    /// Tasks that hold what they reserve and soon will not.
    pub(super) fn stopping(&self) -> usize {
        self.live.len() - self.members.len()
    }
}

/// How good the task is, and until when that holds where time alone changes it.
fn standing(task: &TaskView, view: &View<'_>, now: Timestamp) -> (Standing, Option<Timestamp>) {
    if task.phase == Phase::Pending {
        return (Standing::Pending, None);
    }
    let since = task.running_since.unwrap_or(task.created_at);
    if !task.has_check {
        let settled = since + view.timing.stability;
        return if settled <= now {
            (Standing::Healthy, None)
        } else {
            (Standing::Settling, Some(settled))
        };
    }
    match task.health {
        HealthStatus::Healthy => (Standing::Healthy, None),
        HealthStatus::Unknown => (Standing::Settling, None),
        HealthStatus::Unhealthy => {
            let grace = since + view.spec.health_check_grace();
            if grace <= now {
                (Standing::Unhealthy, None)
            } else {
                (Standing::Settling, Some(grace))
            }
        }
    }
}
