//! What the words of schedules mean: when they are due, and what becomes of a run that cannot begin.
//!
//! Words, expressions and their meaning are Amazon EventBridge Scheduler's (user guide, "Schedule types"); what is
//! Berth's own says so. Which instants an expression means follows from it, its time zone and when it was made, and from
//! nothing else: the rules of time zones are built in, so that every scheduler of one build agrees.

mod cron;
mod error;
mod expression;
mod recurrence;
mod zone;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cron::Cron;
pub use error::ExpressionError;
pub use expression::{Expression, Rate};
pub use recurrence::Recurrence;
pub use zone::Zone;

use crate::fault::Fault;
use crate::status::named;

named! {
    /// Whether a schedule runs when it is due (EventBridge Scheduler API, `State`).
    #[derive(Default)]
    ScheduleState {
        /// It does.
        #[default]
        Enabled = "ENABLED",
        /// It is paused: what comes due meanwhile is not made up for.
        Disabled = "DISABLED",
    }
}

named! {
    /// What becomes of a schedule that will not be due again (EventBridge Scheduler API, `ActionAfterCompletion`).
    #[derive(Default)]
    ActionAfterCompletion {
        /// It stays.
        #[default]
        None = "NONE",
        /// It is deleted.
        Delete = "DELETE",
    }
}

named! {
    /// What a run does while tasks of an earlier one have not stopped. Berth's own.
    #[derive(Default)]
    OverlapPolicy {
        /// It starts its tasks beside them.
        #[default]
        Allow = "ALLOW",
        /// It starts none.
        Skip = "SKIP",
        /// It stops them and starts its own.
        Replace = "REPLACE",
    }
}

named! {
    /// What became of a run. Berth's own.
    RunOutcome {
        /// All its tasks were placed, or wait for room as they may.
        Started = "STARTED",
        /// Tasks are missing, and are tried again.
        Retrying = "RETRYING",
        /// Tasks are missing, and are not tried again.
        Failed = "FAILED",
        /// It started none, as tasks of earlier runs had not stopped.
        Skipped = "SKIPPED",
        /// It was too late to begin.
        Missed = "MISSED",
    }
}

named! {
    /// Whether a run may begin later than it is due (EventBridge Scheduler API, `FlexibleTimeWindow.Mode`).
    #[derive(Default)]
    FlexibleTimeWindowMode {
        /// As soon as it can.
        #[default]
        Off = "OFF",
        /// Within the window, or not at all.
        Flexible = "FLEXIBLE",
    }
}

/// For how long a run may begin after it was due.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlexibleTimeWindow {
    /// As soon as it can.
    #[default]
    Off,
    /// Within so many minutes, or not at all.
    Minutes(u32),
}

/// For how long and how often tasks that could not be placed are tried again (EventBridge Scheduler API, `RetryPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Seconds after a run was due in which it may begin and be tried again.
    pub maximum_event_age: u32,
    /// Attempts after the first.
    pub maximum_attempts: u32,
}

impl FlexibleTimeWindow {
    /// The longest window, in minutes.
    const MOST: u32 = 1440;

    /// The window that a request describes.
    ///
    /// # Errors
    /// `InvalidParameterException` where minutes are missing, too many, or given without the mode that has them.
    pub fn checked(mode: FlexibleTimeWindowMode, minutes: Option<i64>) -> Result<Self, Fault> {
        match (mode, minutes) {
            (FlexibleTimeWindowMode::Off, None) => Ok(Self::Off),
            (FlexibleTimeWindowMode::Off, Some(minutes)) => Err(Fault::invalid(format!(
                "flexibleTimeWindow.maximumWindowInMinutes is {minutes}; it belongs to mode FLEXIBLE."
            ))),
            (FlexibleTimeWindowMode::Flexible, None) => Err(Fault::invalid(
                "flexibleTimeWindow.maximumWindowInMinutes must be given with mode FLEXIBLE.",
            )),
            (FlexibleTimeWindowMode::Flexible, Some(minutes)) => {
                let name = "flexibleTimeWindow.maximumWindowInMinutes";
                Ok(Self::Minutes(between(name, minutes, 1, Self::MOST)?))
            }
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            maximum_event_age: Self::AGES.1,
            maximum_attempts: Self::MOST_ATTEMPTS,
        }
    }
}

impl RetryPolicy {
    /// The bounds of the age, in seconds.
    const AGES: (u32, u32) = (60, 86_400);
    /// The most attempts after the first.
    const MOST_ATTEMPTS: u32 = 185;

    /// The policy that a request describes; what is absent is at its most.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member that is out of bounds.
    pub fn checked(age: Option<i64>, attempts: Option<i64>) -> Result<Self, Fault> {
        let mut policy = Self::default();
        if let Some(age) = age {
            let (least, most) = Self::AGES;
            policy.maximum_event_age = between("retryPolicy.maximumEventAgeInSeconds", age, least, most)?;
        }
        if let Some(attempts) = attempts {
            let name = "retryPolicy.maximumRetryAttempts";
            policy.maximum_attempts = between(name, attempts, 0, Self::MOST_ATTEMPTS)?;
        }
        Ok(policy)
    }

    /// How long after it was due a run may begin that could not begin then.
    #[must_use]
    pub fn patience(&self, window: FlexibleTimeWindow) -> Duration {
        let age = Duration::from_secs(u64::from(self.maximum_event_age));
        match window {
            FlexibleTimeWindow::Off => age,
            FlexibleTimeWindow::Minutes(minutes) => age.min(Duration::from_secs(u64::from(minutes) * 60)),
        }
    }

    /// When a run at the latest begins its attempts, after it was due: what is left is for late starts, half of the time
    /// that it has and a minute at most.
    #[must_use]
    pub fn latest_begin(&self, window: FlexibleTimeWindow) -> Duration {
        const LEFT: Duration = Duration::from_secs(60);
        match window {
            FlexibleTimeWindow::Off => Duration::ZERO,
            FlexibleTimeWindow::Minutes(_) => {
                let patience = self.patience(window);
                patience - LEFT.min(patience / 2)
            }
        }
    }

    /// How long to wait before the attempt that follows so many: 1 s, doubled each time, 5 minutes at most.
    #[must_use]
    pub fn pause(attempts: u32) -> Duration {
        const MOST: u64 = 300;
        let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(MOST);
        Duration::from_secs(doubled.min(MOST))
    }
}

fn between(name: &str, value: i64, least: u32, most: u32) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| Fault::invalid(format!("{name} is {value}; it must be between {least} and {most}.")))
}

#[cfg(test)]
mod tests;
