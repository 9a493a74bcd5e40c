//! Days: of the month or of the week, one of the two.

use jiff::civil::{Date, Weekday};

use super::super::error::{ExpressionError, Part};
use super::field::{Field, Set};

const OF_MONTH: Field = Field::numbers("day-of-month", 1, 31);
const OF_WEEK: Field = Field {
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ..Field::numbers("day-of-week", 1, 7)
};

/// Days of a month, one way or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Days {
    OfMonth(OfMonth),
    OfWeek(OfWeek),
}

/// By their number in the month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfMonth {
    days: Set,
    /// `L`
    last: bool,
    /// `LW`
    last_weekday: bool,
    /// `W`: the weekdays nearest to these, in the same month.
    nearest: Set,
}

/// By their number in the week: 1 is Sunday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfWeek {
    days: Set,
    /// `5L`: the last ones of the month.
    last: Set,
    /// `5#2`: the second ones of the month, by week.
    nth: [Set; 5],
}

impl Days {
    pub(super) fn read(of_month: Part<'_>, of_week: Part<'_>) -> Result<Self, ExpressionError> {
        let (month, week) = (of_month.named(OF_MONTH.name), of_week.named(OF_WEEK.name));
        match (month.text(), week.text()) {
            ("?", "?") => {
                Err(week.breaks("only one of day-of-month and day-of-week may be '?'; write '*' for every day"))
            }
            ("?", _) => Ok(Self::OfWeek(OfWeek::read(week)?)),
            (_, "?") => Ok(Self::OfMonth(OfMonth::read(month)?)),
            (_, _) => Err(week.breaks("one of day-of-month and day-of-week must be '?'")),
        }
    }

    /// The days of a month; nothing where there is no such month.
    pub(super) fn of_month(&self, year: i16, month: i8) -> Option<Set> {
        let first = Date::new(year, month, 1).ok()?;
        match self {
            Self::OfMonth(days) => days.of(first),
            Self::OfWeek(days) => days.of(first),
        }
    }
}

impl OfMonth {
    fn read(part: Part<'_>) -> Result<Self, ExpressionError> {
        let mut read = Self {
            days: Set::of(1),
            last: false,
            last_weekday: false,
            nearest: Set::of(1),
        };
        for item in part.split(',') {
            match item.text().to_ascii_uppercase().as_str() {
                "L" => read.last = true,
                "LW" => read.last_weekday = true,
                _ => match item.without_suffix('W').or_else(|| item.without_suffix('w')) {
                    Some(day) => read.nearest.insert(OF_MONTH.number(day)?),
                    None => OF_MONTH.read_item(item, &mut read.days)?,
                },
            }
        }
        Ok(read)
    }

    fn of(&self, first: Date) -> Option<Set> {
        let length = u16::try_from(first.days_in_month()).ok()?;
        let mut set = Set::of(1);
        (1..=length)
            .filter(|day| self.days.contains(*day))
            .for_each(|day| set.insert(day));
        if self.last {
            set.insert(length);
        }
        if self.last_weekday {
            set.insert(nearest_weekday(first, length, length)?);
        }
        for day in (1..=length).filter(|day| self.nearest.contains(*day)) {
            set.insert(nearest_weekday(first, length, day)?);
        }
        Some(set)
    }
}

/// The day from Monday to Friday nearest to one of the month, in the same month.
fn nearest_weekday(first: Date, length: u16, day: u16) -> Option<u16> {
    let date = Date::new(first.year(), first.month(), i8::try_from(day).ok()?).ok()?;
    Some(match date.weekday() {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == length => day - 2,
        Weekday::Sunday => day + 1,
        Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => day,
    })
}

impl OfWeek {
    fn read(part: Part<'_>) -> Result<Self, ExpressionError> {
        let mut read = Self {
            days: Set::of(1),
            last: Set::of(1),
            nth: [Set::of(1); 5],
        };
        for item in part.split(',') {
            if item.text().eq_ignore_ascii_case("L") {
                read.days.insert(OF_WEEK.last);
            } else if let Some((day, week)) = item.split_once('#') {
                let day = OF_WEEK.number(day)?;
                let nth = week.text().parse::<usize>().ok().and_then(|week| week.checked_sub(1));
                let nth = nth.and_then(|nth| read.nth.get_mut(nth));
                nth.ok_or_else(|| week.breaks("behind '#' stands which of the month it is, 1 to 5"))?
                    .insert(day);
            } else if let Some(day) = item.without_suffix('L').or_else(|| item.without_suffix('l')) {
                read.last.insert(OF_WEEK.number(day)?);
            } else {
                OF_WEEK.read_item(item, &mut read.days)?;
            }
        }
        Ok(read)
    }

    fn of(&self, first: Date) -> Option<Set> {
        let length = u16::try_from(first.days_in_month()).ok()?;
        let offset = u16::try_from(first.weekday().to_sunday_zero_offset()).ok()?;
        let mut set = Set::of(1);
        for day in 1..=length {
            let of_week = (offset + day - 1) % 7 + 1;
            let nth = self.nth.get(usize::from((day - 1) / 7));
            if self.days.contains(of_week)
                || (self.last.contains(of_week) && day + 7 > length)
                || nth.is_some_and(|days| days.contains(of_week))
            {
                set.insert(day);
            }
        }
        Some(set)
    }
}
