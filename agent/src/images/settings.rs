//! What an operator sets of images.

use std::path::PathBuf;
use std::time::Duration;

use berth_agent_core::disk::Watermarks;

use crate::config::{Config, ImagePullBehavior};
use crate::secrets::Secret;

/// How long a pull may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until the first sign of progress.
    pub(crate) first_progress: Duration,
    /// From one sign of progress to the next.
    pub(crate) inactivity: Duration,
    /// All of it.
    pub(crate) total: Duration,
}

/// The clean-up in the course of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routine {
    pub(crate) interval: Duration,
    /// Since an image was last used.
    pub(crate) minimum_age: Duration,
    /// Images that go in one round.
    pub(crate) most: usize,
}

/// What is set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) behavior: ImagePullBehavior,
    /// Pulls at once; at least 1.
    pub(crate) parallel_pulls: usize,
    pub(crate) timeouts: Timeouts,
    /// Docker's `config.json`; it need not exist.
    pub(crate) docker_config: PathBuf,
    /// Credentials of registries given to the agent itself (ECS agent, `ECS_ENGINE_AUTH_DATA`): a JSON object, each
    /// registry's address with what `auths` of Docker's `config.json` holds, or with `username` and `password`.
    pub(crate) given: Option<Secret>,
    /// Whether images go at all.
    pub(crate) clean_up: bool,
    /// None where images go only when the disk fills up.
    pub(crate) routine: Option<Routine>,
    pub(crate) watermarks: Watermarks,
}

impl Settings {
    /// What of the agent's settings concerns images.
    pub(crate) fn of(config: &Config) -> Self {
        // Whoever prefers the copies on the host wants them kept for as long as there is room (ECS agent,
        // `ECS_IMAGE_PULL_BEHAVIOR`).
        let by_age = config.image_pull_behavior != ImagePullBehavior::PreferCached && !config.disable_image_cleanup;
        Self {
            behavior: config.image_pull_behavior,
            parallel_pulls: config.parallel_pulls,
            timeouts: Timeouts {
                first_progress: config.pull_first_progress_timeout,
                inactivity: config.pull_inactivity_timeout,
                total: config.pull_timeout,
            },
            docker_config: config.docker_config.clone().unwrap_or_else(docker_config),
            given: config.registry_auth_data.clone().map(Secret::new),
            clean_up: !config.disable_image_cleanup,
            routine: by_age.then_some(Routine {
                interval: config.image_cleanup_interval,
                minimum_age: config.image_minimum_age,
                most: config.images_per_cleanup,
            }),
            watermarks: Watermarks {
                low: config.disk_low_percent,
                clean: config.disk_clean_percent,
                refuse: config.disk_refuse_percent,
            },
        }
    }
}

/// What the service manager hands over under this name (systemd.exec(5), `LoadCredential=`); `berth-agent.service` asks
/// for it.
const CREDENTIAL: &str = "berth-agent.docker-config";

/// The credential of the unit where there is one, else where Docker's command line looks: `DOCKER_CONFIG`, else the home
/// of the agent's user.
fn docker_config() -> PathBuf {
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY").map(|given| PathBuf::from(given).join(CREDENTIAL));
    if let Some(path) = handed_over.filter(|path| path.is_file()) {
        return path;
    }
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    directory.unwrap_or_else(home).join("config.json")
}
