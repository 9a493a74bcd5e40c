//! How busy the host is.

use std::fs;

use berth_proto::agent::v1::Usage;

use super::ports;

/// Takes samples; CPU time is counted from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    last: Option<CpuTime>,
}

/// Jiffies of all cores since the host was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuTime {
    busy: u64,
    total: u64,
    cores: u64,
}

/// The host's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total_mib: u64,
    available_mib: u64,
}

impl Sampler {
    /// What the host uses now; what `/proc` does not tell counts as none.
    pub(crate) fn sample(&mut self) -> Usage {
        let now = fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| CpuTime::parse(&text));
        let units = self.last.zip(now).map_or(0, |(before, now)| now.units_since(before));
        self.last = now.or(self.last);
        let used = Memory::read().map_or(0, |memory| memory.total_mib.saturating_sub(memory.available_mib));
        let listening = ports::listening();
        Usage {
            cpu_units: u32::try_from(units).unwrap_or(u32::MAX),
            memory_mib: u32::try_from(used).unwrap_or(u32::MAX),
            tcp_ports: listening.tcp,
            udp_ports: listening.udp,
        }
    }
}

impl CpuTime {
    fn parse(text: &str) -> Option<Self> {
        let fields = text.lines().next()?.strip_prefix("cpu ")?;
        // user nice system idle iowait irq softirq steal; guests count as user already.
        let times: Vec<u64> = fields
            .split_ascii_whitespace()
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        let total: u64 = times.iter().sum();
        let idle = times.get(3)? + times.get(4)?;
        let cores = text
            .lines()
            .filter(|line| line.starts_with("cpu"))
            .count()
            .saturating_sub(1);
        Some(Self {
            busy: total - idle,
            total,
            cores: u64::try_from(cores).ok()?,
        })
    }

    fn units_since(self, before: Self) -> u64 {
        let busy = self.busy.saturating_sub(before.busy);
        let total = self.total.saturating_sub(before.total);
        (busy * self.cores * 1024).checked_div(total).unwrap_or(0)
    }
}

impl Memory {
    pub(super) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line
                .trim_start_matches(':')
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()?;
            Some(kib / 1024)
        };
        Some(Self {
            total_mib: mib("MemTotal")?,
            available_mib: mib("MemAvailable")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_units_are_counted_between_two_samples() {
        let stat = |user: u64, idle: u64| format!("cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1\ncpu1 1\nintr 5\n");
        let before = CpuTime::parse(&stat(100, 100)).unwrap();
        let now = CpuTime::parse(&stat(150, 250)).unwrap();
        assert_eq!(now.cores, 2);
        assert_eq!(now.units_since(before), 512);
        assert_eq!(now.units_since(now), 0);
    }

    #[test]
    fn memory_is_read_in_mib() {
        let memory =
            Memory::parse("MemTotal:       24684032 kB\nMemFree: 1 kB\nMemAvailable:   23000000 kB\n").unwrap();
        assert_eq!((memory.total_mib, memory.available_mib), (24105, 22460));
        assert_eq!(Memory::parse("MemTotal: x kB"), None);
    }

    #[test]
    fn this_host_uses_memory() {
        assert!(Sampler::default().sample().memory_mib > 0);
    }
}
