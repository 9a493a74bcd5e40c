//! The rules of one container of a task definition.

use crate::fault::{Fault, shortened};
use crate::name::is_name;
use crate::task_definition::{ContainerDefinition, Link, NetworkMode, TaskDefinition};

const MAX_IMAGE: usize = 255;
/// MiB below which Docker refuses a hard limit.
const LEAST_MEMORY: i32 = 6;
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Name and image, without which nothing else can be said of it.
pub(super) fn check_identity(container: &ContainerDefinition) -> Result<(), Fault> {
    if container.name.is_empty() {
        return Err(Fault::client("Container.name should not be null or empty."));
    }
    if !is_name(&container.name) {
        return Err(Fault::client(format!(
            "Container.name contains invalid characters. '{}' must be up to 255 letters, numbers, underscores, and hyphens.",
            shortened(&container.name)
        )));
    }
    if container.image.is_empty() {
        return Err(Fault::client(format!(
            "Container.image should not be null or empty. Container '{}' has none.",
            container.name
        )));
    }
    let allowed = |c: char| c.is_ascii_graphic();
    if container.image.len() > MAX_IMAGE || !container.image.chars().all(allowed) {
        return Err(Fault::client(format!(
            "Container.image contains invalid characters. '{}' of container '{}' must be up to {MAX_IMAGE} letters, numbers and signs without spaces.",
            shortened(&container.image),
            container.name
        )));
    }
    Ok(())
}

/// A container within its task definition.
pub(super) struct ContainerRules<'a> {
    pub(super) definition: &'a TaskDefinition,
    pub(super) container: &'a ContainerDefinition,
}

impl ContainerRules<'_> {
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.check_sizes()?;
        self.check_ports()?;
        self.check_mounts()?;
        self.check_links()?;
        self.check_environment()?;
        self.check_secrets()?;
        self.check_health()?;
        self.check_linux()?;
        self.check_rest()
    }

    pub(super) fn fault(&self, text: impl std::fmt::Display) -> Fault {
        Fault::client(format!(
            "Invalid setting for container '{}'. {text}",
            self.container.name
        ))
    }

    fn check_sizes(&self) -> Result<(), Fault> {
        let container = self.container;
        if container.cpu < 0 {
            return Err(self.fault(format_args!("'cpu' is {}, it must not be negative.", container.cpu)));
        }
        if let Some(memory) = container.memory
            && memory < LEAST_MEMORY
        {
            return Err(self.fault(format_args!(
                "'memory' is {memory} MiB, it must be at least {LEAST_MEMORY} MiB."
            )));
        }
        if let Some(soft) = container.memory_reservation {
            if soft < LEAST_MEMORY {
                return Err(self.fault(format_args!(
                    "'memoryReservation' is {soft} MiB, it must be at least {LEAST_MEMORY} MiB."
                )));
            }
            if let Some(hard) = container.memory
                && hard < soft
            {
                return Err(self.fault(format_args!(
                    "'memory' is {hard} MiB, it must not be less than 'memoryReservation', which is {soft} MiB."
                )));
            }
        }
        if container.memory.is_none() && container.memory_reservation.is_none() && self.definition.memory.is_none() {
            return Err(self.fault("At least one of 'memory' or 'memoryReservation' must be specified."));
        }
        if let Some(seconds) = container.stop_timeout
            && seconds < 0
        {
            return Err(self.fault(format_args!(
                "'stopTimeout' is {seconds} seconds, it must not be negative."
            )));
        }
        Ok(())
    }

    fn check_mounts(&self) -> Result<(), Fault> {
        for (at, mount) in self.container.mount_points.iter().enumerate() {
            let source = mount.source_volume.as_deref().unwrap_or_default();
            if !self.definition.volumes.iter().any(|volume| volume.name == source) {
                return Err(Fault::client(format!(
                    "Unknown volume '{}'. Container '{}' mounts it, 'volumes' has none of that name.",
                    shortened(source),
                    self.container.name
                )));
            }
            let path = mount.container_path.as_deref().unwrap_or_default();
            // Docker takes what follows a colon for options of the mount.
            if !path.starts_with('/') || path.contains(':') {
                return Err(self.fault(format_args!(
                    "'mountPoints[{at}].containerPath' is '{}', it must be an absolute path without ':'.",
                    shortened(path)
                )));
            }
        }
        for (at, from) in self.container.volumes_from.iter().enumerate() {
            let source = from.source_container.as_deref().unwrap_or_default();
            if self.definition.container(source).is_none() {
                return Err(self.fault(format_args!(
                    "'volumesFrom[{at}].sourceContainer' is '{}', which is no container of the task.",
                    shortened(source)
                )));
            }
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), Fault> {
        if !self.container.links.is_empty() && self.definition.network_mode() != NetworkMode::Bridge {
            return Err(self.fault("'links' are only supported with networkMode 'bridge'."));
        }
        for (at, text) in self.container.links.iter().enumerate() {
            let link = Link::parse(text);
            if self.definition.container(link.container).is_none() {
                return Err(self.fault(format_args!(
                    "'links[{at}]' is '{}', which names no container of the task.",
                    shortened(text)
                )));
            }
            if !is_name(link.alias) {
                return Err(self.fault(format_args!(
                    "'links[{at}]' is '{}', the alias must be letters, numbers, underscores and hyphens.",
                    shortened(text)
                )));
            }
        }
        Ok(())
    }

    fn check_rest(&self) -> Result<(), Fault> {
        for (at, limit) in self.container.ulimits.iter().enumerate() {
            if !ULIMITS.contains(&limit.name.as_str()) {
                return Err(self.fault(format_args!(
                    "'ulimits[{at}].name' is '{}', it should be one of [{}].",
                    shortened(&limit.name),
                    ULIMITS.join(", ")
                )));
            }
            if limit.hard_limit >= 0 && limit.soft_limit > limit.hard_limit {
                return Err(self.fault(format_args!(
                    "'ulimits[{at}].softLimit' is {}, it must not exceed 'hardLimit', which is {}.",
                    limit.soft_limit, limit.hard_limit
                )));
            }
        }
        self.check_resources()?;
        for (at, host) in self.container.extra_hosts.iter().enumerate() {
            // Docker knows the host itself by a name in the place of an address.
            let is_address = host.ip_address == "host-gateway" || host.ip_address.parse::<std::net::IpAddr>().is_ok();
            if host.hostname.is_empty() || !is_address {
                return Err(self.fault(format_args!(
                    "'extraHosts[{at}]' is '{}' at '{}', it must have a hostname and an ipAddress.",
                    shortened(&host.hostname),
                    shortened(&host.ip_address)
                )));
            }
        }
        let own_network = self.definition.network_mode() == NetworkMode::Awsvpc;
        if own_network && (self.container.hostname.is_some() || !self.container.extra_hosts.is_empty()) {
            return Err(self.fault("'hostname' and 'extraHosts' are not supported with networkMode 'awsvpc'."));
        }
        Ok(())
    }
}
