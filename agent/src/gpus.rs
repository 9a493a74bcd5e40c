//! The host's GPUs: which there are, and the runtime of Docker that gives them to containers.
//!
//! They are looked for once, when the agent starts, and only where the operator says so. The list is that of the file
//! which ECS's init writes on a host that has run the ECS agent; elsewhere NVIDIA's own tool is asked.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_model::gpu::GpuId;
use serde::Deserialize;
use tokio::process::Command;

use crate::config::Config;
use crate::docker::DockerInfo;

/// Where ECS's init writes what it has found.
const INFO_FILE: &str = "/var/lib/ecs/gpu/nvidia-gpu-info.json";
/// Where there is no such file this is asked.
const TOOL: &str = "nvidia-smi";
const TOOL_ARGUMENTS: [&str; 2] = ["--query-gpu=uuid,driver_version", "--format=csv,noheader"];
/// For either: the tool loads the driver where nothing else has, which takes seconds.
const DEADLINE: Duration = Duration::from_secs(30);
/// Of what the tool says, as much goes into an error.
const LONGEST_WORDS: usize = 200;

/// The GPUs that containers of this host may have; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpus {
    /// The runtime of Docker that gives them.
    runtime: String,
    /// Such as `535.104.12`, where it is known.
    pub(crate) driver_version: Option<String>,
    pub(crate) ids: Arc<[GpuId]>,
}

/// The file of ECS's init, and what is made of the tool's words.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Found {
    driver_version: String,
    #[serde(rename = "GPUIDs")]
    gpu_ids: Vec<String>,
}

impl Gpus {
    /// Looks for the GPUs, where the settings want it. A host that has none, or none that could be given to containers,
    /// is one without; why is logged.
    pub(crate) async fn find(config: &Config, docker: &DockerInfo) -> Option<Self> {
        if !config.enable_gpu_support {
            return None;
        }
        let runtime = &config.nvidia_runtime;
        if !docker.runtimes.contains(runtime) {
            tracing::warn!(
                runtime,
                "GPU support is enabled and Docker has no such runtime; going on without GPUs"
            );
            return None;
        }
        match look(config.gpu_info_file.as_deref()).await.and_then(Found::checked) {
            Ok((ids, driver_version)) => {
                tracing::info!(gpus = ids.len(), driver_version, "found GPUs");
                Some(Self {
                    runtime: runtime.clone(),
                    driver_version,
                    ids: ids.into(),
                })
            }
            Err(problem) => {
                let error = problem.as_str();
                tracing::warn!(error, "GPU support is enabled and none is found; going on without GPUs");
                None
            }
        }
    }

    /// GPUs of a test.
    #[cfg(test)]
    pub(crate) fn of(runtime: &str, driver_version: Option<&str>, ids: &[&str]) -> Self {
        let found = Found {
            driver_version: driver_version.unwrap_or_default().to_owned(),
            gpu_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let (ids, driver_version) = found.checked().expect("the ids are right");
        Self {
            runtime: runtime.to_owned(),
            driver_version,
            ids: ids.into(),
        }
    }

    /// The runtime for a container that has these.
    ///
    /// # Errors
    /// [`FailureKind::Unprepared`] for one that this host has not, or has no longer.
    pub(crate) fn runtime_for(&self, given: &[GpuId]) -> Result<String, Failure> {
        match given.iter().find(|id| !self.ids.contains(id)) {
            None => Ok(self.runtime.clone()),
            Some(missing) => Err(Failure::new(
                FailureKind::Unprepared,
                format!("the container was given the GPU {missing}, which this host has not"),
            )),
        }
    }
}

async fn look(file: Option<&Path>) -> Result<Found, String> {
    let path = file.unwrap_or(Path::new(INFO_FILE)).to_owned();
    let name = path.display().to_string();
    let reading = tokio::task::spawn_blocking(move || read(path));
    let found = match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(found)) => found.map_err(|error| format!("{name} cannot be read: {error}"))?,
        Ok(Err(_)) => return Err(format!("{name}: reading it broke off")),
        Err(_) => return Err(format!("{name} could not be read within {} s", DEADLINE.as_secs())),
    };
    match found {
        Some(found) => Ok(found),
        None if file.is_some() => Err(format!("{name} does not exist")),
        None => ask()
            .await
            .map_err(|problem| format!("{name} does not exist, and {problem}")),
    }
}

