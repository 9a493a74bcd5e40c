//! How traffic moves, as requests say it.

use super::{RawConfiguration, in_range};
use crate::fault::{Fault, shortened};
use crate::service::{Percent, SchedulingStrategy, Shift, ShiftStep};

/// Minutes of a bake time, at most (ECS API, `DeploymentConfiguration.bakeTimeInMinutes`).
const LONGEST_BAKE: i32 = 1440;

/// What ECS lets a step be, and what it is where nothing is said.
struct StepRule {
    /// What its members' names begin with.
    name: &'static str,
    /// The fewest percent.
    least: f64,
    percent: u32,
    minutes: i32,
}

/// ECS API, `CanaryConfiguration`.
const CANARY: StepRule = StepRule {
    name: "canary",
    least: 0.1,
    percent: 5,
    minutes: 10,
};

/// ECS API, `LinearConfiguration`.
const LINEAR: StepRule = StepRule {
    name: "step",
    least: 3.0,
    percent: 10,
    minutes: 6,
};

/// How much traffic moves at a time, as a request has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RawShiftStep {
    /// Percent of the traffic.
    pub percent: Option<f64>,
    /// Minutes until more moves.
    pub bake_minutes: Option<i32>,
}

/// How traffic moves where the request says so, else as before.
pub(super) fn shift(
    raw: &RawConfiguration,
    before: Option<Shift>,
    scheduling: SchedulingStrategy,
) -> Result<Option<Shift>, Fault> {
    let strategy = match (raw.strategy.as_deref(), before) {
        (Some(name), _) => name,
        (None, Some(before)) => before.step.name(),
        (None, None) => "ROLLING",
    };
    for (member, given, of) in [
        ("canaryConfiguration", raw.canary.is_some(), "CANARY"),
        ("linearConfiguration", raw.linear.is_some(), "LINEAR"),
    ] {
        if given && strategy != of {
            return Err(Fault::invalid(format!(
                "deploymentConfiguration.{member} is for strategy {of}; the strategy is {strategy}."
            )));
        }
    }
    let last = before.map(|before| before.step).filter(|step| step.name() == strategy);
    let step = match strategy {
        "ROLLING" => return Ok(None),
        "BLUE_GREEN" => ShiftStep::AllAtOnce,
        "CANARY" => match (raw.canary, last) {
            (None, Some(last)) => last,
            (given, _) => {
                let (percent, bake_minutes) = shift_step(&CANARY, given.unwrap_or_default())?;
                ShiftStep::Canary { percent, bake_minutes }
            }
        },
        "LINEAR" => match (raw.linear, last) {
            (None, Some(last)) => last,
            (given, _) => {
                let (percent, bake_minutes) = shift_step(&LINEAR, given.unwrap_or_default())?;
                ShiftStep::Linear { percent, bake_minutes }
            }
        },
        other => {
            return Err(Fault::invalid(format!(
                "deploymentConfiguration.strategy '{}' should be one of [ROLLING, BLUE_GREEN, LINEAR, CANARY].",
                shortened(other)
            )));
        }
    };
    if scheduling == SchedulingStrategy::Daemon {
        return Err(Fault::invalid(format!(
            "deploymentConfiguration.strategy {strategy} is not supported for services with the DAEMON scheduling strategy."
        )));
    }
    let bake_minutes = bake_minutes(raw)?.unwrap_or_else(|| before.map_or(0, |before| before.bake_minutes));
    Ok(Some(Shift { step, bake_minutes }))
}

/// `bakeTimeInMinutes`, where it is given.
pub(super) fn bake_minutes(raw: &RawConfiguration) -> Result<Option<u32>, Fault> {
    let given = raw.bake_minutes;
    given
        .map(|minutes| in_range("deploymentConfiguration.bakeTimeInMinutes", minutes, 0..=LONGEST_BAKE))
        .transpose()
}

