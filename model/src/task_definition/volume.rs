//! Volumes of a task definition.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A volume that the containers of a task can mount.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// What `mountPoints` call it.
    #[serde(default)]
    pub name: String,
    /// A directory of the host, or with no path a volume that lives as long as the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostVolume>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Where a volume lies on the host.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostVolume {
    /// An absolute path; absent for a volume of the task alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
}

impl Volume {
    /// The host's directory, where the volume is one.
    #[must_use]
    pub fn source_path(&self) -> Option<&str> {
        self.host.as_ref()?.source_path.as_deref()
    }
}
