//! What requests may say of services, and what members mean that they leave out.
//!
//! Texts are those of ECS where clients have met them; the others name the member, its value and the rule.

mod shift;

use super::{CircuitBreaker, DeploymentConfiguration, SchedulingStrategy, Threshold, ThresholdType};
use crate::fault::{Fault, shortened};
use crate::placement::{PackBy, SpreadKey, Strategy};

pub use shift::RawShiftStep;

/// Tasks of a service, at most (ECS service quotas).
const MAX_DESIRED: u32 = 5000;
/// Characters of CreateService's `clientToken`, at most (ECS API, CreateService).
const MAX_TOKEN: usize = 36;
/// What `maximumPercent` may be at most: ECS names no bound, arithmetic wants one.
const MAX_PERCENT: i32 = 10_000;
/// The attribute that zones go by.
const ZONE: &str = "ecs.availability-zone";

/// A deployment configuration as a request has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawConfiguration {
    /// `minimumHealthyPercent`
    pub minimum_healthy_percent: Option<i32>,
    /// `maximumPercent`
    pub maximum_percent: Option<i32>,
    /// `deploymentCircuitBreaker`
    pub breaker: Option<RawBreaker>,
    /// `strategy`
    pub strategy: Option<String>,
    /// `bakeTimeInMinutes`
    pub bake_minutes: Option<i32>,
    /// `canaryConfiguration`: its `canaryPercent` and `canaryBakeTimeInMinutes`.
    pub canary: Option<RawShiftStep>,
    /// `linearConfiguration`: its `stepPercent` and `stepBakeTimeInMinutes`.
    pub linear: Option<RawShiftStep>,
}

/// A circuit breaker as a request has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawBreaker {
    /// `enable`, which must be given.
    pub enable: Option<bool>,
    /// `rollback`, which must be given.
    pub rollback: Option<bool>,
    /// `resetOnHealthyTask`
    pub reset_on_healthy_task: Option<bool>,
    /// Type and value of `thresholdConfiguration`, which must both be given.
    pub threshold: Option<(Option<String>, Option<i32>)>,
}

/// The scheduling strategy that a request names.
///
/// # Errors
/// `InvalidParameterException` in ECS's words.
pub fn scheduling(text: Option<&str>) -> Result<SchedulingStrategy, Fault> {
    let Some(text) = text else {
        return Ok(SchedulingStrategy::default());
    };
    SchedulingStrategy::from_name(text).ok_or_else(|| {
        Fault::invalid(format!(
            "Scheduling strategy should be one of [REPLICA,DAEMON]. schedulingStrategy is '{}'.",
            shortened(text)
        ))
    })
}

/// The desired count of a new service.
///
/// # Errors
/// `InvalidParameterException` where a REPLICA service has none, a DAEMON service has one, or it is out of range.
pub fn first_count(asked: Option<i32>, scheduling: SchedulingStrategy) -> Result<u32, Fault> {
    match (scheduling, asked) {
        (SchedulingStrategy::Replica, None) => Err(Fault::invalid("DesiredCount is missing")),
        (SchedulingStrategy::Daemon, None) => Ok(0),
        (_, Some(count)) => desired_count(count, scheduling, "DesiredCount can not be lesser than 0"),
    }
}

/// The desired count that an update asks for.
///
/// # Errors
/// `InvalidParameterException` for a DAEMON service, or where it is out of range.
pub fn next_count(count: i32, scheduling: SchedulingStrategy) -> Result<u32, Fault> {
    desired_count(count, scheduling, "Task count can not be lesser than 0")
}

fn desired_count(count: i32, scheduling: SchedulingStrategy, negative: &str) -> Result<u32, Fault> {
    if scheduling == SchedulingStrategy::Daemon {
        return Err(Fault::invalid(
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again",
        ));
    }
    let count = u32::try_from(count).map_err(|_| Fault::invalid(format!("{negative}: it is {count}.")))?;
    if count > MAX_DESIRED {
        return Err(Fault::invalid(format!(
            "desiredCount {count} should be between 0 and {MAX_DESIRED}."
        )));
    }
    Ok(count)
}

