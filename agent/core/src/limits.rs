//! What the containers of a task may use together, and how the kernel and systemd are told.
//!
//! The limits hold for a control group around the containers: a container without a limit of its own is bounded by its
//! task's, and the CPU shares of containers are compared within it (ECS guide, task definition parameters, "Task size").

use std::time::Duration;

use berth_model::quantity::{CpuUnits, MemoryMib};

use crate::spec::TaskSpec;

/// CPU units of one core.
const UNITS_PER_CORE: u64 = 1024;
const BYTES_PER_MIB: u64 = 1024 * 1024;
/// The kernel's bounds of CPU shares, and those of the weights that stand for them in the second version.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;
const HIGHEST_WEIGHT: u64 = 10_000;
/// The kernel takes no quota below it, in microseconds.
const LEAST_QUOTA: u64 = 1000;

/// What a task may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLimits {
    /// CPU that it gets at most; without limit where the task has no `cpu`.
    pub cpu: Option<CpuUnits>,
    /// Memory that it gets at most; without limit where the task has no `memory`.
    pub memory: Option<MemoryMib>,
    /// Its part of the CPU when others want it too.
    pub shares: u64,
}

/// What an operator sets for the limits of all tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitPolicy {
    /// The period in which CPU time is measured and held, 8 to 100 ms.
    pub period: Duration,
    /// Processes and threads that a task may have.
    pub pids: Option<u32>,
}

/// A file of a control group and what is to be written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The controller that the file is of.
    pub controller: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// Its content.
    pub value: String,
}

impl TaskLimits {
    /// The limits of the task.
    #[must_use]
    pub fn of(spec: &TaskSpec) -> Self {
        let cpu = spec.definition.task_cpu();
        // What a container without units gets; Docker is asked for as much.
        let least = |units: u32| u64::from(units).max(*SHARES.start());
        let sum = || spec.containers().iter().map(|container| least(container.cpu().0)).sum();
        Self {
            cpu,
            memory: spec.definition.task_memory(),
            shares: cpu.map_or_else(sum, |units| least(units.0)).min(*SHARES.end()),
        }
    }

    /// Whether the definition asks for a limit, so that its tasks cannot run where none can be set.
    #[must_use]
    pub fn are_asked_for(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some()
    }

    /// The files of a control group of the first version.
    #[must_use]
    pub fn version_1(&self, policy: LimitPolicy) -> Vec<Setting> {
        let setting = |controller, file, value: String| Setting {
            controller,
            file,
            value,
        };
        let mut settings = vec![setting("cpu", "cpu.shares", self.shares.to_string())];
        if let Some(quota) = self.quota(policy) {
            settings.push(setting("cpu", "cpu.cfs_period_us", micros(policy.period).to_string()));
            settings.push(setting("cpu", "cpu.cfs_quota_us", quota.to_string()));
        }
        if let Some(bytes) = self.memory_bytes() {
            settings.push(setting("memory", "memory.limit_in_bytes", bytes.to_string()));
        }
        settings.extend(policy.pids.map(|pids| setting("pids", "pids.max", pids.to_string())));
        settings
    }

    /// The files of a control group of the second version.
    #[must_use]
    pub fn version_2(&self, policy: LimitPolicy) -> Vec<Setting> {
        let setting = |controller, file, value: String| Setting {
            controller,
            file,
            value,
        };
        let mut settings = vec![setting("cpu", "cpu.weight", self.weight().to_string())];
        if let Some(quota) = self.quota(policy) {
            let value = format!("{quota} {}", micros(policy.period));
            settings.push(setting("cpu", "cpu.max", value));
        }
        if let Some(bytes) = self.memory_bytes() {
            settings.push(setting("memory", "memory.max", bytes.to_string()));
        }
        settings.extend(policy.pids.map(|pids| setting("pids", "pids.max", pids.to_string())));
        settings
    }

