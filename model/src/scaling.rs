//! What the words of service auto scaling mean: between which counts a service may be scaled, and what its tasks are kept
//! at.
//!
//! Words and rules are Application Auto Scaling's for ECS services (API 2016-02-06, `ScalableTarget` and
//! `TargetTrackingScalingPolicyConfiguration`); what is Berth's own says so.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::status::named;

named! {
    /// What the scheduler measures by itself (Application Auto Scaling API, `PredefinedMetricType`).
    PredefinedMetric {
        /// CPU that tasks use, in percent of what they reserve.
        Cpu = "ECSServiceAverageCPUUtilization",
        /// Memory that tasks use, in percent of what they reserve.
        Memory = "ECSServiceAverageMemoryUtilization",
        /// Requests that a task gets through gateways in a minute.
        Requests = "ALBRequestCountPerTarget",
        /// Requests and TCP connections that a task has open through gateways. Berth's own.
        Connections = "BerthServiceConnectionsPerTask",
    }
}

/// What a policy looks at: a figure for one task on average, which falls as there are more of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// One that the scheduler measures.
    Predefined(PredefinedMetric),
    /// The value of a query. Berth's own.
    Prometheus(String),
}

/// Between how many tasks a service may be scaled (Application Auto Scaling API, RegisterScalableTarget).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// At least so many.
    pub min: u32,
    /// At most so many.
    pub max: u32,
}

/// What policies of a service do not do for now (Application Auto Scaling API, `SuspendedState`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// They take no tasks away.
    pub scale_in: bool,
    /// They add no tasks.
    pub scale_out: bool,
    /// Scheduled actions do nothing: kept, as there are none.
    pub scheduled: bool,
}

/// A policy that keeps a metric at a value (Application Auto Scaling API, `TargetTrackingScalingPolicyConfiguration`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetTracking {
    /// What it looks at.
    pub metric: Metric,
    /// What that is to be.
    pub target: f64,
    /// How long tasks that were added may take to make a difference.
    pub scale_out_cooldown: Duration,
    /// How long after tasks were taken away no more are.
    pub scale_in_cooldown: Duration,
    /// Whether it takes no tasks away.
    pub disable_scale_in: bool,
    /// Tasks that are added at once, at most. Berth's own.
    pub most_out: Option<u32>,
    /// Tasks that are taken away at once, at most. Berth's own.
    pub most_in: Option<u32>,
    /// Whose requests are counted, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_label: Option<String>,
}

/// The members of a policy as a request has them.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct RawTracking {
    /// `TargetValue`.
    pub target: Option<f64>,
    /// `ScaleOutCooldown`, in seconds.
    pub scale_out_cooldown: Option<i64>,
    /// `ScaleInCooldown`, in seconds.
    pub scale_in_cooldown: Option<i64>,
    /// `DisableScaleIn`.
    pub disable_scale_in: Option<bool>,
    /// The most tasks that are added at once.
    pub most_out: Option<i64>,
    /// The most tasks that are taken away at once.
    pub most_in: Option<i64>,
    /// `PredefinedMetricSpecification.ResourceLabel`.
    pub resource_label: Option<String>,
}

/// Tasks of a service, at most (ECS service quotas).
const MOST_TASKS: u32 = 5000;

impl Capacity {
    /// The bounds that a request describes.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member that is out of bounds.
    pub fn checked(min: i64, max: i64) -> Result<Self, Fault> {
        let min = between("MinCapacity", min, 0, MOST_TASKS)?;
        let max = between("MaxCapacity", max, 0, MOST_TASKS)?;
        if min > max {
            return Err(Fault::invalid(format!(
                "Maximum capacity cannot be less than minimum capacity: MinCapacity is {min}, MaxCapacity is {max}."
            )));
        }
        Ok(Self { min, max })
    }

    /// The count within the bounds that is nearest.
    #[must_use]
    pub fn nearest(&self, count: u32) -> u32 {
        count.clamp(self.min, self.max.max(self.min))
    }
}

impl TargetTracking {
    /// Where a request does not say (Application Auto Scaling API, "Default values for cooldown periods", ECS services).
    const COOLDOWN: i64 = 300;
    const LONGEST_COOLDOWN: u32 = 86_400;

