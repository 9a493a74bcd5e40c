//! Control groups v2: one hierarchy for all controllers.

use super::text::{device, number, values};
use super::{Cpu, Device, Memory, Pids};

const NS_PER_US: u64 = 1000;

/// The texts of one container's files; empty where there is no such file.
#[derive(Debug, Default, Clone, Copy)]
pub struct V2<'a> {
    /// `cpu.stat`.
    pub cpu: &'a str,
    /// `memory.current`.
    pub memory: &'a str,
    /// `memory.peak`, since Linux 5.19.
    pub memory_peak: &'a str,
    /// `memory.stat`.
    pub memory_stat: &'a str,
    /// `memory.max`.
    pub memory_limit: &'a str,
    /// The smallest limit of the groups above, which a group does not show.
    pub memory_limit_above: Option<u64>,
    /// `io.stat`.
    pub block: &'a str,
    /// `pids.current`.
    pub pids: &'a str,
    /// `pids.max`.
    pub pids_limit: &'a str,
}

impl V2<'_> {
    /// CPU time.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        let [total, user, system, periods, throttled_periods, throttled] = values(
            self.cpu,
            [
                "usage_usec",
                "user_usec",
                "system_usec",
                "nr_periods",
                "nr_throttled",
                "throttled_usec",
            ],
        );
        let ns = |microseconds: Option<u64>| microseconds.unwrap_or(0).saturating_mul(NS_PER_US);
        Cpu {
            total_ns: ns(total),
            user_ns: ns(user),
            system_ns: ns(system),
            periods: periods.unwrap_or(0),
            throttled_periods: throttled_periods.unwrap_or(0),
            throttled_ns: ns(throttled),
        }
    }

    /// Memory. The limit is the smallest of the container's own and those of the groups above it.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let [inactive_file, file, anon] = values(self.memory_stat, ["inactive_file", "file", "anon"]);
        Memory {
            charged: number(self.memory).unwrap_or(0),
            peak: number(self.memory_peak),
            inactive_file: inactive_file.unwrap_or(0),
            cache: file.unwrap_or(0),
            anonymous: anon.unwrap_or(0),
            limit: limit(self.memory_limit)
                .into_iter()
                .chain(self.memory_limit_above)
                .min(),
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

    /// Traffic of block devices: lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let of_line = |line: &str| {
            let (id, counters) = line.split_once(' ')?;
            let (major, minor) = device(id)?;
            let counter = |name: &str| {
                let mut pairs = counters
                    .split_ascii_whitespace()
                    .filter_map(|pair| pair.split_once('='));
                pairs.find(|(key, _)| *key == name).and_then(|(_, value)| number(value))
            };
            Some(Device {
                major,
                minor,
                read_bytes: counter("rbytes")?,
                written_bytes: counter("wbytes")?,
            })
        };
        self.block.lines().filter_map(of_line).collect()
    }
}

/// What a `memory.max` says; none for `max`.
pub(super) fn limit(text: &str) -> Option<u64> {
    number(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cpu.stat` of Linux 6.1 in a group with a quota.
    const CPU: &str = "usage_usec 5213004\nuser_usec 4100000\nsystem_usec 1113004\nnr_periods 120\nnr_throttled 33\n\
        throttled_usec 900123\nnr_bursts 0\nburst_usec 0\n";
    const MEMORY_STAT: &str = "anon 4194304\nfile 12582912\nkernel 524288\nkernel_stack 16384\npagetables 98304\n\
        shmem 0\nfile_mapped 1048576\nfile_dirty 0\nfile_writeback 0\ninactive_anon 4096\nactive_anon 4190208\n\
        inactive_file 8388608\nactive_file 4194304\nunevictable 0\n";

    #[test]
    fn cpu_time_is_brought_to_nanoseconds() {
        let cpu = V2 {
            cpu: CPU,
            ..V2::default()
        }
        .cpu();
        assert_eq!(cpu.total_ns, 5_213_004_000);
        assert_eq!((cpu.user_ns, cpu.system_ns), (4_100_000_000, 1_113_004_000));
        assert_eq!((cpu.periods, cpu.throttled_periods), (120, 33));
        assert_eq!(cpu.throttled_ns, 900_123_000);
    }

    #[test]
    fn the_smallest_limit_holds_whosever_it_is() {
        let texts = |memory_limit, memory_limit_above| V2 {
            memory: "17301504\n",
            memory_peak: "20971520\n",
            memory_stat: MEMORY_STAT,
            memory_limit,
            memory_limit_above,
            ..V2::default()
        };
        let memory = texts("67108864\n", Some(33_554_432)).memory();
        assert_eq!(memory.working_set(), 17_301_504 - 8_388_608);
        assert_eq!((memory.cache, memory.anonymous), (12_582_912, 4_194_304));
        assert_eq!(memory.limit, Some(33_554_432));
        assert_eq!(texts("67108864\n", None).memory().limit, Some(67_108_864));
        assert_eq!(texts("max\n", Some(33_554_432)).memory().limit, Some(33_554_432));
        assert_eq!(texts("max\n", None).memory().limit, None);
    }

    #[test]
    fn bytes_are_read_for_each_device() {
        let texts = V2 {
            block: "259:0 rbytes=1048576 wbytes=8192 rios=12 wios=2 dbytes=0 dios=0\n7:0 \n\
                253:1 rbytes=0 wbytes=4096 rios=0 wios=1 dbytes=0 dios=0\n",
            pids: "12\n",
            pids_limit: "100\n",
            ..V2::default()
        };
        let device = |major, minor, read_bytes, written_bytes| Device {
            major,
            minor,
            read_bytes,
            written_bytes,
        };
        assert_eq!(
            texts.devices(),
            [device(259, 0, 1_048_576, 8192), device(253, 1, 0, 4096)]
        );
        let pids = Pids {
            current: 12,
            limit: Some(100),
        };
        assert_eq!(texts.pids(), pids);
    }

    #[test]
    fn files_that_are_not_there_say_nothing() {
        let texts = V2::default();
        assert_eq!((texts.cpu(), texts.memory()), (Cpu::default(), Memory::default()));
        assert_eq!((texts.pids(), texts.devices()), (Pids::default(), Vec::new()));
    }
}
