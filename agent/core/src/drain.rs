//! The host goes away: what the agent was told of it, and what it says and does about it.
//!
//! From the notice on the scheduler places nothing here. At the deadline the agent stops what still runs.

use berth_model::status::StopCode;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why the host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// It is being shut down.
    Shutdown,
    /// EC2 takes a Spot Instance back for good.
    SpotTerminate,
    /// EC2 stops or hibernates a Spot Instance.
    SpotStop,
}

/// What was told of the host's end. It holds for one boot: a host that has started again is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Why.
    pub departure: Departure,
    /// When tasks that still run are told to stop.
    pub deadline: Timestamp,
    /// Which start of the host it is about.
    pub boot: String,
}

impl Notice {
    /// Which of two notices holds: of the same kind the newer, otherwise that which leaves less time.
    #[must_use]
    pub fn or_newer(self, newer: Self) -> Self {
        if self.departure == newer.departure || newer.deadline <= self.deadline {
            newer
        } else {
            self
        }
    }

    /// Why the instance is DRAINING, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self.departure {
            Departure::Shutdown => "The host shuts down.",
            Departure::SpotTerminate => "EC2 takes the host, a Spot Instance, back.",
            Departure::SpotStop => "EC2 stops the host, a Spot Instance.",
        }
    }

    /// ECS's code for a task that the notice ends.
    #[must_use]
    pub fn stop_code(&self) -> StopCode {
        match self.departure {
            Departure::Shutdown => StopCode::TerminationNotice,
            Departure::SpotTerminate | Departure::SpotStop => StopCode::SpotInterruption,
        }
    }

    /// ECS's words for it; tools look for them. `host` is the host's id in EC2, or the instance's.
    #[must_use]
    pub fn stopped_reason(&self, host: &str) -> String {
        let end = match self.departure {
            Departure::SpotTerminate => "terminated",
            Departure::Shutdown | Departure::SpotStop => "stopped",
        };
        format!("Host EC2 (instance {host}) {end}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(departure: Departure, deadline: i64) -> Notice {
        Notice {
            departure,
            deadline: Timestamp::from_millis(deadline),
            boot: String::new(),
        }
    }

    #[test]
    fn an_operator_may_move_a_deadline_and_never_past_that_of_ec2() {
        use Departure::{Shutdown, SpotTerminate};
        let shutdown = notice(Shutdown, 100);
        assert_eq!(
            shutdown.clone().or_newer(notice(Shutdown, 200)).deadline.as_millis(),
            200
        );
        let spot = notice(SpotTerminate, 150);
        assert_eq!(shutdown.clone().or_newer(spot.clone()), shutdown);
        assert_eq!(spot.clone().or_newer(notice(Shutdown, 200)), spot);
        assert_eq!(spot.or_newer(shutdown.clone()), shutdown);
    }

    #[test]
    fn the_words_are_those_of_ecs() {
        let told = |departure| notice(departure, 0).stopped_reason("i-1");
        assert_eq!(told(Departure::Shutdown), "Host EC2 (instance i-1) stopped.");
        assert_eq!(told(Departure::SpotTerminate), "Host EC2 (instance i-1) terminated.");
        assert_eq!(notice(Departure::SpotStop, 0).stop_code(), StopCode::SpotInterruption);
    }
}
