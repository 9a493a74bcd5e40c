//! How traffic moves from one deployment to the next.

use std::str::FromStr;

use berth_proto::ecs::v1::{CanaryConfiguration, LinearConfiguration};

use crate::args::duration;

const RULE: &str = "it must be rolling, blue-green, canary or linear; the last two may say how much moves and for how \
                    long it stays so, as canary=10:5m";

/// `rolling`, `blue-green`, `canary=10:5m` or `linear=20:1m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Traffic {
    Rolling,
    BlueGreen,
    Canary(Option<Part>),
    Linear(Option<Part>),
}

/// How much moves, and how many minutes pass until more does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    percent: f64,
    minutes: i32,
}

impl FromStr for Traffic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, part) = match text.split_once('=') {
            Some((name, part)) => (name, Some(part.parse()?)),
            None => (text, None),
        };
        match (name, part) {
            ("rolling", None) => Ok(Self::Rolling),
            ("blue-green", None) => Ok(Self::BlueGreen),
            ("canary", part) => Ok(Self::Canary(part)),
            ("linear", part) => Ok(Self::Linear(part)),
            _ => Err(RULE.to_owned()),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (percent, pause) = text.split_once(':').ok_or(RULE)?;
        Ok(Self {
            percent: percent.parse().map_err(|_| RULE)?,
            minutes: minutes(pause)?,
        })
    }
}

impl Traffic {
    /// ECS's name of it.
    pub(super) const fn strategy(self) -> &'static str {
        match self {
            Self::Rolling => "ROLLING",
            Self::BlueGreen => "BLUE_GREEN",
            Self::Canary(_) => "CANARY",
            Self::Linear(_) => "LINEAR",
        }
    }

    pub(super) fn canary(self) -> Option<CanaryConfiguration> {
        match self {
            Self::Canary(Some(part)) => Some(CanaryConfiguration {
                canary_percent: Some(part.percent),
                canary_bake_time_in_minutes: Some(part.minutes),
            }),
            Self::Canary(None) | Self::Rolling | Self::BlueGreen | Self::Linear(_) => None,
        }
    }

    pub(super) fn linear(self) -> Option<LinearConfiguration> {
        match self {
            Self::Linear(Some(part)) => Some(LinearConfiguration {
                step_percent: Some(part.percent),
                step_bake_time_in_minutes: Some(part.minutes),
            }),
            Self::Linear(None) | Self::Rolling | Self::BlueGreen | Self::Canary(_) => None,
        }
    }
}

/// A duration of whole minutes; `0m` is one too.
pub(super) fn minutes(text: &str) -> Result<i32, String> {
    const WHOLE: &str = "it must be a whole number of minutes, such as 10m or 1h";
    if ["0", "0m"].contains(&text) {
        return Ok(0);
    }
    let seconds = duration(text)?.as_secs();
    match seconds % 60 {
        0 => i32::try_from(seconds / 60).map_err(|_| WHOLE.to_owned()),
        _ => Err(WHOLE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_moves_at_once_in_parts_or_not_at_all() {
        let part = |percent, minutes| Some(Part { percent, minutes });
        for (text, traffic) in [
            ("rolling", Traffic::Rolling),
            ("blue-green", Traffic::BlueGreen),
            ("canary", Traffic::Canary(None)),
            ("canary=10:5m", Traffic::Canary(part(10.0, 5))),
            ("canary=0.5:5m", Traffic::Canary(part(0.5, 5))),
            ("linear=20:0m", Traffic::Linear(part(20.0, 0))),
        ] {
            assert_eq!(text.parse(), Ok(traffic), "{text}");
        }
    }

    #[test]
    fn what_is_no_way_to_move_traffic_is_refused() {
        for text in [
            "",
            "green",
            "blue-green=10:5m",
            "canary=10",
            "canary=x:5m",
            "canary=10:90s",
        ] {
            assert!(text.parse::<Traffic>().is_err(), "{text}");
        }
        assert_eq!(minutes("2h"), Ok(120));
    }
}
