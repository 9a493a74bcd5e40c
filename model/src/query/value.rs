//! Arguments that are more than text: versions and dates.
//!
//! Reading and comparing them, nothing else. Called by `grammar` to read arguments and by `tree` to compare with them.

use std::cmp::Ordering;
use std::fmt;

use crate::time::Timestamp;

/// Numbers separated by dots, compared number by number; missing ones count as zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u64>);

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(number).collect::<Option<Vec<_>>>()?;
        // Without its last zeros, a version that is the beginning of another is also the smaller of the two.
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }

    /// The version that an agent reports: a `v` before it and a suffix (`-rc1`, `+build`) do not count.
    pub(super) fn of_agent(reported: &str) -> Option<Self> {
        let numbers = reported.strip_prefix('v').unwrap_or(reported);
        let end = numbers.find(['-', '+']).unwrap_or(numbers.len());
        Self::parse(&numbers[..end])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0.as_slice() else {
            return f.write_str("0");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|number| write!(f, ".{number}"))
    }
}

/// A whole number without a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    // The standard parser takes a leading plus.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// 0000-01-01T00:00:00Z, in seconds since the epoch.
const YEAR_ZERO: i64 = -62_167_219_200;

/// A second in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(jiff::Timestamp);

impl Moment {
    /// Reads `2018-06-18`, `2018-06-18T22:28:28` and the latter with `Z` or an offset such as `+01:00`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let second: jiff::Timestamp = match shape.as_str() {
            "0000-00-00" => format!("{text}T00:00:00Z").parse().ok()?,
            "0000-00-00T00:00:00" => format!("{text}Z").parse().ok()?,
            "0000-00-00T00:00:00Z" | "0000-00-00T00:00:00+00:00" | "0000-00-00T00:00:00-00:00" => text.parse().ok()?,
            _ => return None,
        };
        // An offset can move the first hours of year 0 to a year before it, which has no such form.
        (second.as_second() >= YEAR_ZERO).then_some(Self(second))
    }

    /// How the time compares to this second.
    pub(super) fn compare(self, time: Timestamp) -> Ordering {
        time.as_millis().div_euclid(1000).cmp(&self.0.as_second())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
