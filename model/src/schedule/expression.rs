//! `rate(...)`, `cron(...)` and `at(...)`.

use jiff::civil::DateTime;

use super::cron::Cron;
use super::error::{ExpressionError, Part};

/// When a schedule is due, before its time zone is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Again and again after the same time.
    Rate(Rate),
    /// Whenever clocks show what it describes.
    Cron(Box<Cron>),
    /// Once, when clocks show this.
    At(DateTime),
}

/// The time between two occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    millis: i64,
}

/// Characters of an expression.
const MOST_CHARACTERS: usize = 256;

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says where it is wrong, and which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let whole = Part::whole(text);
        let length = text.chars().count();
        if length > MOST_CHARACTERS {
            let rule = format!("an expression of {length} characters has more than {MOST_CHARACTERS}");
            return Err(whole.slice(0, 0).breaks(rule));
        }
        let kinds = [
            ("rate(", read_rate as fn(Part<'_>) -> _),
            ("cron(", read_cron),
            ("at(", read_at),
        ];
        for (opening, read) in kinds {
            if text.starts_with(opening) {
                let inner = whole.slice(opening.len(), text.len());
                let Some(inner) = inner.without_suffix(')') else {
                    let end = whole.slice(text.len(), text.len());
                    return Err(end.breaks(format!("'{opening}' must end with ')'")));
                };
                return read(inner);
            }
        }
        Err(whole.breaks("an expression is rate(VALUE UNIT), cron(FIELDS) or at(yyyy-mm-ddThh:mm:ss)"))
    }
}

impl Rate {
    const UNITS: [(&'static str, &'static str, i64); 3] = [
        ("minute", "minutes", 60_000),
        ("hour", "hours", 3_600_000),
        ("day", "days", 86_400_000),
    ];
    /// A hundred years.
    const MOST: i64 = 36_500 * 86_400_000;

    /// Milliseconds from one occurrence to the next.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.millis
    }
}

fn read_rate(inner: Part<'_>) -> Result<Expression, ExpressionError> {
    const UNIT: &str = "a unit is minute, hour or day with 1, and minutes, hours or days otherwise";
    let words = inner.words();
    let [value, unit] = words.as_slice() else {
        return Err(inner.breaks("rate() takes a value and a unit, as in rate(5 minutes)"));
    };
    let (value, unit) = (value.named("value"), unit.named("unit"));
    let number = number(value.text()).filter(|number| *number > 0);
    let number = number.ok_or_else(|| value.breaks("a value is a whole number, 1 or more"))?;
    let of_unit = |(one, many, _): &&(&str, &str, i64)| unit.text() == if number == 1 { *one } else { *many };
    let (_, _, millis) = Rate::UNITS.iter().find(of_unit).ok_or_else(|| unit.breaks(UNIT))?;
    let millis = number.saturating_mul(*millis);
    if millis > Rate::MOST {
        return Err(value.breaks("a rate is at most 36500 days"));
    }
    Ok(Expression::Rate(Rate { millis }))
}

fn read_cron(inner: Part<'_>) -> Result<Expression, ExpressionError> {
    Ok(Expression::Cron(Box::new(Cron::read(inner)?)))
}

fn read_at(inner: Part<'_>) -> Result<Expression, ExpressionError> {
    const SHAPE: &str = "a point in time is yyyy-mm-ddThh:mm:ss, as clocks of the schedule's time zone show it";
    let text = inner.text();
    let shape: String = text
        .chars()
        .map(|char| if char.is_ascii_digit() { '0' } else { char })
        .collect();
    if shape != "0000-00-00T00:00:00" {
        return Err(inner.breaks(SHAPE));
    }
    let digits = |start: usize, end: usize| text.get(start..end).and_then(|digits| digits.parse::<i16>().ok());
    let small = |start: usize| digits(start, start + 2).and_then(|number| i8::try_from(number).ok());
    let civil = (|| {
        DateTime::new(
            digits(0, 4)?,
            small(5)?,
            small(8)?,
            small(11)?,
            small(14)?,
            small(17)?,
            0,
        )
        .ok()
    })();
    let civil = civil.ok_or_else(|| inner.breaks("there is no such date or time of day"))?;
    Ok(Expression::At(civil))
}

/// ASCII digits as a number; one that is too large is the largest.
pub(super) fn number(digits: &str) -> Option<i64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(i64::MAX))
}
