//! What of the log is the agent's own.

use berth_daemon::log::LogFormat;
use tracing::{Level, Metadata};

use crate::config::Note;
use crate::docker::CLIENT_LOG;

/// Begins to log what the filter, which is known to be one, lets through, as the instance of the cluster.
pub(crate) fn begin(filter: &str, format: LogFormat, cluster: &str, instance: &str) {
    let who = [("CLUSTER", cluster), ("INSTANCE", instance)];
    berth_daemon::log::begin(filter, format, &who, is_discreet);
}

/// Whether the line may be shown at all. Docker's client prints whole requests and answers when it debugs, and in them
/// the environment of containers with their secrets.
fn is_discreet(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || !line.target().starts_with(CLIENT_LOG)
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

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::testing::Shown;

    #[test]
    fn dockers_client_shows_no_request_at_any_level() {
        let shown = Shown::default();
        let writer = shown.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(format!("trace,{CLIENT_LOG}=trace")))
            .with_writer(move || writer.clone())
            .finish()
            .with(filter_fn(is_discreet));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: CLIENT_LOG, "PASSWORD=hunter2");
            tracing::trace!(target: CLIENT_LOG, "PASSWORD=hunter2");
            tracing::warn!(target: CLIENT_LOG, "docker warns");
            tracing::trace!("of the agent");
        });
        let shown = shown.text();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("docker warns") && shown.contains("of the agent"),
            "{shown}"
        );
    }
}
