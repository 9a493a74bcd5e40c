//! Time zones, from the database that is built in.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::time::Timestamp;

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// The zone of a schedule that names none.
    pub const DEFAULT: &'static str = "UTC";

    /// The zone of a name such as `Europe/Berlin`; upper and lower case are the same.
    ///
    /// # Errors
    /// Says that there is none, and which was probably meant.
    pub fn parse(name: &str) -> Result<Self, String> {
        const SIMILAR: f64 = 0.8;
        let database = TimeZoneDatabase::bundled();
        if let Ok(rules) = database.get(name) {
            let name = rules.iana_name().unwrap_or(name).to_owned();
            return Ok(Self { name, rules });
        }
        let wanted = name.to_lowercase();
        let likeness = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &wanted);
        let nearest = database
            .available()
            .map(|known| (likeness(known.as_str()), known.as_str().to_owned()))
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let meant = match nearest {
            Some((likeness, known)) if likeness >= SIMILAR => format!("; did you mean '{known}'?"),
            Some(_) | None => String::new(),
        };
        Err(format!("'{name}' is no time zone of the IANA database{meant}"))
    }

    /// What clocks there show at the instant; nothing for instants beyond the year 9999.
    #[must_use]
    pub fn civil(&self, at: Timestamp) -> Option<DateTime> {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
        Some(self.rules.to_datetime(instant))
    }

    /// When clocks there show this for the first time; nothing where they never do, because they are put forward over it.
    #[must_use]
    pub fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let offset = match self.rules.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            // Before the clocks are put back.
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        let instant = offset.to_timestamp(civil).ok()?;
        Some(Timestamp::from_millis(instant.as_millisecond()))
    }

    /// The instant as clocks there show it, with what they are ahead of UTC: `2026-11-21 06:30:00 +01:00`.
    #[must_use]
    pub fn show(&self, at: Timestamp) -> String {
        let (Some(civil), Ok(instant)) = (self.civil(at), jiff::Timestamp::from_millisecond(at.as_millis())) else {
            return at.to_rfc3339();
        };
        let seconds = self.rules.to_offset(instant).seconds();
        let (sign, ahead) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {sign}{:02}:{:02}",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            ahead / 3600,
            ahead / 60 % 60,
        )
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
