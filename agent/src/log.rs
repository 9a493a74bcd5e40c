//! Log lines on standard error.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The variable that sets the level, as tracing's filters are written.
const LEVEL: &str = "BERTH_LOG";

/// Begins to log. Where something logs already, as in tests, that stays.
pub(crate) fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new("info"));
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
