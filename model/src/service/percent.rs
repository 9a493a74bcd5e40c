//! Percent to the tenth.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A part of the whole in tenths of a percent: at most all of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// The whole.
    pub const ALL: Self = Self(1000);

    /// So many percent; the whole where they are more than a hundred.
    #[must_use]
    pub const fn whole(percent: u32) -> Self {
        match percent {
            0..100 => Self(percent * 10),
            _ => Self::ALL,
        }
    }

    /// Nothing for what is no multiple of a tenth, or not between 0 and 100.
    #[must_use]
    pub fn parse(percent: f64) -> Option<Self> {
        let nearest = Self::nearest(percent)?;
        // To a computer 0.3 is not three times 0.1.
        ((nearest.as_f64() - percent).abs() < 1e-9).then_some(nearest)
    }

    fn nearest(percent: f64) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a thousand"
        )]
        let tenths = |percent: f64| (percent * 10.0).round() as u32;
        (0.0..=100.0).contains(&percent).then(|| Self(tenths(percent)))
    }

    /// In percent.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// In tenths of a percent, of which all are a thousand.
    #[must_use]
    pub const fn tenths(self) -> u32 {
        self.0
    }

    /// Both, at most all.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self(self.0 + more.0).min(Self::ALL)
    }

    /// What is left of all.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::ALL.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

/// A whole number where it is one, as it was written before there were tenths.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 10 {
            0 => serializer.serialize_u32(self.0 / 10),
            _ => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Self::nearest(percent).ok_or_else(|| de::Error::custom(format_args!("{percent} is not between 0 and 100")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_told_as_they_were_given() {
        for tenths in 0..=1000 {
            let text = match tenths % 10 {
                0 => format!("{}", tenths / 10),
                rest => format!("{}.{rest}", tenths / 10),
            };
            let percent = Percent::parse(text.parse().unwrap()).unwrap();
            assert_eq!(percent.tenths(), tenths);
            assert_eq!(percent.to_string(), text);
            assert_eq!(serde_json::to_string(&percent).unwrap(), text);
            assert_eq!(serde_json::from_str::<Percent>(&text).unwrap(), percent);
        }
    }

    #[test]
    fn what_a_client_has_computed_is_the_tenth_that_it_means() {
        assert_eq!(Percent::parse(0.1 + 0.2), Percent::parse(0.3));
    }

    #[test]
    fn what_is_finer_or_beyond_all_is_none() {
        for percent in [-0.1, 0.05, 12.34, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::parse(percent), None, "{percent}");
        }
        assert!(serde_json::from_str::<Percent>("101").is_err());
    }

    #[test]
    fn parts_add_up_to_all_at_most() {
        let (some, more) = (Percent::whole(40), Percent::whole(70));
        assert_eq!(some.and(more), Percent::ALL);
        assert_eq!(some.rest(), Percent::whole(60));
        assert_eq!(Percent::whole(300), Percent::ALL);
    }
}