/// Whether a service may have strategies.
///
/// # Errors
/// `InvalidParameterException` for a DAEMON service that is given some.
pub fn strategies(given: usize, scheduling: SchedulingStrategy) -> Result<(), Fault> {
    if scheduling == SchedulingStrategy::Daemon && given > 0 {
        return Err(Fault::invalid(
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again",
        ));
    }
    Ok(())
}

/// `healthCheckGracePeriodSeconds`.
///
/// # Errors
/// `InvalidParameterException` where it is negative.
pub fn grace(seconds: i32) -> Result<u32, Fault> {
    u32::try_from(seconds).map_err(|_| {
        Fault::invalid(format!(
            "healthCheckGracePeriodSeconds {seconds} should be between 0 and {}.",
            i32::MAX
        ))
    })
}

/// CreateService's token.
///
/// # Errors
/// `InvalidParameterException` where it is too long or has characters that ECS does not take.
pub fn client_token(token: &str) -> Result<(), Fault> {
    if token.len() > MAX_TOKEN {
        return Err(Fault::invalid(format!(
            "idempotency token longer than {MAX_TOKEN}. clientToken has {} characters.",
            token.len()
        )));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::invalid("clientToken must be visible ASCII characters."));
    }
    Ok(())
}

/// The configuration that results where a request says `raw` and before it `before` was the case.
///
/// # Errors
/// `InvalidParameterException` naming the member and the rule.
pub fn configuration(
    raw: &RawConfiguration,
    before: DeploymentConfiguration,
    scheduling: SchedulingStrategy,
) -> Result<DeploymentConfiguration, Fault> {
    let mut next = before;
    if let Some(percent) = raw.minimum_healthy_percent {
        next.minimum_healthy_percent = in_range("minimumHealthyPercent", percent, 0..=100)?;
    }
    if let Some(percent) = raw.maximum_percent {
        if scheduling == SchedulingStrategy::Daemon && percent > 100 {
            return Err(Fault::invalid(format!(
                "The daemon scheduling strategy does not support values above 100 for maximumPercent. Change the value {percent} and try again"
            )));
        }
        next.maximum_percent = in_range("maximumPercent", percent, 100..=MAX_PERCENT)?;
    }
    if next.minimum_healthy_percent == 100 && next.maximum_percent == 100 {
        return Err(Fault::invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    if let Some(breaker) = &raw.breaker {
        next.circuit_breaker = circuit_breaker(breaker)?;
    }
    next.shift = shift::shift(raw, before.shift, scheduling)?;
    next.rolling_bake_minutes = match next.shift {
        Some(_) => 0,
        None => shift::bake_minutes(raw)?.unwrap_or(before.rolling_bake_minutes),
    };
    Ok(next)
}

fn circuit_breaker(raw: &RawBreaker) -> Result<CircuitBreaker, Fault> {
    let required = |name: &str, given: Option<bool>| {
        given.ok_or_else(|| Fault::invalid(format!("deploymentCircuitBreaker.{name} can not be empty.")))
    };
    let before = CircuitBreaker::default();
    Ok(CircuitBreaker {
        enable: required("enable", raw.enable)?,
        rollback: required("rollback", raw.rollback)?,
        reset_on_healthy_task: raw.reset_on_healthy_task.unwrap_or(before.reset_on_healthy_task),
        threshold: match &raw.threshold {
            None => before.threshold,
            Some((kind, value)) => threshold(kind.as_deref(), *value)?,
        },
    })
}

fn threshold(kind: Option<&str>, value: Option<i32>) -> Result<Threshold, Fault> {
    let name = kind.unwrap_or_default();
    let kind = ThresholdType::from_name(name).ok_or_else(|| {
        Fault::invalid(format!(
            "thresholdConfiguration.type '{}' should be one of [COUNT, BOUNDED_PERCENT, UNBOUNDED_PERCENT].",
            shortened(name)
        ))
    })?;
    let value = value.ok_or_else(|| Fault::invalid("thresholdConfiguration.value can not be empty."))?;
    let most = match kind {
        ThresholdType::Count => i32::MAX,
        ThresholdType::BoundedPercent | ThresholdType::UnboundedPercent => 100,
    };
    Ok(Threshold {
        kind,
        value: in_range("thresholdConfiguration.value", value, 1..=most)?,
    })
}

fn in_range(name: &str, value: i32, range: std::ops::RangeInclusive<i32>) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|_| range.contains(&value))
        .ok_or_else(|| {
            Fault::invalid(format!(
                "{name} {value} should be between {} and {}.",
                range.start(),
                range.end()
            ))
        })
}

