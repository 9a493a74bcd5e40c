//! Control groups v1: a hierarchy for each controller.

use super::text::{device, number, values};
use super::{Cpu, Device, Memory, Pids, UNLIMITED};

/// `cpuacct.stat` counts in ticks of the kernel's clock for users, which is 100 Hz on every Linux that Docker runs on.
const TICK_NS: u64 = 10_000_000;

/// The texts of one container's files; empty where there is no such file.
#[derive(Debug, Default, Clone, Copy)]
pub struct V1<'a> {
    /// `cpuacct.usage`.
    pub cpu_usage: &'a str,
    /// `cpuacct.stat`.
    pub cpu_modes: &'a str,
    /// `cpu.stat`.
    pub cpu_quota: &'a str,
    /// `memory.usage_in_bytes`.
    pub memory_usage: &'a str,
    /// `memory.max_usage_in_bytes`.
    pub memory_peak: &'a str,
    /// `memory.stat`.
    pub memory_stat: &'a str,
    /// `blkio.throttle.io_service_bytes_recursive`.
    pub block: &'a str,
    /// `pids.current`.
    pub pids: &'a str,
    /// `pids.max`.
    pub pids_limit: &'a str,
}

impl V1<'_> {
    /// CPU time.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        let [user, system] = values(self.cpu_modes, ["user", "system"]);
        let [periods, throttled_periods, throttled] =
            values(self.cpu_quota, ["nr_periods", "nr_throttled", "throttled_time"]);
        Cpu {
            total_ns: number(self.cpu_usage).unwrap_or(0),
            user_ns: user.unwrap_or(0).saturating_mul(TICK_NS),
            system_ns: system.unwrap_or(0).saturating_mul(TICK_NS),
            periods: periods.unwrap_or(0),
            throttled_periods: throttled_periods.unwrap_or(0),
            throttled_ns: throttled.unwrap_or(0),
        }
    }

    /// Memory. The limit is the smallest of the container's own and those of the groups above it.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let [inactive_file, cache, rss, limit] = values(
            self.memory_stat,
            [
                "total_inactive_file",
                "total_cache",
                "total_rss",
                "hierarchical_memory_limit",
            ],
        );
        Memory {
            charged: number(self.memory_usage).unwrap_or(0),
            peak: number(self.memory_peak),
            inactive_file: inactive_file.unwrap_or(0),
            cache: cache.unwrap_or(0),
            anonymous: rss.unwrap_or(0),
            limit: limit.filter(|limit| *limit < UNLIMITED),
        }
    }

    /// Processes and threads.
    #[must_use]
    pub fn pids(&self) -> Pids {
        Pids {
            current: number(self.pids).unwrap_or(0),
            limit: number(self.pids_limit),
        }
    }

    /// Traffic of block devices: lines such as `8:0 Read 4096`, and a total without a device.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let mut devices: Vec<Device> = Vec::new();
        for line in self.block.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(id), Some(operation), Some(bytes)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let (Some((major, minor)), Some(bytes)) = (device(id), number(bytes)) else {
                continue;
            };
            let same = |device: &&mut Device| (device.major, device.minor) == (major, minor);
            let entry = match devices.iter_mut().find(same) {
                Some(entry) => entry,
                None => {
                    devices.push(Device {
                        major,
                        minor,
                        ..Device::default()
                    });
                    let Some(entry) = devices.last_mut() else { continue };
                    entry
                }
            };
            match operation {
                "Read" => entry.read_bytes = bytes,
                "Write" => entry.written_bytes = bytes,
                // Sync, Async, Discard and Total count the same bytes again, or none that were moved.
                _ => {}
            }
        }
        devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a container with a limit of 64 MiB on Linux 6.18.
    const MEMORY_STAT: &str = "cache 9011200\nrss 65536\nrss_huge 0\nshmem 0\nmapped_file 0\ninactive_file 1\n\
        active_file 0\nhierarchical_memory_limit 67108864\nhierarchical_memsw_limit 134217728\n\
        total_cache 9011200\ntotal_rss 65536\ntotal_inactive_anon 61440\ntotal_active_anon 4096\n\
        total_inactive_file 8912896\ntotal_active_file 98304\ntotal_unevictable 0\n";

    #[test]
    fn cpu_time_is_read_in_nanoseconds() {
        let texts = V1 {
            cpu_usage: "2787569072\n",
            cpu_modes: "user 278\nsystem 3\n",
            cpu_quota: "nr_periods 40\nnr_throttled 7\nthrottled_time 531000000\nnr_bursts 0\nburst_time 0\n",
            ..V1::default()
        };
        let cpu = Cpu {
            total_ns: 2_787_569_072,
            user_ns: 2_780_000_000,
            system_ns: 30_000_000,
            periods: 40,
            throttled_periods: 7,
            throttled_ns: 531_000_000,
        };
        assert_eq!(texts.cpu(), cpu);
    }

    #[test]
    fn the_totals_of_a_group_and_its_children_count() {
        let texts = V1 {
            memory_usage: "9617408\n",
            memory_peak: "12001280\n",
            memory_stat: MEMORY_STAT,
            ..V1::default()
        };
        let memory = texts.memory();
        assert_eq!(memory.working_set(), 9_617_408 - 8_912_896);
        assert_eq!(memory.limit, Some(67_108_864));
        assert_eq!(memory.peak, Some(12_001_280));
        assert_eq!((memory.cache, memory.anonymous), (9_011_200, 65_536));
    }

    #[test]
    fn the_largest_number_of_pages_is_no_limit() {
        let texts = V1 {
            memory_stat: "hierarchical_memory_limit 9223372036854771712\n",
            pids: "3\n",
            pids_limit: "max\n",
            ..V1::default()
        };
        assert_eq!(texts.memory().limit, None);
        let pids = Pids {
            current: 3,
            limit: None,
        };
        assert_eq!(texts.pids(), pids);
    }

    #[test]
    fn each_device_has_its_bytes_once() {
        let texts = V1 {
            block: "253:0 Read 8388608\n253:0 Write 4096\n253:0 Sync 8392704\n253:0 Async 0\n253:0 Discard 0\n\
                253:0 Total 8392704\n7:1 Read 512\nTotal 8393216\n",
            ..V1::default()
        };
        let device = |major, minor, read_bytes, written_bytes| Device {
            major,
            minor,
            read_bytes,
            written_bytes,
        };
        assert_eq!(texts.devices(), [device(253, 0, 8_388_608, 4096), device(7, 1, 512, 0)]);
        let idle = V1 {
            block: "Total 0\n",
            ..V1::default()
        };
        assert_eq!(idle.devices(), []);
    }

    #[test]
    fn files_that_are_not_there_say_nothing() {
        let texts = V1::default();
        assert_eq!((texts.cpu(), texts.memory()), (Cpu::default(), Memory::default()));
        assert_eq!((texts.pids(), texts.devices()), (Pids::default(), Vec::new()));
    }
}
