//! What the words of services mean: how they are scheduled, and how many tasks a deployment may stop and start.

mod lost_grace;
mod percent;
mod shift;
mod task_set;
pub mod validate;

use serde::{Deserialize, Serialize};

use crate::status::named;

pub use lost_grace::{LOST_GRACE_TAG, lost_grace};
pub use percent::Percent;
pub use shift::{Shift, ShiftStep};
pub use task_set::{DeploymentController, Scale, StabilityStatus, TaskSetStatus};

named! {
    /// How many tasks a service wants, and where (ECS API, `SchedulingStrategy`).
    #[derive(Default)]
    SchedulingStrategy {
        /// A count, wherever there is room.
        #[default]
        Replica = "REPLICA",
        /// One on each instance that satisfies the constraints.
        Daemon = "DAEMON",
    }
}

named! {
    /// Whether a service is held at what it wants.
    ServiceStatus {
        /// It is.
        Active = "ACTIVE",
        /// It was deleted; its tasks are being stopped.
        Draining = "DRAINING",
        /// It was deleted, and its last task has stopped.
        Inactive = "INACTIVE",
    }
}

named! {
    /// What a deployment is to its service (ECS API, `Deployment.status`).
    DeploymentStatus {
        /// The one that the service is to consist of.
        Primary = "PRIMARY",
        /// One that is being replaced.
        Active = "ACTIVE",
        /// One that was replaced.
        Inactive = "INACTIVE",
    }
}

named! {
    /// How far a deployment is (ECS API, `DeploymentRolloutState`).
    RolloutState {
        /// On its way, or held up.
        InProgress = "IN_PROGRESS",
        /// The service has consisted of it.
        Completed = "COMPLETED",
        /// The circuit breaker ended it.
        Failed = "FAILED",
    }
}

named! {
    /// Where the tasks of a service get tags from (ECS API, `PropagateTags`).
    #[derive(Default)]
    PropagateTags {
        /// From their task definition.
        TaskDefinition = "TASK_DEFINITION",
        /// From their service.
        Service = "SERVICE",
        /// From nowhere.
        #[default]
        None = "NONE",
    }
}

named! {
    /// How the failures are counted that end a deployment (ECS API, `ThresholdConfiguration.type`).
    #[derive(Default)]
    ThresholdType {
        /// A share of the desired count, at least 3 and at most 200.
        #[default]
        BoundedPercent = "BOUNDED_PERCENT",
        /// A share of the desired count.
        UnboundedPercent = "UNBOUNDED_PERCENT",
        /// A number of tasks.
        Count = "COUNT",
    }
}

/// How a deployment replaces tasks, and when it is given up (ECS API, `DeploymentConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfiguration {
    /// The share of the desired count that stays healthy, in percent.
    pub minimum_healthy_percent: u32,
    /// The share of the desired count that may be on its way or running at once, in percent.
    pub maximum_percent: u32,
    /// When a deployment is given up.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
    /// How traffic moves to a deployment that is there whole before any task of the last one stops; none where tasks
    /// are replaced bit by bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// The bake time that was given where tasks are replaced bit by bit, in minutes: kept, as only alarms would use it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rolling_bake_minutes: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(minutes: &u32) -> bool {
    *minutes == 0
}

/// When a deployment is given up (ECS API, `DeploymentCircuitBreaker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    /// Whether it ever is.
    pub enable: bool,
    /// Whether the service then goes back to the deployment that completed last.
    pub rollback: bool,
    /// Whether a task that turns healthy clears the count.
    pub reset_on_healthy_task: bool,
    /// How many failures it takes.
    #[serde(default)]
    pub threshold: Threshold,
}

/// How many failures it takes to give a deployment up (ECS API, `ThresholdConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// What the value is.
    #[serde(rename = "type")]
    pub kind: ThresholdType,
    /// Percent of the desired count, or tasks.
    pub value: u32,
}

impl DeploymentConfiguration {
    /// What a service has that says nothing of it (ECS API, CreateService).
    #[must_use]
    pub fn default_of(scheduling: SchedulingStrategy) -> Self {
        let (minimum_healthy_percent, maximum_percent) = match scheduling {
            SchedulingStrategy::Replica => (100, 200),
            SchedulingStrategy::Daemon => (0, 100),
        };
        Self {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: CircuitBreaker::default(),
            shift: None,
            rolling_bake_minutes: 0,
        }
    }

