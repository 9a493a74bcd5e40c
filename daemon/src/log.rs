//! What is logged: records for the journal of systemd where it is at the other end of standard error, lines otherwise.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Says what is logged.
const VARIABLE: &str = "BERTH_LOG";
/// Device and inode of the stream to the journal, which systemd sets (systemd.exec(5)).
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
/// The field `task` is `BERTH_TASK` in the journal: `journalctl BERTH_TASK=...`.
const JOURNAL_PREFIX: &str = "BERTH";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; to the journal of systemd, where it is who listens, records with a field for each value.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log what `BERTH_LOG` lets through; what `default` does where it is not set, or is no filter. `who` are the
/// names and values of fields that every record in the journal has.
pub fn begin_by_environment(format: LogFormat, default: &str, who: &[(&str, &str)]) {
    let filter = std::env::var(VARIABLE).ok().filter(|text| is_filter(text));
    begin(filter.as_deref().unwrap_or(default), format, who, |_| true);
}

/// Begins to log what the filter lets through, of that what may be shown at all. Where something logs already, as in
/// tests, that stays. `who` is as for [`begin_by_environment`].
pub fn begin(filter: &str, format: LogFormat, who: &[(&str, &str)], may_be_shown: fn(&Metadata<'_>) -> bool) {
    let discreet = filter_fn(may_be_shown);
    if format == LogFormat::Text
        && leads_to_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        let fields = who
            .iter()
            .map(|(name, value)| (format!("{JOURNAL_PREFIX}_{name}"), *value));
        let journal = journal
            .with_field_prefix(Some(JOURNAL_PREFIX.to_owned()))
            .with_custom_fields(fields);
        let begun = tracing_subscriber::registry()
            .with(EnvFilter::new(filter))
            .with(discreet)
            .with(journal)
            .try_init();
        return say_if_late(begun.is_ok());
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr);
    let begun = match format {
        LogFormat::Text => {
            let ansi = stderr().is_terminal();
            lines.with_ansi(ansi).finish().with(discreet).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().with(discreet).try_init(),
    };
    say_if_late(begun.is_ok());
}

fn say_if_late(begun: bool) {
    if !begun {
        tracing::debug!("logging had begun before");
    }
}

/// Whether what is written to standard error ends in the journal: a program that was started with its output elsewhere
/// keeps the variable of the one that started it.
fn leads_to_journal() -> bool {
    let Ok(own) = rustix::fs::fstat(stderr()) else {
        return false;
    };
    std::env::var(JOURNAL_STREAM).is_ok_and(|stream| stream == format!("{}:{}", own.st_dev, own.st_ino))
}

/// Whether the text can be a filter.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}
