//! The rules of `healthCheck` (ECS API, HealthCheck).

use std::ops::RangeInclusive;

use super::container::ContainerRules;
use crate::fault::{Fault, shortened};

const INTERVAL: RangeInclusive<i32> = 5..=300;
const TIMEOUT: RangeInclusive<i32> = 2..=60;
const RETRIES: RangeInclusive<i32> = 1..=10;
const START_PERIOD: RangeInclusive<i32> = 0..=300;

impl ContainerRules<'_> {
    pub(super) fn check_health(&self) -> Result<(), Fault> {
        let Some(check) = &self.container.health_check else {
            return Ok(());
        };
        let kind = check.command.first().map(String::as_str).unwrap_or_default();
        let fits = match kind {
            "CMD" => check.command.len() > 1,
            "CMD-SHELL" => check.command.len() == 2,
            "NONE" => check.command.len() == 1,
            _ => false,
        };
        if !fits {
            return Err(self.fault(format_args!(
                "'healthCheck.command' begins with '{}' and has {} entries, it must be CMD with a program and its arguments, CMD-SHELL with one line for the shell, or NONE alone.",
                shortened(kind),
                check.command.len()
            )));
        }
        for (member, value, bounds) in [
            ("interval", check.interval, INTERVAL),
            ("timeout", check.timeout, TIMEOUT),
            ("retries", check.retries, RETRIES),
            ("startPeriod", check.start_period, START_PERIOD),
        ] {
            self.within(&format!("healthCheck.{member}"), value, &bounds)?;
        }
        Ok(())
    }

    /// Whether a figure that may be absent lies within its bounds.
    pub(super) fn within(&self, field: &str, value: Option<i32>, bounds: &RangeInclusive<i32>) -> Result<(), Fault> {
        match value {
            Some(value) if !bounds.contains(&value) => Err(self.fault(format_args!(
                "'{field}' is {value}, it must be {} to {}.",
                bounds.start(),
                bounds.end()
            ))),
            Some(_) | None => Ok(()),
        }
    }
}
