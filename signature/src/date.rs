//! When a request was signed: `20150830T123600Z`, or what a `Date` header says.

use std::fmt;
use std::time::Duration;

use berth_model::time::Timestamp;

/// A second, as signatures write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SigningDate(Timestamp);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl SigningDate {
    /// The second of a point in time.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000))
    }

    /// Reads `20150830T123600Z` (ISO 8601, basic format), the only form of `X-Amz-Date`.
    #[must_use]
    pub fn from_basic(text: &str) -> Option<Self> {
        let is_digit = |at: usize| !matches!(at, 8 | 15);
        let shaped = text.len() == 16
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                at => is_digit(at) && byte.is_ascii_digit(),
            });
        if !shaped {
            return None;
        }
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (date, time) = (
            [part(0, 4), part(4, 6), part(6, 8)],
            [part(9, 11), part(11, 13), part(13, 15)],
        );
        Timestamp::from_rfc3339(&format!("{}T{}Z", date.join("-"), time.join(":"))).map(Self)
    }

    /// Reads what a `Date` header may have: `Sun, 30 Aug 2015 12:36:00 GMT` (RFC 9110), or the basic format.
    #[must_use]
    pub fn from_date_header(text: &str) -> Option<Self> {
        if let Some(date) = Self::from_basic(text) {
            return Some(date);
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        // botocore writes the zone as RFC 5322 does.
        let [weekday, day, month, year, time, "GMT" | "UTC" | "+0000" | "-0000"] = words[..] else {
            return None;
        };
        let month = MONTHS.iter().position(|known| *known == month)? + 1;
        if !weekday.ends_with(',') || day.len() != 2 {
            return None;
        }
        Timestamp::from_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).map(Self::of)
    }

    /// The point in time.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.0
    }

    /// The day, as a credential's scope has it: `20150830`.
    #[must_use]
    pub fn day(self) -> String {
        self.to_string().chars().take(8).collect()
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::of(self.0 + span)
    }

    /// So much earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::of(Timestamp::from_millis(self.0.as_millis().saturating_sub(millis)))
    }
}

/// In the basic format.
impl fmt::Display for SigningDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_rfc3339();
        let (whole, _) = text.split_once('.').unwrap_or((&text, ""));
        let basic: String = whole.chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
        write!(f, "{basic}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_in_the_forms_that_clients_write() {
        let aws = SigningDate::from_basic("20150830T123600Z").unwrap();
        assert_eq!(aws.at().to_rfc3339(), "2015-08-30T12:36:00.000Z");
        assert_eq!(
            (aws.to_string().as_str(), aws.day().as_str()),
            ("20150830T123600Z", "20150830")
        );
        for text in [
            "Sun, 30 Aug 2015 12:36:00 GMT",
            "Sun, 30 Aug 2015 12:36:00 -0000",
            "20150830T123600Z",
        ] {
            assert_eq!(SigningDate::from_date_header(text), Some(aws), "{text}");
        }
        assert_eq!(aws.plus(Duration::from_secs(90)).to_string(), "20150830T123730Z");
        assert_eq!(aws.minus(Duration::from_secs(90)).to_string(), "20150830T123430Z");
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            "20150830",
            "2015-08-30T12:36:00Z",
            "20150830T1236000",
            "20151330T123600Z",
            "20150830T126000Z",
            "2015é830T12360Z",
        ] {
            assert_eq!(SigningDate::from_basic(text), None, "{text}");
        }
        for text in [
            "Sun, 30 Aug 2015 12:36:00 CET",
            "Sun, 30 Aug 2015 12:36:00 +0100",
            "Sun 30 Aug 2015 12:36:00 GMT",
            "Sunday, 30-Aug-15 12:36:00 GMT",
            "Sun Aug 30 12:36:00 2015",
        ] {
            assert_eq!(SigningDate::from_date_header(text), None, "{text}");
        }
    }
}
