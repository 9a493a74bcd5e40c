//! From readings to what the scheduler is told.

use std::collections::BTreeSet;

use berth_agent_core::usage::{Figures, Interface, Traffic};
use berth_proto::agent::v1::{ContainerUsage, NetworkUsage, Usage};

use super::Running;
use super::latest::Pair;

/// Containers of one message: some 100 bytes each. No host is known to run as many.
const CONTAINERS: usize = 4096;

/// A container, its readings, and whose network namespace it uses.
pub(super) type Read = (Running, Pair, Option<String>);

/// Adds the containers to the message.
pub(super) fn add(usage: &mut Usage, containers: &[Read]) {
    let mut counted = BTreeSet::new();
    let told = containers.iter().take(CONTAINERS);
    usage.containers = told
        .map(|(container, pair, network)| {
            let shared = network.as_ref().is_some_and(|owner| !counted.insert(owner.as_str()));
            describe(container, pair, shared)
        })
        .collect();
    let left_out = containers.len() - usage.containers.len();
    usage.containers_left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
}

fn describe(container: &Running, pair: &Pair, network_shared: bool) -> ContainerUsage {
    let figures = &pair.newest.figures;
    let (block_read_bytes, block_written_bytes) = figures.block_bytes();
    ContainerUsage {
        task_id: container.task.to_string(),
        name: container.name.clone(),
        cpu_ns: figures.cpu.total_ns,
        cpu_units: pair.cpu_units(),
        memory_bytes: figures.memory.working_set(),
        memory_limit_bytes: figures.memory.limit,
        network: network(figures),
        network_shared,
        block_read_bytes,
        block_written_bytes,
        pids: u32::try_from(figures.pids.current).unwrap_or(u32::MAX),
    }
}

fn network(figures: &Figures) -> Option<NetworkUsage> {
    let interfaces = figures.interfaces.as_ref()?;
    let sum = |direction: fn(&Interface) -> Traffic, counter: fn(Traffic) -> u64| {
        interfaces
            .iter()
            .map(|interface| counter(direction(interface)))
            .fold(0, u64::saturating_add)
    };
    Some(NetworkUsage {
        received_bytes: sum(|it| it.received, |it| it.bytes),
        sent_bytes: sum(|it| it.sent, |it| it.bytes),
        received_packets: sum(|it| it.received, |it| it.packets),
        sent_packets: sum(|it| it.sent, |it| it.packets),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use berth_agent_core::usage::{Cpu, Memory};
    use berth_model::id::TaskId;

    use super::super::latest::Reading;
    use super::*;

    fn read(name: &str, network: Option<&str>) -> Read {
        let begin = Instant::now();
        let reading = |after: u64, total_ns| {
            Arc::new(Reading {
                at: SystemTime::now(),
                taken: begin + Duration::from_secs(after),
                host_cpu_ns: 0,
                cores: 2,
                figures: Figures {
                    cpu: Cpu {
                        total_ns,
                        ..Cpu::default()
                    },
                    memory: Memory {
                        charged: 100,
                        inactive_file: 40,
                        ..Memory::default()
                    },
                    interfaces: network.map(|_| Vec::new()),
                    ..Figures::default()
                },
            })
        };
        let container = Running {
            task: TaskId::from_bits(42),
            name: name.to_owned(),
            runtime_id: format!("id-{name}"),
            started_at: None,
        };
        let pair = Pair {
            newest: reading(10, 6_000_000_000),
            previous: Some(reading(0, 1_000_000_000)),
        };
        (container, pair, network.map(str::to_owned))
    }

    #[test]
    fn a_network_that_two_containers_share_is_marked_at_the_second() {
        let mut usage = Usage::default();
        let containers = [
            read("a", Some("pause")),
            read("b", Some("pause")),
            read("c", Some("id-c")),
            read("d", None),
        ];
        add(&mut usage, &containers);
        let shared: Vec<bool> = usage.containers.iter().map(|it| it.network_shared).collect();
        assert_eq!(shared, [false, true, false, false]);
        assert_eq!(usage.containers[3].network, None);
        let first = &usage.containers[0];
        assert_eq!(first.task_id, "0000000000000000000000000000002a");
        assert_eq!((first.cpu_units, first.memory_bytes), (Some(512.0), 60));
        assert_eq!(usage.containers_left_out, 0);
    }
}
