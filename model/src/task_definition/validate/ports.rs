//! The rules of `portMappings` (ECS API, PortMapping).

use std::collections::BTreeSet;

use super::container::ContainerRules;
use crate::fault::{Fault, shortened};
use crate::task_definition::{NetworkMode, PortMapping, PortRange};

const PORTS: std::ops::RangeInclusive<i32> = 0..=65_535;
/// Ranges of one container (ECS API, `containerPortRange`).
const MAX_RANGES: usize = 100;

impl ContainerRules<'_> {
    pub(super) fn check_ports(&self) -> Result<(), Fault> {
        let mode = self.definition.network_mode();
        let mut inside = BTreeSet::new();
        let mut outside = BTreeSet::new();
        for (at, mapping) in self.container.port_mappings.iter().enumerate() {
            if mode == NetworkMode::None {
                return Err(self.fault("'portMappings' must be empty with networkMode 'none'."));
            }
            let container_port = self.check_port(at, mapping)?;
            let Some(container_port) = container_port else {
                continue;
            };
            let host_port = mapping.host_port.unwrap_or(0);
            if matches!(mode, NetworkMode::Awsvpc | NetworkMode::Host) && host_port != 0 && host_port != container_port
            {
                return Err(Fault::client(format!(
                    "When networkMode={}, the host ports and container ports in port mappings must match. Container '{}' maps {container_port} to {host_port}.",
                    mode.name(),
                    self.container.name
                )));
            }
            if host_port == 0 && !inside.insert((container_port, mapping.protocol())) {
                return Err(Fault::invalid(format!(
                    "Container port {container_port} is used in more than one port mapping for container {}",
                    self.container.name
                )));
            }
            if host_port != 0 && !outside.insert((host_port, mapping.protocol())) {
                return Err(Fault::invalid(format!(
                    "Host port {host_port} is used in more than one port mapping for container {}",
                    self.container.name
                )));
            }
        }
        self.check_ranges()
    }

    /// The container port of the mapping, or nothing where it maps a range.
    fn check_port(&self, at: usize, mapping: &PortMapping) -> Result<Option<i32>, Fault> {
        if let Some(protocol) = mapping.protocol.as_deref()
            && !["", "tcp", "udp"].contains(&protocol)
        {
            return Err(self.fault(format_args!(
                "'portMappings[{at}].protocol' is '{}', it should be one of [tcp, udp].",
                shortened(protocol)
            )));
        }
        if let Some(port) = mapping.host_port
            && !PORTS.contains(&port)
        {
            return Err(self.fault(format_args!(
                "'portMappings[{at}].hostPort' is {port}, it must be 0 to 65535."
            )));
        }
        match (mapping.container_port, &mapping.container_port_range) {
            (Some(port), None) if port >= 1 && PORTS.contains(&port) => Ok(Some(port)),
            (Some(port), None) => Err(self.fault(format_args!(
                "'portMappings[{at}].containerPort' is {port}, it must be 1 to 65535."
            ))),
            (None, Some(range)) => self.check_range(at, range, mapping).map(|()| None),
            (Some(_), Some(_)) => Err(self.fault(format_args!(
                "'portMappings[{at}]' has a containerPort and a containerPortRange, it must have one of them."
            ))),
            (None, None) => Err(self.fault(format_args!(
                "'portMappings[{at}].containerPort' must be given, 1 to 65535."
            ))),
        }
    }

    fn check_range(&self, at: usize, range: &str, mapping: &PortMapping) -> Result<(), Fault> {
        if PortRange::parse(range).is_none() {
            return Err(self.fault(format_args!(
                "'portMappings[{at}].containerPortRange' is '{}', it must be '<first>-<last>' with ports 1 to 65535.",
                shortened(range)
            )));
        }
        if mapping.host_port.is_some() {
            return Err(self.fault(format_args!(
                "'portMappings[{at}].hostPort' must be absent with a containerPortRange."
            )));
        }
        if self.definition.network_mode() == NetworkMode::Host {
            return Err(self.fault(format_args!(
                "'portMappings[{at}].containerPortRange' is only supported with networkMode 'bridge' and 'awsvpc'."
            )));
        }
        Ok(())
    }

    /// No port of a range is mapped a second time.
    fn check_ranges(&self) -> Result<(), Fault> {
        let mappings = &self.container.port_mappings;
        let count = mappings
            .iter()
            .filter(|mapping| mapping.container_port_range.is_some())
            .count();
        if count > MAX_RANGES {
            return Err(self.fault(format_args!(
                "'portMappings' has {count} ranges of ports, at most {MAX_RANGES} are allowed."
            )));
        }
        for (at, one) in mappings.iter().enumerate() {
            for other in mappings.iter().skip(at + 1) {
                let ranged = one.container_port_range.is_some() || other.container_port_range.is_some();
                let (Some(ports), Some(others)) = (one.container_ports(), other.container_ports()) else {
                    continue;
                };
                if ranged && one.protocol() == other.protocol() && ports.overlaps(others) {
                    return Err(Fault::invalid(format!(
                        "Container ports {ports} and {others} overlap in the port mappings of container {}",
                        self.container.name
                    )));
                }
            }
        }
        Ok(())
    }
}
