//! `cron(minutes hours day-of-month month day-of-week year)`.
//!
//! The reading and the search are Berth's own: an error has to name the field and the rule of EventBridge's that it
//! breaks, and the search gives what clocks show, so that time zones are a matter of their own.

mod days;
mod field;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

use self::days::Days;
use self::field::{Field, Set};
use super::error::{ExpressionError, Part};

const MINUTES: Field = Field::numbers("minutes", 0, 59);
const HOURS: Field = Field::numbers("hours", 0, 23);
const MONTH: Field = Field {
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    ..Field::numbers("month", 1, 12)
};
const YEAR: Field = Field::numbers("year", 1970, 2199);

/// What clocks and calendars show when a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: Set,
    hours: Set,
    days: Days,
    months: Set,
    years: Set,
}

impl Cron {
    /// Reads what stands between the parentheses.
    pub(super) fn read(inner: Part<'_>) -> Result<Self, ExpressionError> {
        let words = inner.words();
        let [minutes, hours, of_month, month, of_week, year] = words.as_slice() else {
            return Err(inner.breaks(format!(
                "cron() takes six fields, minutes hours day-of-month month day-of-week year, and has {}",
                words.len()
            )));
        };
        Ok(Self {
            minutes: MINUTES.read(*minutes)?,
            hours: HOURS.read(*hours)?,
            days: Days::read(*of_month, *of_week)?,
            months: MONTH.read(*month)?,
            years: YEAR.read(*year)?,
        })
    }

    /// The first minute after the given time of which this is true; nothing where there is none any more.
    #[must_use]
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        let minute = Time::new(after.hour(), after.minute(), 0, 0).ok()?;
        let first = after.date().to_datetime(minute).checked_add(1.minute()).ok()?;
        if let Some(date) = self.date_from(first.date()).filter(|date| *date == first.date())
            && let Some(time) = self.time_from(first.time())
        {
            return Some(date.to_datetime(time));
        }
        let date = self.date_from(first.date().tomorrow().ok()?)?;
        Some(date.to_datetime(self.time_from(Time::midnight())?))
    }

    /// The first day from the given one on.
    fn date_from(&self, from: Date) -> Option<Date> {
        let (mut year, mut month, mut day) = (from.year(), from.month(), from.day());
        loop {
            let allowed = i16::try_from(self.years.from(u16::try_from(year.max(0)).ok()?)?).ok()?;
            if allowed != year {
                (year, month, day) = (allowed, 1, 1);
            }
            match self.months.from(u16::try_from(month).ok()?) {
                Some(allowed) => {
                    let allowed = i8::try_from(allowed).ok()?;
                    if allowed != month {
                        (month, day) = (allowed, 1);
                    }
                    if let Some(found) = self.days.of_month(year, month)?.from(u16::try_from(day).ok()?) {
                        return Date::new(year, month, i8::try_from(found).ok()?).ok();
                    }
                    (month, day) = (month + 1, 1);
                }
                None => (year, month, day) = (year + 1, 1, 1),
            }
        }
    }

    /// The first minute of a day from the given one on.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (from_hour, from_minute) = (u16::try_from(from.hour()).ok()?, u16::try_from(from.minute()).ok()?);
        let hour = self.hours.from(from_hour)?;
        let minute = match self.minutes.from(from_minute).filter(|_| hour == from_hour) {
            Some(minute) => Some((hour, minute)),
            None => {
                let later = if hour == from_hour {
                    self.hours.from(hour + 1)
                } else {
                    Some(hour)
                };
                later.zip(self.minutes.from(0))
            }
        };
        let (hour, minute) = minute?;
        Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
    }
}
