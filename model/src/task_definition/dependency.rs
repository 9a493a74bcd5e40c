//! What containers of a task expect of one another and of themselves: order, and what happens when one ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::status::named;

/// What `restartAttemptPeriod` is where absent (ECS API, ContainerRestartPolicy).
const RESTART_PERIOD_SECONDS: u32 = 300;

named! {
    /// How far a container must have come before one that depends on it is created.
    Condition {
        /// It was started.
        Start = "START",
        /// It ended, however.
        Complete = "COMPLETE",
        /// It ended with exit code 0.
        Success = "SUCCESS",
        /// Its health check has passed.
        Healthy = "HEALTHY",
    }
}

/// An entry of `dependsOn` (ECS API, ContainerDependency). Validation has seen to it that both members mean something.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The container that must come first.
    #[serde(default)]
    pub container_name: String,
    /// START, COMPLETE, SUCCESS or HEALTHY.
    #[serde(default)]
    pub condition: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Dependency {
    /// The condition; none for text that is none.
    #[must_use]
    pub fn condition(&self) -> Option<Condition> {
        Condition::from_name(&self.condition)
    }
}

/// Whether a container that ends is started again in its place (ECS API, ContainerRestartPolicy).
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartPolicy {
    /// Whether any of it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Exit codes with which it stays ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_exit_codes: Vec<i32>,
    /// Seconds that it must have run to be started again; 300 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_attempt_period: Option<i32>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl RestartPolicy {
    /// Whether a container that ended so, after it had run for so long, is started again.
    #[must_use]
    pub fn restarts(&self, exit_code: i32, ran: Duration) -> bool {
        self.enabled == Some(true) && !self.ignored_exit_codes.contains(&exit_code) && ran >= self.period()
    }

    fn period(&self) -> Duration {
        let seconds = self.restart_attempt_period.and_then(|given| u32::try_from(given).ok());
        Duration::from_secs(seconds.unwrap_or(RESTART_PERIOD_SECONDS).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_started_again_by_ecss_rule() {
        let policy = RestartPolicy {
            enabled: Some(true),
            ignored_exit_codes: vec![0, 7],
            restart_attempt_period: None,
            ..RestartPolicy::default()
        };
        let ran = Duration::from_secs(300);
        assert!(policy.restarts(1, ran));
        assert!(!policy.restarts(7, ran), "an ignored exit code");
        assert!(
            !policy.restarts(1, Duration::from_millis(299_999)),
            "it ran less than the period"
        );
        let brief = RestartPolicy {
            restart_attempt_period: Some(60),
            ..policy.clone()
        };
        assert!(brief.restarts(1, Duration::from_secs(60)));
        let off = RestartPolicy {
            enabled: Some(false),
            ..policy
        };
        assert!(!off.restarts(1, ran));
    }
}
