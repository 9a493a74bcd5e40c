//! How traffic moves from one deployment to the next, where the next is there whole before any task of the last stops
//! (ECS guide, "Blue/green deployments", "Linear deployments", "Canary deployments").

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Percent;

/// How traffic moves, and for how long the tasks that had it stay after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// How much moves at a time.
    pub step: ShiftStep,
    /// Minutes for which the tasks of the last deployment stay when all traffic has moved, to go back to.
    pub bake_minutes: u32,
}

/// How much traffic moves at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShiftStep {
    /// All at once: BLUE_GREEN.
    AllAtOnce,
    /// A part, and after a while the rest: CANARY.
    Canary {
        /// What moves first.
        percent: Percent,
        /// Minutes until the rest does.
        bake_minutes: u32,
    },
    /// As much again and again: LINEAR.
    Linear {
        /// What moves each time.
        percent: Percent,
        /// Minutes between.
        bake_minutes: u32,
    },
}

impl ShiftStep {
    /// ECS's name of it (ECS API, `DeploymentStrategy`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllAtOnce => "BLUE_GREEN",
            Self::Canary { .. } => "CANARY",
            Self::Linear { .. } => "LINEAR",
        }
    }
}

impl Shift {
    /// The share of the traffic that follows after so much.
    #[must_use]
    pub fn after(&self, percent: Percent) -> Percent {
        match self.step {
            ShiftStep::Canary { percent: first, .. } if percent == Percent::default() => first,
            ShiftStep::AllAtOnce | ShiftStep::Canary { .. } => Percent::ALL,
            ShiftStep::Linear { percent: more, .. } => percent.and(more),
        }
    }

    /// How long it stays at this share before the next is due, or before the tasks that had the traffic may stop.
    #[must_use]
    pub fn pause_at(&self, percent: Percent) -> Duration {
        let minutes = match self.step {
            _ if percent >= Percent::ALL => self.bake_minutes,
            ShiftStep::AllAtOnce => 0,
            ShiftStep::Canary { bake_minutes, .. } | ShiftStep::Linear { bake_minutes, .. } => bake_minutes,
        };
        Duration::from_secs(u64::from(minutes) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares in percent with the minutes that each is held.
    fn course(step: ShiftStep) -> Vec<(f64, u64)> {
        let shift = Shift { step, bake_minutes: 30 };
        let mut shares = Vec::new();
        let mut percent = Percent::default();
        while percent < Percent::ALL {
            percent = shift.after(percent);
            shares.push((percent.as_f64(), shift.pause_at(percent).as_secs() / 60));
        }
        shares
    }

    #[test]
    fn traffic_moves_at_once_in_two_parts_or_step_by_step() {
        assert_eq!(course(ShiftStep::AllAtOnce), [(100.0, 30)]);
        let canary = ShiftStep::Canary {
            percent: Percent::parse(0.5).unwrap(),
            bake_minutes: 5,
        };
        assert_eq!(course(canary), [(0.5, 5), (100.0, 30)]);
        let linear = ShiftStep::Linear {
            percent: Percent::parse(33.3).unwrap(),
            bake_minutes: 2,
        };
        assert_eq!(course(linear), [(33.3, 2), (66.6, 2), (99.9, 2), (100.0, 30)]);
    }
}