/// Nothing where there is no such file.
fn read(path: PathBuf) -> std::io::Result<Option<Found>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the tool. One that hangs is killed.
async fn ask() -> Result<Found, String> {
    let child = Command::new(TOOL)
        .args(TOOL_ARGUMENTS)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(DEADLINE, child).await {
        Ok(output) => output.map_err(|error| format!("{TOOL} cannot be run: {error}"))?,
        Err(_) => return Err(format!("{TOOL} did not answer within {} s", DEADLINE.as_secs())),
    };
    if !output.status.success() {
        // It writes its errors to its standard output.
        let said = [output.stdout, output.stderr].concat();
        let words: String = String::from_utf8_lossy(&said)
            .trim()
            .chars()
            .take(LONGEST_WORDS)
            .collect();
        return Err(format!("{TOOL} failed, {}: {words}", output.status));
    }
    Ok(listed(&String::from_utf8_lossy(&output.stdout)))
}

/// A line a GPU: its id and the version of the driver.
fn listed(said: &str) -> Found {
    let lines = said.lines().filter(|line| !line.trim().is_empty());
    let mut found = Found::default();
    for line in lines {
        let (id, version) = line.split_once(',').unwrap_or((line, ""));
        found.gpu_ids.push(id.trim().to_owned());
        version.trim().clone_into(&mut found.driver_version);
    }
    found
}

impl Found {
    fn checked(self) -> Result<(Vec<GpuId>, Option<String>), String> {
        let ids: Result<Vec<GpuId>, _> = self.gpu_ids.iter().map(|id| GpuId::parse(id)).collect();
        let mut ids = ids.map_err(|fault| fault.message)?;
        ids.sort();
        ids.dedup();
        if ids.is_empty() {
            return Err("the list is empty".to_owned());
        }
        Ok((ids, Some(self.driver_version).filter(|version| !version.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> GpuId {
        GpuId::parse(text).unwrap()
    }

    #[test]
    fn the_file_of_ecss_init_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("nvidia-gpu-info.json");
        assert_eq!(read(path.clone()).unwrap(), None);
        std::fs::write(
            &path,
            r#"{"DriverVersion": "535.104.12", "GPUIDs": ["GPU-b", "GPU-a"]}"#,
        )
        .unwrap();
        let (ids, version) = read(path.clone()).unwrap().unwrap().checked().unwrap();
        assert_eq!(ids, [id("GPU-a"), id("GPU-b")]);
        assert_eq!(version.as_deref(), Some("535.104.12"));
        std::fs::write(&path, "{}").unwrap();
        assert!(read(path.clone()).unwrap().unwrap().checked().is_err());
        std::fs::write(&path, "no json").unwrap();
        assert!(read(path).is_err());
    }

    #[test]
    fn a_line_of_the_tool_is_a_gpu() {
        let found = listed("GPU-8a56, 535.104.12\nGPU-9b67, 535.104.12\n\n");
        let (ids, version) = found.checked().unwrap();
        assert_eq!(ids, [id("GPU-8a56"), id("GPU-9b67")]);
        assert_eq!(version.as_deref(), Some("535.104.12"));
        assert!(listed("No devices were found").checked().is_err());
        assert!(listed("").checked().is_err());
    }

    #[test]
    fn a_container_gets_only_what_the_host_has() {
        let gpus = Gpus::of("nvidia", None, &["GPU-a", "GPU-b"]);
        assert_eq!(gpus.runtime_for(&[id("GPU-b")]).as_deref(), Ok("nvidia"));
        let gone = gpus.runtime_for(&[id("GPU-a"), id("GPU-z")]).unwrap_err();
        assert!(gone.to_string().contains("GPU-z"), "{gone}");
    }
}
