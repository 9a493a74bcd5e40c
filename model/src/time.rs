//! Points in time, as arguments: nothing in the pure packages reads a clock.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point that lies so many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch with a fraction, as the ECS JSON protocol writes time.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact to the millisecond until the year 287396"
    )]
    pub fn as_epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The point so many seconds after the epoch; what is no finite number becomes the epoch.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
    pub fn from_epoch_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as i64)
    }

    /// As RFC 3339 in UTC with milliseconds: `2026-11-21T06:30:00.250Z`. The days are Howard Hinnant's
    /// `civil_from_days`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        const DAY: i64 = 86_400_000;
        let (days, millis) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Counted from March, so that the leap day is a year's last.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }

    /// Reads RFC 3339 as programs write it: `2026-11-21T06:30:00.25Z`, or with an offset such as `+01:00`. What is
    /// finer than a millisecond is cut off. The days are Howard Hinnant's `days_from_civil`.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let (clock, offset) = match rest.strip_suffix('Z') {
            Some(clock) => (clock, 0),
            None => {
                let (clock, zone) = rest.split_at_checked(rest.len().checked_sub("+00:00".len())?)?;
                let sign = match zone.get(..1)? {
                    "+" => 1,
                    "-" => -1,
                    _ => return None,
                };
                let [hours, minutes] = numbers(zone.get(1..)?, ':')?;
                (clock, sign * (hours * 60 + minutes))
            }
        };
        let [year, month, day] = numbers(date, '-')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let [hour, minute, second] = numbers(clock, ':')?;
        let in_range = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !in_range || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
        let from_march = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
        Some(Self(seconds * 1000 + millis.parse::<i64>().ok()?))
    }

    /// The time that has passed since `earlier`; none when it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// So many numbers of ASCII digits, and nothing else.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let number = |part: &str| {
        let digits = part.bytes().all(|digit| digit.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    };
    let parts: Option<Vec<i64>> = text.split(separator).map(number).collect();
    parts?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_point_in_time_is_written_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_825_600_500, "2000-02-29T12:00:00.500Z"),
            (1_795_232_146_123, "2026-11-21T03:35:46.123Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_rfc3339(), text);
            assert_eq!(Timestamp::from_rfc3339(text), Some(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn rfc_3339_is_read_as_programs_write_it() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T03:35:46.123456789Z", Some(1_795_232_146_123)),
            ("2026-11-21T04:35:46+01:00", Some(1_795_232_146_000)),
            ("2026-11-20T22:05:46.5-05:30", Some(1_795_232_146_500)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-21T03:35:46", None),
            ("2026-11-21T03:35Z", None),
            ("2026-11-21T03:35:46.1x3Z", None),
            ("2026-11-21T+3:35:46Z", None),
            ("2026-11-21", None),
            ("", None),
        ] {
            let read = Timestamp::from_rfc3339(text).map(Timestamp::as_millis);
            assert_eq!(read, millis, "{text}");
        }
    }
}
