//! The rules of RegisterTaskDefinition, with ECS's messages where ECS has one.
//!
//! Every refusal is a `ClientException` unless ECS uses another class, and names the field, the value and the rule.

mod container;
mod environment;
mod health;
mod linux;
mod order;
mod ports;
mod volume;

use std::collections::BTreeSet;

use super::{ContainerDefinition, NetworkMode, TaskDefinition, compatibility, fargate, size};
use crate::fault::{Fault, shortened};
use crate::name::Family;
use crate::placement;
use container::ContainerRules;

/// Containers in one definition (ECS service quotas).
const MAX_CONTAINERS: usize = 10;
/// Bytes of a definition as JSON (ECS service quotas).
const MAX_BYTES: usize = 65_536;
/// Of operating systems (ECS API, RuntimePlatform).
const FAMILIES: [&str; 10] = [
    "LINUX",
    "WINDOWS_SERVER_2004_CORE",
    "WINDOWS_SERVER_2016_FULL",
    "WINDOWS_SERVER_2019_CORE",
    "WINDOWS_SERVER_2019_FULL",
    "WINDOWS_SERVER_2022_CORE",
    "WINDOWS_SERVER_2022_FULL",
    "WINDOWS_SERVER_2025_CORE",
    "WINDOWS_SERVER_2025_FULL",
    "WINDOWS_SERVER_20H2_CORE",
];

impl TaskDefinition {
    /// The definition with its figures normalised, once it keeps every rule.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validated(mut self) -> Result<Self, Fault> {
        Family::parse(&self.family)?;
        if let Some(mode) = &self.network_mode
            && NetworkMode::from_name(mode).is_none()
        {
            return Err(one_of("networkMode", mode, "bridge, host, awsvpc, none"));
        }
        self.cpu = self.cpu.as_deref().map(size::cpu).transpose()?;
        self.memory = self.memory.as_deref().map(size::memory).transpose()?;
        self.check_platform()?;
        placement::parse_definition_constraints(&self.placement_constraints)?;
        self.check_volumes()?;
        self.check_containers()?;
        let bytes = serde_json::to_vec(&self)
            .map_err(|error| Fault::server(format!("the task definition cannot be written: {error}")))?
            .len();
        if bytes > MAX_BYTES {
            return Err(Fault::client(format!(
                "Actual length: '{bytes}'. Max allowed length is '{MAX_BYTES}' bytes."
            )));
        }
        Ok(self)
    }

    fn check_platform(&self) -> Result<(), Fault> {
        for compatibility in &self.requires_compatibilities {
            match compatibility.as_str() {
                "EC2" | "MANAGED_INSTANCES" => {}
                "EXTERNAL" => compatibility::check_external(self)?,
                "FARGATE" => fargate::check(self)?,
                other => {
                    return Err(one_of(
                        "requiresCompatibilities",
                        other,
                        "EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES",
                    ));
                }
            }
        }
        if let Some(mode) = &self.pid_mode
            && !["host", "task"].contains(&mode.as_str())
        {
            return Err(one_of("pidMode", mode, "host, task"));
        }
        if let Some(mode) = &self.ipc_mode
            && !["host", "task", "none"].contains(&mode.as_str())
        {
            return Err(one_of("ipcMode", mode, "host, task, none"));
        }
        let Some(platform) = &self.runtime_platform else {
            return Ok(());
        };
        if let Some(architecture) = &platform.cpu_architecture
            && !["X86_64", "ARM64"].contains(&architecture.as_str())
        {
            return Err(one_of("runtimePlatform.cpuArchitecture", architecture, "X86_64, ARM64"));
        }
        if let Some(family) = &platform.operating_system_family
            && !FAMILIES.contains(&family.as_str())
        {
            return Err(one_of(
                "runtimePlatform.operatingSystemFamily",
                family,
                &FAMILIES.join(", "),
            ));
        }
        Ok(())
    }

    fn check_containers(&self) -> Result<(), Fault> {
        let count = self.container_definitions.len();
        if count == 0 {
            return Err(Fault::client("Container list cannot be empty."));
        }
        if count > MAX_CONTAINERS {
            return Err(Fault::client(format!(
                "containerDefinitions has {count} entries, at most {MAX_CONTAINERS} are allowed."
            )));
        }
        let mut names = BTreeSet::new();
        for container in &self.container_definitions {
            container::check_identity(container)?;
            if !names.insert(container.name.as_str()) {
                return Err(Fault::client(format!(
                    "Container.name '{}' is used by more than one container of the task.",
                    container.name
                )));
            }
        }
        if !self.container_definitions.iter().any(ContainerDefinition::is_essential) {
            return Err(Fault::client(
                "All containers in a task are marked as non-essential. At least one must be essential.",
            ));
        }
        for container in &self.container_definitions {
            ContainerRules {
                definition: self,
                container,
            }
            .check()?;
        }
        self.check_memory_sum()?;
        self.check_order()
    }

    fn check_memory_sum(&self) -> Result<(), Fault> {
        let Some(task) = self.memory.as_deref().and_then(|digits| digits.parse::<u32>().ok()) else {
            return Ok(());
        };
        let mut sum = 0_u32;
        for container in &self.container_definitions {
            sum = sum.saturating_add(container.reserved_memory().0);
        }
        if sum > task {
            return Err(Fault::client(format!(
                "Invalid 'memory' setting for task. The containers reserve {sum} MiB together, the task has {task} MiB."
            )));
        }
        Ok(())
    }
}

fn one_of(field: &str, value: &str, values: &str) -> Fault {
    Fault::client(format!("{field} '{}' should be one of [{values}].", shortened(value)))
}

#[cfg(test)]
mod tests;