    /// The policy that a request describes.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member, its value and the rule.
    pub fn checked(metric: Metric, raw: &RawTracking) -> Result<Self, Fault> {
        let target = raw.target.ok_or_else(|| Fault::invalid("TargetValue must be given."))?;
        if !target.is_finite() || target <= 0.0 {
            return Err(Fault::invalid(format!(
                "TargetValue is {target}; it must be a number greater than 0."
            )));
        }
        let cooldown = |name, seconds: Option<i64>| {
            let seconds = between(name, seconds.unwrap_or(Self::COOLDOWN), 0, Self::LONGEST_COOLDOWN)?;
            Ok::<_, Fault>(Duration::from_secs(u64::from(seconds)))
        };
        let step = |name, tasks: Option<i64>| tasks.map(|tasks| between(name, tasks, 1, MOST_TASKS)).transpose();
        Ok(Self {
            metric,
            target,
            scale_out_cooldown: cooldown("ScaleOutCooldown", raw.scale_out_cooldown)?,
            scale_in_cooldown: cooldown("ScaleInCooldown", raw.scale_in_cooldown)?,
            disable_scale_in: raw.disable_scale_in.unwrap_or(false),
            most_out: step("MaximumScaleOutStep", raw.most_out)?,
            most_in: step("MaximumScaleInStep", raw.most_in)?,
            resource_label: raw.resource_label.clone(),
        })
    }
}

impl Metric {
    /// Characters of a query, at most. Berth's own.
    const LONGEST_QUERY: usize = 4096;

    /// A query as a request has it.
    ///
    /// # Errors
    /// `InvalidParameterException` where it is empty or too long.
    pub fn query(text: &str) -> Result<Self, Fault> {
        let characters = text.chars().count();
        if text.trim().is_empty() || characters > Self::LONGEST_QUERY {
            return Err(Fault::invalid(format!(
                "MetricName is a query of {characters} characters; it must be between 1 and {}.",
                Self::LONGEST_QUERY
            )));
        }
        Ok(Self::Prometheus(text.to_owned()))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Predefined(metric) => f.write_str(metric.name()),
            Self::Prometheus(query) => write!(f, "'{query}'"),
        }
    }
}

fn between(name: &str, value: i64, least: u32, most: u32) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| Fault::invalid(format!("{name} is {value}; it must be between {least} and {most}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Metric = Metric::Predefined(PredefinedMetric::Cpu);

    fn with(change: impl FnOnce(&mut RawTracking)) -> Result<TargetTracking, Fault> {
        let mut raw = RawTracking {
            target: Some(60.0),
            ..RawTracking::default()
        };
        change(&mut raw);
        TargetTracking::checked(CPU, &raw)
    }

    #[test]
    fn what_a_policy_does_not_say_is_as_for_services_of_ecs() {
        let policy = with(|_| {}).unwrap();
        let five_minutes = Duration::from_secs(300);
        assert_eq!(
            (policy.scale_out_cooldown, policy.scale_in_cooldown),
            (five_minutes, five_minutes)
        );
        assert_eq!(
            (policy.disable_scale_in, policy.most_out, policy.most_in),
            (false, None, None)
        );
    }

    #[test]
    fn what_breaks_a_rule_is_named_with_its_value() {
        let refusals = [
            (with(|raw| raw.target = None), "TargetValue must be given."),
            (
                with(|raw| raw.target = Some(0.0)),
                "TargetValue is 0; it must be a number",
            ),
            (with(|raw| raw.target = Some(f64::NAN)), "TargetValue is NaN"),
            (
                with(|raw| raw.scale_in_cooldown = Some(-1)),
                "ScaleInCooldown is -1; it must be between 0 and 86400.",
            ),
            (
                with(|raw| raw.most_out = Some(0)),
                "MaximumScaleOutStep is 0; it must be between 1 and 5000.",
            ),
        ];
        for (refused, says) in refusals {
            let fault = refused.unwrap_err();
            assert!(fault.message.starts_with(says), "{}", fault.message);
        }
        assert_eq!(
            Capacity::checked(3, 2).unwrap_err().message,
            "Maximum capacity cannot be less than minimum capacity: MinCapacity is 3, MaxCapacity is 2."
        );
        assert!(Capacity::checked(0, 5001).is_err() && Capacity::checked(-1, 5).is_err());
    }

    #[test]
    fn a_query_is_neither_empty_nor_endless() {
        let query = "sum(rate(http_requests_total[1m]))";
        assert_eq!(Metric::query(query).unwrap(), Metric::Prometheus(query.to_owned()));
        assert!(Metric::query("  ").is_err() && Metric::query(&"x".repeat(4097)).is_err());
    }

    #[test]
    fn bounds_give_the_nearest_count() {
        let capacity = Capacity::checked(2, 5).unwrap();
        assert_eq!([0, 2, 4, 9].map(|count| capacity.nearest(count)), [2, 2, 4, 5]);
    }
}
