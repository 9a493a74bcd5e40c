//! What an operator sets of images.

use std::path::PathBuf;
use std::time::Duration;

use berth_agent_core::disk::Watermarks;
use clap::ValueEnum;
use serde::Deserialize;

use crate::secrets::Secret;

/// When the registry is asked (ECS agent, `ECS_IMAGE_PULL_BEHAVIOR`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Behavior {
    /// For every container; a copy on the host serves where the registry does not.
    #[default]
    Default,
    /// For every container; no answer fails the task.
    Always,
    /// Until this agent has pulled the image once.
    Once,
    /// Only where there is no copy on the host.
    PreferCached,
}

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
    pub(crate) behavior: Behavior,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            behavior: Behavior::Default,
            parallel_pulls: 3,
            timeouts: Timeouts {
                first_progress: Duration::from_secs(300),
                inactivity: Duration::from_secs(60),
                total: Duration::from_secs(7200),
            },
            docker_config: docker_config(),
            given: None,
            clean_up: true,
            routine: Some(Routine {
                interval: Duration::from_secs(1800),
                minimum_age: Duration::from_secs(3600),
                most: 5,
            }),
            watermarks: Watermarks {
                low: 70,
                clean: 80,
                refuse: 90,
            },
        }
    }
}

/// Where Docker's command line looks: `DOCKER_CONFIG`, else the home of the agent's user.
fn docker_config() -> PathBuf {
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    directory.unwrap_or_else(home).join("config.json")
}
