//! The health check of a container.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// As ECS's HealthCheck; figures as on the wire, which validation has seen.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `CMD` and a program with its arguments, `CMD-SHELL` and a line for the shell, or `NONE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Seconds between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i32>,
    /// Seconds that a check may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i32>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    /// Seconds after its start in which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i32>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl HealthCheck {
    /// Whether nothing is checked, not even what the image asks for.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.command.first().is_some_and(|kind| kind == "NONE")
    }

    /// Time between checks: 30 s where absent (ECS API, HealthCheck, for this and the defaults below).
    #[must_use]
    pub fn interval(&self) -> Duration {
        seconds(self.interval, 30)
    }

    /// Time that a check may take: 5 s where absent.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout, 5)
    }

    /// Failures in a row that make it unhealthy: 3 where absent.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
            .and_then(|retries| u32::try_from(retries).ok())
            .unwrap_or(3)
    }

    /// Time after its start in which failures do not count: none where absent.
    #[must_use]
    pub fn start_period(&self) -> Duration {
        seconds(self.start_period, 0)
    }
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(given.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(default))
}
