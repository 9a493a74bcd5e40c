//! How far somebody has been told what happened.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keys::Revision;

/// A place in the order of all events: an event's own, and, of who was told of it, how far that was.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record.
    pub revision: Revision,
    /// The number of the event among those of the record, from 1 on; [`Position::ALL`] is behind all of them.
    pub place: u32,
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPosition;

impl Position {
    /// Behind all events of a record.
    pub const ALL: u32 = u32::MAX;

    /// Before all events of a record, behind those of the one before it.
    #[must_use]
    pub const fn before(revision: Revision) -> Self {
        Self {
            revision: Revision(revision.0.saturating_sub(1)),
            place: Self::ALL,
        }
    }

    /// The newest record all of whose events lie before or at this place.
    #[must_use]
    pub const fn whole(self) -> Revision {
        match self.place {
            Self::ALL => self.revision,
            _ => Revision(self.revision.0.saturating_sub(1)),
        }
    }
}

/// `REVISION.PLACE`, or `REVISION` behind all events of it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Self::ALL => write!(f, "{}", self.revision),
            place => write!(f, "{}.{place}", self.revision),
        }
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (revision, place) = match text.split_once('.') {
            Some((revision, place)) => (revision, Some(place)),
            None => (text, None),
        };
        if !digits(revision) || !place.is_none_or(digits) {
            return Err(InvalidPosition);
        }
        let place = place.map_or(Ok(Self::ALL), str::parse);
        let revision = revision.parse().map_err(|_| InvalidPosition)?;
        Ok(Self {
            revision: Revision(revision),
            place: place.map_err(|_| InvalidPosition)?,
        })
    }
}

/// As its text.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be a revision, such as 4711, or the place of an event in one, such as 4711.3")
    }
}

impl std::error::Error for InvalidPosition {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, position: Option<(u64, u32)>) {
        let read = text.parse::<Position>().ok();
        assert_eq!(read.map(|read| (read.revision.0, read.place)), position, "{text}");
        if let Some(read) = read {
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_position_is_written_as_it_is_read() {
        check("0", Some((0, Position::ALL)));
        check("4711", Some((4711, Position::ALL)));
        check("4711.3", Some((4711, 3)));
        check("18446744073709551615.1", Some((u64::MAX, 1)));
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "-1",
            "+1",
            "1.2.3",
            "1.x",
            "18446744073709551616",
            "1.4294967296",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_record_is_whole_behind_its_last_event() {
        let whole = |text: &str| text.parse::<Position>().unwrap().whole();
        assert_eq!(whole("12"), Revision(12));
        assert_eq!(whole("12.3"), Revision(11));
        assert!("12.3".parse::<Position>().unwrap() < "12".parse().unwrap());
        assert!("11".parse::<Position>().unwrap() < "12.1".parse().unwrap());
    }
}