    /// Tasks that stay healthy during a deployment, rounded up.
    #[must_use]
    pub fn floor(&self, desired: u32) -> u32 {
        percent(desired, self.minimum_healthy_percent, u64::div_ceil)
    }

    /// Tasks that may be on their way or running during a deployment, rounded down: twice as many at least where two
    /// deployments are there whole.
    #[must_use]
    pub fn ceiling(&self, desired: u32) -> u32 {
        let maximum = match self.shift {
            Some(_) => self.maximum_percent.max(200),
            None => self.maximum_percent,
        };
        percent(desired, maximum, |of, by| of / by)
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            enable: false,
            rollback: false,
            reset_on_healthy_task: true,
            threshold: Threshold::default(),
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self {
            kind: ThresholdType::default(),
            value: 50,
        }
    }
}

impl Threshold {
    /// The bounds of `BOUNDED_PERCENT` (ECS guide, "Deployment circuit breaker").
    const BOUNDS: (u32, u32) = (3, 200);

    /// Failures that end a deployment of so many tasks; at least one.
    #[must_use]
    pub fn failures(&self, desired: u32) -> u32 {
        let share = percent(desired, self.value, u64::div_ceil);
        match self.kind {
            ThresholdType::BoundedPercent => share.clamp(Self::BOUNDS.0, Self::BOUNDS.1),
            ThresholdType::UnboundedPercent => share.max(1),
            ThresholdType::Count => self.value.max(1),
        }
    }
}

/// A share of the count, divided as the caller rounds.
fn percent(count: u32, percent: u32, divided: impl Fn(u64, u64) -> u64) -> u32 {
    let share = divided(u64::from(count) * u64::from(percent), 100);
    u32::try_from(share).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(minimum_healthy_percent: u32, maximum_percent: u32) -> DeploymentConfiguration {
        DeploymentConfiguration {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: CircuitBreaker::default(),
            shift: None,
            rolling_bake_minutes: 0,
        }
    }

    #[test]
    fn the_floor_is_rounded_up_and_the_ceiling_down() {
        for (desired, minimum, maximum, floor, ceiling) in [
            (4, 50, 100, 2, 4),
            (2, 75, 150, 2, 3),
            (4, 100, 200, 4, 8),
            (3, 100, 125, 3, 3),
            (1, 50, 100, 1, 1),
            (0, 100, 200, 0, 0),
            (7, 0, 100, 0, 7),
            (u32::MAX, 100, 200, u32::MAX, u32::MAX),
        ] {
            let configuration = configuration(minimum, maximum);
            let bounds = (configuration.floor(desired), configuration.ceiling(desired));
            assert_eq!(
                bounds,
                (floor, ceiling),
                "{desired} tasks, {minimum} to {maximum} percent"
            );
        }
    }

    #[test]
    fn the_threshold_is_half_of_the_tasks_within_its_bounds() {
        for (desired, failures) in [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (800, 200)] {
            assert_eq!(Threshold::default().failures(desired), failures, "{desired} tasks");
        }
    }

    #[test]
    fn a_threshold_can_be_without_bounds_or_a_count() {
        let failures = |kind, value, desired| Threshold { kind, value }.failures(desired);
        assert_eq!(failures(ThresholdType::UnboundedPercent, 50, 1), 1);
        assert_eq!(failures(ThresholdType::UnboundedPercent, 50, 800), 400);
        assert_eq!(failures(ThresholdType::UnboundedPercent, 50, 0), 1);
        assert_eq!(failures(ThresholdType::Count, 7, 800), 7);
    }

    #[test]
    fn daemons_are_stopped_first_where_nothing_is_said() {
        let daemon = DeploymentConfiguration::default_of(SchedulingStrategy::Daemon);
        assert_eq!((daemon.floor(5), daemon.ceiling(5)), (0, 5));
        let replica = DeploymentConfiguration::default_of(SchedulingStrategy::Replica);
        assert_eq!((replica.floor(5), replica.ceiling(5)), (5, 10));
    }
}
