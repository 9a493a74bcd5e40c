//! Log lines on standard error.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Says what is logged.
const VARIABLE: &str = "BERTH_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log what `BERTH_LOG` lets through; what `default` does where it is not set, or is no filter.
pub fn begin_by_environment(format: LogFormat, default: &str) {
    let filter = std::env::var(VARIABLE).ok().filter(|text| is_filter(text));
    begin(filter.as_deref().unwrap_or(default), format, |_| true);
}

/// Begins to log what the filter lets through, of that what may be shown at all. Where something logs already, as in
/// tests, that stays.
pub fn begin(filter: &str, format: LogFormat, may_be_shown: fn(&Metadata<'_>) -> bool) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr);
    let discreet = filter_fn(may_be_shown);
    let begun = match format {
        LogFormat::Text => {
            let ansi = stderr().is_terminal();
            lines.with_ansi(ansi).finish().with(discreet).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().with(discreet).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("logging had begun before");
    }
}

/// Whether the text can be a filter.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}
