//! The words of task sets: parts of a service that somebody else deploys (ECS API, `TaskSet`).

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};
use crate::status::named;

named! {
    /// Who begins the deployments of a service (ECS API, `DeploymentController.type`).
    #[derive(Default)]
    DeploymentController {
        /// The scheduler, when a service is updated.
        #[default]
        Ecs = "ECS",
        /// Somebody else, by making task sets.
        External = "EXTERNAL",
    }
}

named! {
    /// What a task set is to its service (ECS API, `TaskSet.status`).
    TaskSetStatus {
        /// The one that serves production traffic.
        Primary = "PRIMARY",
        /// One that does not.
        Active = "ACTIVE",
        /// One that was deleted; its tasks are being stopped.
        Draining = "DRAINING",
    }
}

named! {
    /// Whether a task set is as it should be (ECS API, `StabilityStatus`).
    #[derive(Default)]
    StabilityStatus {
        /// It has as many tasks as it should, all of them run and none is on an instance that drains.
        SteadyState = "STEADY_STATE",
        /// It is on its way there.
        #[default]
        Stabilizing = "STABILIZING",
    }
}

impl DeploymentController {
    /// Whether it is [`DeploymentController::Ecs`]: what is not said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The part of its service's desired count that a task set is to have, in millionths of a percent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scale(u32);

impl Scale {
    /// Millionths of a percent in a percent.
    const PER_PERCENT: f64 = 1e6;
    /// All of the count.
    const ALL: u64 = 100_000_000;

    /// The scale that a request asks for: nothing of the count where it says nothing.
    ///
    /// # Errors
    /// `InvalidParameterException` for a unit other than PERCENT, or a value that is not between 0 and 100.
    pub fn parse(value: Option<f64>, unit: Option<&str>) -> Result<Self, Fault> {
        if let Some(unit) = unit
            && unit != "PERCENT"
        {
            return Err(Fault::invalid(format!(
                "scale.unit '{}' should be one of [PERCENT].",
                shortened(unit)
            )));
        }
        let value = value.unwrap_or(0.0);
        if !(0.0..=100.0).contains(&value) {
            return Err(Fault::invalid(format!(
                "scale.value {value} should be between 0 and 100."
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a hundred million"
        )]
        let millionths = (value * Self::PER_PERCENT).round() as u32;
        Ok(Self(millionths))
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / Self::PER_PERCENT
    }

    /// How many tasks it is of so many, rounded up (ECS API, `TaskSet.computedDesiredCount`).
    #[must_use]
    pub fn of(self, desired: u32) -> u32 {
        let part = (u64::from(desired) * u64::from(self.0)).div_ceil(Self::ALL);
        u32::try_from(part).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(value: f64) -> Scale {
        Scale::parse(Some(value), Some("PERCENT")).unwrap()
    }

    #[test]
    fn a_part_of_the_count_is_rounded_up_and_never_by_what_a_float_loses() {
        for (desired, percent, count) in [
            (10, 70.0, 7),
            (10, 70.1, 8),
            (3, 33.3333, 1),
            (3, 33.3334, 2),
            (1, 0.000_001, 1),
            (7, 0.0, 0),
            (0, 100.0, 0),
            (u32::MAX, 100.0, u32::MAX),
        ] {
            assert_eq!(scale(percent).of(desired), count, "{percent} % of {desired}");
        }
    }

    #[test]
    fn what_is_asked_for_is_answered() {
        for percent in [0.0, 12.5, 33.3333, 99.999_999, 100.0] {
            assert!((scale(percent).percent() - percent).abs() < 1e-9, "{percent}");
        }
        assert_eq!(Scale::parse(None, None), Ok(Scale::default()));
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for (value, unit, says) in [
            (101.0, None, "scale.value 101 should be between 0 and 100."),
            (-1.0, None, "scale.value -1 should be between 0 and 100."),
            (f64::NAN, None, "scale.value NaN should be between 0 and 100."),
            (1.0, Some("TASKS"), "scale.unit 'TASKS' should be one of [PERCENT]."),
        ] {
            assert_eq!(Scale::parse(Some(value), unit).unwrap_err().message, says);
        }
    }
}
