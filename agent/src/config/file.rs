//! The settings file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::LogFormat;

/// The keys are the long flags without the dashes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) scheduler: Vec<String>,
    pub(super) cluster: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) docker: Option<String>,
    pub(super) attribute: Vec<String>,
    pub(super) reserved_memory: Option<u32>,
    pub(super) reserved_port: Option<Vec<u16>>,
    pub(super) reserved_udp_port: Option<Vec<u16>>,
    pub(super) stop_timeout: Option<u64>,
    pub(super) stopped_container_retention: Option<u64>,
    pub(super) memory: Option<u32>,
    pub(super) cpu_units: Option<u32>,
    pub(super) parallel_starts: Option<usize>,
    pub(super) secrets_dir: Option<PathBuf>,
    pub(super) usage_interval: Option<u64>,
    pub(super) log_format: Option<LogFormat>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("--config '{}': {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("--config '{}': {error}", path.display()))
    }
}