/// Whether tasks are moved between zones once they have come out of balance, where a request may leave that out.
///
/// # Errors
/// `InvalidParameterException` where it is asked for and cannot be: with another strategy in the first place, on every
/// instance, or without room to start a task before one is stopped (ECS guide, "Availability Zone rebalancing").
pub fn rebalancing(
    asked: Option<bool>,
    strategies: &[Strategy],
    configuration: &DeploymentConfiguration,
    scheduling: SchedulingStrategy,
) -> Result<bool, Fault> {
    let by_zone = match strategies.first() {
        None => true,
        Some(Strategy::Spread(SpreadKey::Attribute(name))) => name == ZONE,
        Some(Strategy::Random | Strategy::Spread(SpreadKey::Instance)) => false,
        Some(Strategy::Binpack(PackBy::Cpu | PackBy::Memory)) => false,
    };
    let obstacle = if scheduling == SchedulingStrategy::Daemon {
        Some("services with the DAEMON scheduling strategy")
    } else if configuration.maximum_percent <= 100 {
        Some("services whose maximumPercent is 100")
    } else if !by_zone {
        Some("services whose first placement strategy is not spread over attribute:ecs.availability-zone")
    } else {
        None
    };
    match (asked, obstacle) {
        (Some(true), Some(obstacle)) => Err(Fault::invalid(format!(
            "availabilityZoneRebalancing ENABLED is not supported for {obstacle}."
        ))),
        (asked, obstacle) => Ok(asked.unwrap_or(true) && obstacle.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: SchedulingStrategy = SchedulingStrategy::Replica;
    const DAEMON: SchedulingStrategy = SchedulingStrategy::Daemon;

    fn percents(minimum: Option<i32>, maximum: Option<i32>) -> RawConfiguration {
        RawConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            ..RawConfiguration::default()
        }
    }

    fn configured(raw: &RawConfiguration, scheduling: SchedulingStrategy) -> Result<DeploymentConfiguration, String> {
        let before = DeploymentConfiguration::default_of(scheduling);
        configuration(raw, before, scheduling).map_err(|fault| fault.message)
    }

    #[test]
    fn counts_are_those_that_ecs_takes() {
        assert_eq!(first_count(Some(0), REPLICA), Ok(0));
        assert_eq!(first_count(None, DAEMON), Ok(0));
        assert_eq!(next_count(5000, REPLICA), Ok(5000));
        let says = |refused: Result<u32, Fault>| refused.unwrap_err().message;
        assert_eq!(says(first_count(None, REPLICA)), "DesiredCount is missing");
        assert!(says(first_count(Some(-1), REPLICA)).starts_with("DesiredCount can not be lesser than 0"));
        assert!(says(next_count(-1, REPLICA)).starts_with("Task count can not be lesser than 0"));
        assert!(says(next_count(5001, REPLICA)).contains("5001 should be between 0 and 5000"));
        assert!(says(first_count(Some(1), DAEMON)).contains("does not support a desired count for services"));
        assert!(says(next_count(1, DAEMON)).contains("does not support a desired count for services"));
    }

    #[test]
    fn what_a_request_leaves_out_stays_as_it_was() {
        let next = configured(&percents(Some(50), None), REPLICA).unwrap();
        assert_eq!((next.minimum_healthy_percent, next.maximum_percent), (50, 200));
        let again = configuration(&percents(None, Some(150)), next, REPLICA).unwrap();
        assert_eq!((again.minimum_healthy_percent, again.maximum_percent), (50, 150));
    }

    #[test]
    fn percents_leave_room_to_deploy() {
        for (raw, scheduling, says) in [
            (
                percents(Some(-1), None),
                REPLICA,
                "minimumHealthyPercent -1 should be between 0 and 100.",
            ),
            (
                percents(Some(101), None),
                REPLICA,
                "minimumHealthyPercent 101 should be",
            ),
            (
                percents(None, Some(99)),
                REPLICA,
                "maximumPercent 99 should be between 100 and",
            ),
            (
                percents(None, Some(100)),
                REPLICA,
                "cannot be 100 as this will block deployments",
            ),
            (
                percents(Some(100), None),
                DAEMON,
                "cannot be 100 as this will block deployments",
            ),
            (
                percents(None, Some(101)),
                DAEMON,
                "does not support values above 100 for maximumPercent",
            ),
        ] {
            let message = configured(&raw, scheduling).unwrap_err();
            assert!(message.contains(says), "{raw:?}: {message}");
        }
    }

    #[test]
    fn a_breaker_says_both_whether_it_acts_and_whether_it_rolls_back() {
        let breaker = |enable, rollback, threshold| RawConfiguration {
            breaker: Some(RawBreaker {
                enable,
                rollback,
                reset_on_healthy_task: None,
                threshold,
            }),
            ..RawConfiguration::default()
        };
        let count = |kind: &str, value| Some((Some(kind.to_owned()), value));
        let next = configured(&breaker(Some(true), Some(false), count("COUNT", Some(7))), REPLICA).unwrap();
        assert_eq!(next.circuit_breaker.threshold.failures(800), 7);
        assert!(next.circuit_breaker.reset_on_healthy_task);
        for (raw, says) in [
            (breaker(None, Some(true), None), "enable can not be empty"),
            (breaker(Some(true), None, None), "rollback can not be empty"),
            (
                breaker(Some(true), Some(true), count("SOME", Some(1))),
                "type 'SOME' should be one of",
            ),
            (
                breaker(Some(true), Some(true), count("COUNT", None)),
                "value can not be empty",
            ),
            (
                breaker(Some(true), Some(true), count("BOUNDED_PERCENT", Some(101))),
                "should be between 1 and 100",
            ),
        ] {
            let message = configured(&raw, REPLICA).unwrap_err();
            assert!(message.contains(says), "{raw:?}: {message}");
        }
    }

    #[test]
    fn zones_are_balanced_where_nothing_is_said_and_nothing_stands_in_the_way() {
        let open = DeploymentConfiguration::default_of(REPLICA);
        let full = DeploymentConfiguration {
            minimum_healthy_percent: 50,
            maximum_percent: 100,
            ..open
        };
        let zones = [Strategy::Spread(SpreadKey::Attribute(ZONE.to_owned()))];
        let packed = [Strategy::Binpack(PackBy::Memory)];
        for (strategies, configuration, scheduling, may) in [
            (&[][..], &open, REPLICA, true),
            (&zones[..], &open, REPLICA, true),
            (&packed[..], &open, REPLICA, false),
            (&[][..], &full, REPLICA, false),
            (&[][..], &open, DAEMON, false),
        ] {
            let asked = |asked| rebalancing(asked, strategies, configuration, scheduling);
            assert_eq!(asked(None), Ok(may));
            assert_eq!(asked(Some(false)), Ok(false));
            assert_eq!(asked(Some(true)).is_ok(), may);
        }
    }
}
