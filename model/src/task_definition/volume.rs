//! Volumes of a task definition.

use std::collections::BTreeMap;

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
    /// A volume that Docker makes by one of its drivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_volume_configuration: Option<DockerVolume>,
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
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// As ECS's DockerVolumeConfiguration.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerVolume {
    /// `task`, and it goes with the task, or `shared`, and it stays; task where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whether a shared one is made where it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoprovision: Option<bool>,
    /// Docker's volume driver; `local` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl DockerVolume {
    /// Whether it outlives the task and other tasks use it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.scope.as_deref() == Some("shared")
    }

    /// The volume driver.
    #[must_use]
    pub fn driver(&self) -> &str {
        self.driver
            .as_deref()
            .filter(|driver| !driver.is_empty())
            .unwrap_or("local")
    }
}

impl Volume {
    /// Whether it is made for one task and goes with it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        let shared = self
            .docker_volume_configuration
            .as_ref()
            .is_some_and(DockerVolume::is_shared);
        self.source_path().is_none() && !shared
    }

    /// The host's directory, where the volume is one.
    #[must_use]
    pub fn source_path(&self) -> Option<&str> {
        self.host.as_ref()?.source_path.as_deref()
    }
}
