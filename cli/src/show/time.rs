//! Points in time as people say them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The moment at which an answer is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now(f64);

impl Now {
    pub(crate) fn of_the_clock() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0.0, |since| since.as_secs_f64()))
    }

    /// `in 3m`, to seconds since the epoch; what lies behind is `now`.
    pub(crate) fn ahead(self, then: f64) -> String {
        match Self(then).ago(self.0).strip_suffix(" ago") {
            Some(span) => format!("in {span}"),
            None => "now".to_owned(),
        }
    }

    /// `3m ago`, from seconds since the epoch; what lies ahead is `now`, since two clocks never agree.
    pub(crate) fn ago(self, then: f64) -> String {
        let seconds = (self.0 - then).max(0.0);
        if seconds < 1.0 {
            return "now".to_owned();
        }
        const UNITS: [(f64, &str); 4] = [(86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s")];
        UNITS
            .iter()
            .find(|(length, _)| seconds >= *length)
            .map_or_else(String::new, |(length, unit)| {
                format!("{:.0}{unit} ago", (seconds / length).floor())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Now;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let now = Now(1_000_000.0);
        for (seconds, told) in [
            (-5.0, "now"),
            (0.9, "now"),
            (1.0, "1s ago"),
            (59.9, "59s ago"),
            (60.0, "1m ago"),
            (3599.0, "59m ago"),
            (3600.0, "1h ago"),
            (86399.0, "23h ago"),
            (200_000.0, "2d ago"),
        ] {
            assert_eq!(now.ago(1_000_000.0 - seconds), told, "{seconds}");
        }
    }

    #[test]
    fn what_lies_ahead_is_told_in_the_same_units() {
        let now = Now(1_000_000.0);
        for (seconds, told) in [(-5.0, "now"), (0.0, "now"), (59.9, "in 59s"), (7200.0, "in 2h")] {
            assert_eq!(now.ahead(1_000_000.0 + seconds), told, "{seconds}");
        }
    }
}