    /// The properties of a slice of systemd's; `version` is that of the host's control groups
    /// (systemd.resource-control(5)).
    #[must_use]
    pub fn properties(&self, policy: LimitPolicy, version: u32) -> Vec<String> {
        let first = version == 1;
        let mut properties = vec![if first {
            format!("CPUShares={}", self.shares)
        } else {
            format!("CPUWeight={}", self.weight())
        }];
        if let Some(units) = self.cpu {
            // In hundredths of a percent of one core, which is as fine as systemd reads it.
            let parts = (u64::from(units.0) * 10_000).div_ceil(UNITS_PER_CORE);
            properties.push(format!("CPUQuota={}.{:02}%", parts / 100, parts % 100));
            properties.push(format!("CPUQuotaPeriodSec={}us", micros(policy.period)));
        }
        if let Some(bytes) = self.memory_bytes() {
            let name = if first { "MemoryLimit" } else { "MemoryMax" };
            properties.push(format!("{name}={bytes}"));
        }
        properties.extend(policy.pids.map(|pids| format!("TasksMax={pids}")));
        properties
    }

    /// Microseconds of CPU time a period.
    fn quota(&self, policy: LimitPolicy) -> Option<u64> {
        let quota = u64::from(self.cpu?.0) * micros(policy.period) / UNITS_PER_CORE;
        Some(quota.max(LEAST_QUOTA))
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(u64::from(self.memory?.0) * BYTES_PER_MIB)
    }

    /// Shares in the measure of the second version, converted as container runtimes do for the containers within.
    fn weight(&self) -> u64 {
        let (lowest, highest) = (*SHARES.start(), *SHARES.end());
        1 + (self.shares - lowest) * (HIGHEST_WEIGHT - 1) / (highest - lowest)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::machine::testing::spec_of;

    const POLICY: LimitPolicy = LimitPolicy {
        period: Duration::from_millis(100),
        pids: Some(64),
    };

    fn limits(members: &Value) -> TaskLimits {
        let mut definition = json!({"family": "web", "containerDefinitions": [
            {"name": "app", "image": "busybox", "cpu": 100}, {"name": "side", "image": "busybox"}]});
        for (member, value) in members.as_object().unwrap() {
            definition[member] = value.clone();
        }
        TaskLimits::of(&spec_of(definition))
    }

    fn written(settings: &[Setting]) -> Vec<String> {
        let line = |setting: &Setting| format!("{}/{}={}", setting.controller, setting.file, setting.value);
        settings.iter().map(line).collect()
    }

    #[test]
    fn a_quarter_of_a_core_and_a_gibibyte() {
        let limits = limits(&json!({"cpu": ".25 vCPU", "memory": "1GB"}));
        assert!(limits.are_asked_for());
        assert_eq!(
            written(&limits.version_1(POLICY)),
            [
                "cpu/cpu.shares=256",
                "cpu/cpu.cfs_period_us=100000",
                "cpu/cpu.cfs_quota_us=25000",
                "memory/memory.limit_in_bytes=1073741824",
                "pids/pids.max=64",
            ]
        );
        assert_eq!(
            written(&limits.version_2(POLICY)),
            [
                "cpu/cpu.weight=10",
                "cpu/cpu.max=25000 100000",
                "memory/memory.max=1073741824",
                "pids/pids.max=64",
            ]
        );
        assert_eq!(
            limits.properties(POLICY, 2),
            [
                "CPUWeight=10",
                "CPUQuota=25.00%",
                "CPUQuotaPeriodSec=100000us",
                "MemoryMax=1073741824",
                "TasksMax=64"
            ]
        );
        assert_eq!(limits.properties(POLICY, 1)[0], "CPUShares=256");
        assert_eq!(limits.properties(POLICY, 1)[3], "MemoryLimit=1073741824");
    }

    #[test]
    fn a_task_without_limits_has_the_shares_of_its_containers() {
        let limits = limits(&json!({}));
        assert!(!limits.are_asked_for());
        let none = LimitPolicy { pids: None, ..POLICY };
        assert_eq!(written(&limits.version_1(none)), ["cpu/cpu.shares=102"]);
        assert_eq!(written(&limits.version_2(none)), ["cpu/cpu.weight=4"]);
    }

    #[test]
    fn the_smallest_cpu_in_the_shortest_period_is_a_quota_that_the_kernel_takes() {
        let short = LimitPolicy {
            period: Duration::from_millis(8),
            pids: None,
        };
        assert!(
            written(&limits(&json!({"cpu": "128"})).version_2(short)).contains(&"cpu/cpu.max=1000 8000".to_owned())
        );
    }
}