/// Percent and minutes of a step.
fn shift_step(rule: &StepRule, raw: RawShiftStep) -> Result<(Percent, u32), Fault> {
    let StepRule {
        name, least, percent, ..
    } = *rule;
    let percent = match raw.percent {
        None => Percent::whole(percent),
        Some(given) => Percent::parse(given).filter(|_| given >= least).ok_or_else(|| {
            Fault::invalid(format!(
                "{name}Percent {given} should be a multiple of 0.1 between {least:.1} and 100.0."
            ))
        })?,
    };
    let minutes = in_range(
        &format!("{name}BakeTimeInMinutes"),
        raw.bake_minutes.unwrap_or(rule.minutes),
        0..=LONGEST_BAKE,
    )?;
    Ok((percent, minutes))
}

#[cfg(test)]
mod tests {
    use super::super::configuration;
    use super::*;
    use crate::service::DeploymentConfiguration;

    const REPLICA: SchedulingStrategy = SchedulingStrategy::Replica;
    const DAEMON: SchedulingStrategy = SchedulingStrategy::Daemon;

    fn configured(raw: &RawConfiguration, scheduling: SchedulingStrategy) -> Result<DeploymentConfiguration, String> {
        let before = DeploymentConfiguration::default_of(scheduling);
        configuration(raw, before, scheduling).map_err(|fault| fault.message)
    }

    #[test]
    fn traffic_moves_as_the_strategy_says() {
        let asked = |strategy: &str| RawConfiguration {
            strategy: Some(strategy.to_owned()),
            ..RawConfiguration::default()
        };
        let shift = |raw: &RawConfiguration| configured(raw, REPLICA).map(|next| next.shift);
        assert_eq!(shift(&asked("ROLLING")), Ok(None));
        let blue_green = Shift {
            step: ShiftStep::AllAtOnce,
            bake_minutes: 0,
        };
        assert_eq!(shift(&asked("BLUE_GREEN")), Ok(Some(blue_green)));
        let canary = RawConfiguration {
            canary: Some(RawShiftStep {
                percent: Some(0.3),
                bake_minutes: None,
            }),
            bake_minutes: Some(3),
            ..asked("CANARY")
        };
        let expected = Shift {
            step: ShiftStep::Canary {
                percent: Percent::parse(0.3).unwrap(),
                bake_minutes: 10,
            },
            bake_minutes: 3,
        };
        let next = configured(&canary, REPLICA).unwrap();
        assert_eq!(next.shift, Some(expected));
        let halved = RawConfiguration {
            minimum_healthy_percent: Some(50),
            ..RawConfiguration::default()
        };
        let again = configuration(&halved, next, REPLICA).unwrap();
        assert_eq!(again.shift, Some(expected), "what is left out stays");

        let misplaced = RawConfiguration {
            canary: canary.canary,
            ..asked("BLUE_GREEN")
        };
        assert!(
            shift(&misplaced)
                .unwrap_err()
                .contains("canaryConfiguration is for strategy CANARY")
        );
        assert!(shift(&asked("SUDDEN")).unwrap_err().contains("SUDDEN"));
        let long = RawConfiguration {
            bake_minutes: Some(1441),
            ..asked("BLUE_GREEN")
        };
        assert!(shift(&long).unwrap_err().contains("bakeTimeInMinutes 1441"));
        let linear = |percent: f64| RawConfiguration {
            linear: Some(RawShiftStep {
                percent: Some(percent),
                bake_minutes: None,
            }),
            ..asked("LINEAR")
        };
        assert!(shift(&linear(3.0)).is_ok());
        for percent in [2.9, 12.34, 100.1, f64::NAN] {
            assert_eq!(
                shift(&linear(percent)).unwrap_err(),
                format!("stepPercent {percent} should be a multiple of 0.1 between 3.0 and 100.0.")
            );
        }
        assert!(configured(&asked("LINEAR"), DAEMON).unwrap_err().contains("DAEMON"));
    }
}
