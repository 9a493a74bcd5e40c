//! The rules of volumes.

use std::collections::BTreeSet;

use crate::fault::{Fault, shortened};
use crate::name::is_name;
use crate::task_definition::{DockerVolume, TaskDefinition, Volume};

/// Members of a volume, each of which makes it a volume of another kind.
const KINDS: [&str; 3] = [
    "efsVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "s3filesVolumeConfiguration",
];

impl TaskDefinition {
    pub(super) fn check_volumes(&self) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for (at, volume) in self.volumes.iter().enumerate() {
            if !is_name(&volume.name) {
                return Err(Fault::client(format!(
                    "volumes[{at}].name '{}' is invalid. Up to 255 letters, numbers, underscores, and hyphens are allowed.",
                    shortened(&volume.name)
                )));
            }
            if !seen.insert(&volume.name) {
                return Err(Fault::client(format!(
                    "volumes[{at}].name '{}' stands more than once.",
                    volume.name
                )));
            }
            match volume.source_path() {
                Some(path) if path.trim().is_empty() => {
                    return Err(Fault::client("host.sourcePath should not be blank."));
                }
                Some(path) if !path.starts_with('/') || path.contains(':') => {
                    return Err(Fault::client(format!(
                        "volumes[{at}].host.sourcePath '{}' must be an absolute path without ':'.",
                        shortened(path)
                    )));
                }
                Some(_) | None => {}
            }
            check_kind(at, volume)?;
            if let Some(docker) = &volume.docker_volume_configuration {
                check_docker_volume(at, docker)?;
            }
        }
        Ok(())
    }
}

fn check_kind(at: usize, volume: &Volume) -> Result<(), Fault> {
    let of_host = volume.source_path().map(|_| "host.sourcePath");
    let of_docker = volume
        .docker_volume_configuration
        .as_ref()
        .map(|_| "dockerVolumeConfiguration");
    let others = KINDS.into_iter().filter(|kind| volume.rest.contains_key(*kind));
    let given: Vec<&str> = of_host.into_iter().chain(of_docker).chain(others).collect();
    if given.len() > 1 {
        return Err(Fault::client(format!(
            "volumes[{at}] '{}' has {}, it must have only one of them.",
            volume.name,
            given.join(" and ")
        )));
    }
    Ok(())
}

fn check_docker_volume(at: usize, docker: &DockerVolume) -> Result<(), Fault> {
    if let Some(scope) = docker.scope.as_deref()
        && !["task", "shared"].contains(&scope)
    {
        return Err(Fault::client(format!(
            "volumes[{at}].dockerVolumeConfiguration.scope '{}' should be one of [task, shared].",
            shortened(scope)
        )));
    }
    // A Docker plugin is named like an image, with a tag where it has one.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !docker.driver().chars().all(allowed) {
        return Err(Fault::client(format!(
            "volumes[{at}].dockerVolumeConfiguration.driver '{}' must be letters, numbers and the signs - _ . / : @.",
            shortened(docker.driver())
        )));
    }
    Ok(())
}
