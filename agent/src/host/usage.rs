//! How busy the host is.

use std::path::PathBuf;

use berth_proto::agent::v1::{HostUsage, Usage};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::ports;

const BYTES_PER_MIB: u64 = 1024 * 1024;
const UNITS_PER_CORE: f32 = 1024.0;

/// Takes samples; CPU time is counted from one to the next.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// None on a host that tells nothing of itself.
    system: Option<System>,
    /// Docker's root directory.
    disk: PathBuf,
    cores: u32,
}

impl Sampler {
    pub(crate) fn new(disk: PathBuf) -> Self {
        let system = System::new_with_specifics(specifics()).ok();
        let cores = system.as_ref().map_or(0, |system| system.cpus().len());
        Self {
            system,
            disk,
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
        }
    }

    /// Logical cores.
    pub(crate) fn cores(&self) -> u32 {
        self.cores
    }

    /// What the host uses now; what it does not tell counts as none.
    pub(crate) fn sample(&mut self) -> Usage {
        let listening = ports::listening();
        let (cpu_units, host) = self.figures();
        Usage {
            cpu_units,
            memory_mib: u32::try_from(host.memory_used_bytes / BYTES_PER_MIB).unwrap_or(u32::MAX),
            tcp_ports: listening.tcp,
            udp_ports: listening.udp,
            host: Some(host),
            ..Usage::default()
        }
    }

    fn figures(&mut self) -> (u32, HostUsage) {
        let Some(system) = &mut self.system else {
            return (0, HostUsage::default());
        };
        system.refresh_specifics(specifics());
        let load = System::load_average().unwrap_or_default();
        // Of this one file system alone: another, of a server that is away, must not hold the sample up.
        let disk = rustix::fs::statvfs(&self.disk).ok();
        let bytes = |blocks: fn(&rustix::fs::StatVfs) -> u64| {
            disk.as_ref()
                .map_or(0, |disk| blocks(disk).saturating_mul(disk.f_frsize))
        };
        let host = HostUsage {
            cores: self.cores,
            memory_total_bytes: system.total_memory(),
            memory_used_bytes: system.used_memory(),
            memory_available_bytes: system.available_memory(),
            load_1_minute: load.one,
            load_5_minutes: load.five,
            load_15_minutes: load.fifteen,
            disk_total_bytes: bytes(|disk| disk.f_blocks),
            disk_available_bytes: bytes(|disk| disk.f_bavail),
        };
        (units(system.global_cpu_usage(), self.cores), host)
    }
}

fn specifics() -> RefreshKind {
    RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::nothing().with_ram())
}

/// The host's memory in MiB, where it tells.
pub(super) fn memory_mib() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let bytes = System::new_with_specifics(memory).ok()?.total_memory();
    (bytes > 0).then_some(bytes / BYTES_PER_MIB)
}

/// CPU units, from how busy all cores are on average.
fn units(percent: f32, cores: u32) -> u32 {
    let busy = percent.clamp(0.0, 100.0) / 100.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 1024 a core and never below zero; a cast of a float saturates"
    )]
    let units = (busy * cores as f32 * UNITS_PER_CORE).round() as u32;
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_two_cores_is_one_core() {
        assert_eq!(units(50.0, 2), 1024);
        assert_eq!(units(f32::NAN, 2), 0);
        assert_eq!(units(250.0, 2), 2048);
    }

    #[test]
    fn this_host_uses_memory_and_has_a_disk() {
        let usage = Sampler::new("/".into()).sample();
        let host = usage.host.unwrap();
        assert!(usage.memory_mib > 0 && host.cores > 0, "{host:?}");
        assert!(host.memory_available_bytes < host.memory_total_bytes, "{host:?}");
        assert!(host.disk_available_bytes < host.disk_total_bytes, "{host:?}");
        assert_eq!(memory_mib(), Some(host.memory_total_bytes / BYTES_PER_MIB));
    }
}
