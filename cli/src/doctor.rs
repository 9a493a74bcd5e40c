//! What is wrong with a host or a cluster, and what to do about it.
//!
//! [`gather`] looks, and judges nothing; [`host`], [`cluster`] and [`trust`] judge what was seen, and look at nothing.

pub(crate) mod cluster;
pub(crate) mod gather;
pub(crate) mod host;
pub(crate) mod trust;

use serde::Serialize;

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not as well as it could.
    Warning,
    /// Something does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) subject: String,
    pub(crate) verdict: Verdict,
    /// What was found, in a sentence.
    pub(crate) finding: String,
    /// What to do; nothing where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn ok(subject: &str, finding: impl Into<String>) -> Self {
        Self::of(subject, Verdict::Ok, finding.into(), "")
    }

    pub(crate) fn warning(subject: &str, finding: impl Into<String>, advice: &str) -> Self {
        Self::of(subject, Verdict::Warning, finding.into(), advice)
    }

    pub(crate) fn problem(subject: &str, finding: impl Into<String>, advice: &str) -> Self {
        Self::of(subject, Verdict::Problem, finding.into(), advice)
    }

    fn of(subject: &str, verdict: Verdict, finding: String, advice: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            verdict,
            finding,
            advice: advice.to_owned(),
        }
    }
}

/// Things of one kind that are named; of more it is said how many there are.
const NAMED: usize = 5;

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    let named = names
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) problems: usize,
    pub(crate) warnings: usize,
}

impl Report {
    pub(crate) fn new(findings: Vec<Finding>) -> Self {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Self {
            problems: count(Verdict::Problem),
            warnings: count(Verdict::Warning),
            findings,
        }
    }
}

#[cfg(test)]
mod moments {
    use berth_model::time::Timestamp;
    use berth_trust::Life;

    /// When the tests look, in seconds since the epoch.
    pub(super) const NOW: f64 = 1_800_000_000.0;

    /// From now on.
    pub(super) fn hours(from: i64, to: i64) -> Life {
        let at = |hours: i64| Timestamp::from_epoch_seconds(NOW + hours as f64 * 3600.0);
        Life {
            begin: at(from),
            end: at(to),
        }
    }
}
