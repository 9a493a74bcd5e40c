//! Volumes of a container: what must be there before it, and where it sees them.

use std::collections::BTreeMap;

use berth_model::task_definition::{ContainerDefinition, DockerVolume};
use serde::Serialize;

use super::docker_name;
use crate::name;
use crate::spec::TaskSpec;

/// A volume of Docker's that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeRequest {
    /// Docker's name of it.
    pub name: String,
    /// Docker's volume driver.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it goes with the task.
    pub lifetime: Lifetime,
}

/// How long a volume lives, and so who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Lifetime {
    /// It is made for the task and removed with it.
    Task,
    /// It stays for other tasks.
    Shared {
        /// Whether it is made where it does not exist.
        autoprovision: bool,
    },
}

/// The volumes of Docker's that the container mounts.
pub(super) fn needed(spec: &TaskSpec, container: &ContainerDefinition) -> Vec<VolumeRequest> {
    let mounted = |name: &str| {
        container
            .mount_points
            .iter()
            .any(|mount| mount.source_volume.as_deref() == Some(name))
    };
    let volumes = spec.definition.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| volume.source_path().is_none() && mounted(&volume.name))
        .map(|(at, volume)| {
            let plain = DockerVolume::default();
            let docker = volume.docker_volume_configuration.as_ref().unwrap_or(&plain);
            let mut labels = docker.labels.clone();
            // A shared one belongs to nobody: by a task's labels it would be removed with that task.
            let lifetime = if docker.is_shared() {
                Lifetime::Shared {
                    autoprovision: docker.autoprovision.unwrap_or(false),
                }
            } else {
                labels.extend(name::labels(spec));
                Lifetime::Task
            };
            VolumeRequest {
                name: docker_volume(spec, at),
                driver: docker.driver().to_owned(),
                options: docker.driver_opts.clone(),
                labels,
                lifetime,
            }
        })
        .collect()
}

/// `source:target[:ro]`.
pub(super) fn binds(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<String>, String> {
    let volumes = &spec.definition.volumes;
    container
        .mount_points
        .iter()
        .enumerate()
        .map(|(at, mount)| {
            let wanted = mount.source_volume.as_deref().unwrap_or_default();
            let place = volumes.iter().position(|volume| volume.name == wanted).ok_or_else(|| {
                format!("mountPoints[{at}].sourceVolume is '{wanted}', which 'volumes' does not name")
            })?;
            let source = match volumes[place].source_path() {
                Some(path) => path.to_owned(),
                None => docker_volume(spec, place),
            };
            let target = mount.container_path.as_deref().unwrap_or_default();
            Ok(format!("{source}:{target}{}", read_only(mount.read_only)))
        })
        .collect()
}

/// `container[:ro]`, from `volumesFrom`.
pub(super) fn taken_over(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<String>, String> {
    container
        .volumes_from
        .iter()
        .enumerate()
        .map(|(at, from)| {
            let source = from.source_container.as_deref().unwrap_or_default();
            let docker_name = docker_name(spec, source).ok_or_else(|| {
                format!("volumesFrom[{at}].sourceContainer is '{source}', which is no container of the task")
            })?;
            Ok(format!("{docker_name}{}", read_only(from.read_only)))
        })
        .collect()
}

/// Docker's name of a volume that is no directory of the host. A shared one has the name that the definition gives it.
fn docker_volume(spec: &TaskSpec, at: usize) -> String {
    match spec.definition.volumes.get(at) {
        Some(volume) if !volume.is_own() => volume.name.clone(),
        Some(_) | None => name::volume(spec, at),
    }
}

fn read_only(flag: Option<bool>) -> &'static str {
    if flag == Some(true) { ":ro" } else { "" }
}
