//! What a container uses, from the texts in which the kernel says so.
//!
//! The shell reads the files of a container's control groups and hands their texts over; here they become figures, for
//! control groups v1 and v2 alike. What a text does not say counts as none: kernels differ in what they have. What each
//! figure means against `docker stats` is in `docs/usage.md`.

mod network;
mod place;
mod text;
mod v1;
mod v2;

use std::time::Duration;

pub use network::{Interface, Traffic, interfaces};
pub use place::{Directories, Mount, Mounts};
pub use v1::V1;
pub use v2::V2;

/// CPU units of one core.
const UNITS_PER_CORE: f64 = 1024.0;
/// What is no limit in practice: v1 says "none" with the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

/// All that is known of one container at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Figures {
    /// CPU time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: Pids,
    /// Bytes read and written, a block device each.
    pub devices: Vec<Device>,
    /// Traffic of its own network namespace; none where it uses the host's.
    pub interfaces: Option<Vec<Interface>>,
}

/// CPU time since the container was started, in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// In all modes.
    pub total_ns: u64,
    /// In user mode; on v1 in steps of 10 ms.
    pub user_ns: u64,
    /// In the kernel; on v1 in steps of 10 ms.
    pub system_ns: u64,
    /// Periods of its CPU quota that have passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time that it waited for the next period.
    pub throttled_ns: u64,
}

/// Memory, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that is charged to the container, the page cache included.
    pub charged: u64,
    /// The most that was ever charged, where the kernel keeps it.
    pub peak: Option<u64>,
    /// Page cache that the kernel would give up first.
    pub inactive_file: u64,
    /// Page cache, all of it.
    pub cache: u64,
    /// Memory that belongs to no file.
    pub anonymous: u64,
    /// What the container may have; none where nothing but the host limits it.
    pub limit: Option<u64>,
}

/// Processes and threads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be.
    pub limit: Option<u64>,
}

/// What went to and from a block device.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

impl Memory {
    /// The working set: what is charged without the page cache that would be given up first, as `docker stats` shows.
    #[must_use]
    pub fn working_set(&self) -> u64 {
        // Docker leaves the sum as it is where the cache is the larger: the two are not read at one moment.
        self.charged.checked_sub(self.inactive_file).unwrap_or(self.charged)
    }
}

impl Figures {
    /// Bytes read from and written to all block devices.
    #[must_use]
    pub fn block_bytes(&self) -> (u64, u64) {
        self.devices.iter().fold((0, 0), |(read, written), device| {
            (
                read.saturating_add(device.read_bytes),
                written.saturating_add(device.written_bytes),
            )
        })
    }
}

/// CPU units that were used between two readings of a container's CPU time; none where the later is the smaller, as
/// after a restart, or no time has passed.
#[must_use]
pub fn cpu_units(before_ns: u64, now_ns: u64, elapsed: Duration) -> Option<f64> {
    let used = now_ns.checked_sub(before_ns)?;
    let elapsed = elapsed.as_secs_f64();
    (elapsed > 0.0).then(|| Duration::from_nanos(used).as_secs_f64() / elapsed * UNITS_PER_CORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_core_is_512_units() {
        let second = Duration::from_secs(1);
        assert_eq!(cpu_units(1_000, 500_001_000, second), Some(512.0));
        assert_eq!(cpu_units(0, 4_000_000_000, second * 2), Some(2048.0));
    }

    #[test]
    fn a_counter_that_went_back_or_no_time_gives_no_rate() {
        assert_eq!(cpu_units(10, 9, Duration::from_secs(1)), None);
        assert_eq!(cpu_units(9, 10, Duration::ZERO), None);
    }

    #[test]
    fn the_working_set_is_without_inactive_page_cache() {
        let memory = |charged, inactive_file| Memory {
            charged,
            inactive_file,
            ..Memory::default()
        };
        assert_eq!(memory(100, 30).working_set(), 70);
        assert_eq!(memory(100, 130).working_set(), 100);
    }
}
