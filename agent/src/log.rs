//! Log lines on standard error.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Note};

/// Begins to log what the filter, which is known to be one, lets through. Where something logs already, as in tests,
/// that stays.
pub(crate) fn begin(filter: &str, format: LogFormat) {
    let filter = EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let begun = match format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&stderr()))
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("logging had begun before");
    }
}

/// Says once what was found in the settings that changes nothing.
pub(crate) fn tell(notes: &[Note]) {
    for note in notes {
        match note {
            Note::WithoutMeaning { variable, place, why } => {
                tracing::info!(variable, place, why, "variable of the ECS agent changes nothing here");
            }
            Note::Foreign { variable, place } => tracing::warn!(variable, place, "line is no setting and is ignored"),
        }
    }
}
