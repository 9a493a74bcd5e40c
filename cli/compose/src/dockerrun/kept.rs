//! Members of containers and volumes that nobody knows: they are kept, and named.

use berth_model::task_definition::{ContainerDefinition, Volume, says_nothing};
use serde_json::{Map, Value as Json};

/// The paths of what is found.
#[derive(Debug, Default)]
struct Found(Vec<String>);

impl Found {
    fn one(&mut self, path: &str, rest: &Map<String, Json>) {
        let members = rest.iter().filter(|(_, value)| !says_nothing(value));
        self.0.extend(members.map(|(member, _)| format!("{path}.{member}")));
    }

    fn each<'a, T>(&mut self, path: &str, items: &'a [T], rest: impl Fn(&'a T) -> &'a Map<String, Json>) {
        for (index, item) in items.iter().enumerate() {
            self.one(&format!("{path}[{index}]"), rest(item));
        }
    }
}

/// Of a container at the path, and of all that it holds.
pub(super) fn of_container(container: &ContainerDefinition, path: &str) -> Vec<String> {
    let mut found = Found::default();
    let at = |member: &str| format!("{path}.{member}");
    found.one(path, &container.rest);
    found.each(&at("portMappings"), &container.port_mappings, |one| &one.rest);
    found.each(&at("environment"), &container.environment, |one| &one.rest);
    found.each(&at("environmentFiles"), &container.environment_files, |one| &one.rest);
    found.each(&at("secrets"), &container.secrets, |one| &one.rest);
    found.each(&at("mountPoints"), &container.mount_points, |one| &one.rest);
    found.each(&at("volumesFrom"), &container.volumes_from, |one| &one.rest);
    found.each(&at("dependsOn"), &container.depends_on, |one| &one.rest);
    found.each(&at("extraHosts"), &container.extra_hosts, |one| &one.rest);
    found.each(&at("ulimits"), &container.ulimits, |one| &one.rest);
    found.each(&at("systemControls"), &container.system_controls, |one| &one.rest);
    found.each(&at("resourceRequirements"), &container.resource_requirements, |one| {
        &one.rest
    });
    if let Some(credentials) = &container.repository_credentials {
        found.one(&at("repositoryCredentials"), &credentials.rest);
    }
    if let Some(check) = &container.health_check {
        found.one(&at("healthCheck"), &check.rest);
    }
    if let Some(policy) = &container.restart_policy {
        found.one(&at("restartPolicy"), &policy.rest);
    }
    if let Some(log) = &container.log_configuration {
        found.one(&at("logConfiguration"), &log.rest);
        found.each(&at("logConfiguration.secretOptions"), &log.secret_options, |one| {
            &one.rest
        });
    }
    if let Some(linux) = &container.linux_parameters {
        found.one(&at("linuxParameters"), &linux.rest);
        if let Some(capabilities) = &linux.capabilities {
            found.one(&at("linuxParameters.capabilities"), &capabilities.rest);
        }
        found.each(&at("linuxParameters.devices"), &linux.devices, |one| &one.rest);
        found.each(&at("linuxParameters.tmpfs"), &linux.tmpfs, |one| &one.rest);
    }
    found.0
}

/// Of a volume at the path, and of all that it holds.
pub(super) fn of_volume(volume: &Volume, path: &str) -> Vec<String> {
    let mut found = Found::default();
    found.one(path, &volume.rest);
    if let Some(host) = &volume.host {
        found.one(&format!("{path}.host"), &host.rest);
    }
    if let Some(docker) = &volume.docker_volume_configuration {
        found.one(&format!("{path}.dockerVolumeConfiguration"), &docker.rest);
    }
    found.0
}
