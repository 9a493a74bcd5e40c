//! What the outcomes of checks make of a target. Pure.

use std::sync::Arc;

use berth_proto::gateway::v1 as proto;

use crate::endpoints::HealthCheck;

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// No check has decided yet.
    Initial,
    Healthy,
    /// Why, in a few words.
    Unhealthy(Arc<str>),
}

/// A target's condition, and the checks since then that speak against it.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    condition: Condition,
    /// Checks in a row whose outcome is not the condition's.
    against: u32,
}

impl Health {
    /// Of a target that is new here. What a gateway found healthy before is healthy at once, so that a gateway that
    /// starts need not check everything before it serves.
    pub(crate) fn new(known: proto::Health) -> Self {
        let condition = match known {
            proto::Health::Healthy => Condition::Healthy,
            proto::Health::Unspecified | proto::Health::Unhealthy => Condition::Initial,
        };
        Self { condition, against: 0 }
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Takes the outcome of a check, the reason where it failed; says whether the condition is another kind now.
    ///
    /// As on ELB the first success of a new target turns it healthy; all else takes as many checks in a row as the
    /// thresholds say (Elastic Load Balancing, "Health checks for Application Load Balancer target groups").
    pub(crate) fn checked(&mut self, outcome: Result<(), Arc<str>>, rules: &HealthCheck) -> bool {
        let (next, needed) = match (&mut self.condition, outcome) {
            (Condition::Healthy, Ok(())) => {
                self.against = 0;
                return false;
            }
            (Condition::Unhealthy(known), Err(reason)) => {
                *known = reason;
                self.against = 0;
                return false;
            }
            (Condition::Initial, Ok(())) => (Condition::Healthy, 1),
            (Condition::Unhealthy(_), Ok(())) => (Condition::Healthy, rules.healthy_threshold),
            (Condition::Initial | Condition::Healthy, Err(reason)) => {
                (Condition::Unhealthy(reason), rules.unhealthy_threshold)
            }
        };
        self.against += 1;
        if self.against < needed {
            return false;
        }
        *self = Self {
            condition: next,
            against: 0,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rules() -> HealthCheck {
        HealthCheck {
            path: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: 3,
            unhealthy_threshold: 2,
        }
    }

    /// The conditions after each of these outcomes: `+` a success, `-` a failure; I, H and U.
    fn conditions(known: proto::Health, outcomes: &str) -> String {
        let mut health = Health::new(known);
        let mut after = |outcome| {
            let outcome = if outcome == '+' { Ok(()) } else { Err("refused".into()) };
            let before = health.condition().clone();
            let changed = health.checked(outcome, &rules());
            assert_eq!(changed, before != *health.condition());
            match health.condition() {
                Condition::Initial => 'I',
                Condition::Healthy => 'H',
                Condition::Unhealthy(_) => 'U',
            }
        };
        outcomes.chars().map(&mut after).collect()
    }

    #[test]
    fn conditions_change_after_as_many_checks_in_a_row_as_the_thresholds_say() {
        let new = proto::Health::Unspecified;
        let cases = [
            (new, "+", "H"),
            (new, "--", "IU"),
            (new, "-+", "IH"),
            (new, "--+++", "IUUUH"),
            (new, "--++-+++", "IUUUUUUH"),
            (new, "+-+--", "HHHHU"),
            (proto::Health::Healthy, "-+-", "HHH"),
            (proto::Health::Unhealthy, "+", "H"),
        ];
        for (known, outcomes, expected) in cases {
            assert_eq!(conditions(known, outcomes), expected, "{outcomes}");
        }
    }

    #[test]
    fn the_reason_is_that_of_the_last_failure() {
        let mut health = Health::new(proto::Health::Unspecified);
        for reason in ["refused", "status 500", "status 503"] {
            health.checked(Err(reason.into()), &rules());
        }
        assert_eq!(*health.condition(), Condition::Unhealthy("status 503".into()));
    }
}
