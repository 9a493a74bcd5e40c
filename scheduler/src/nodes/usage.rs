//! What an agent told of the usage on its host, as small as it can be kept: of a million containers all is in memory.
//!
//! It lives with the agent's stream, is never journalled, and the newest replaces all before it.

use std::ops::AddAssign;

use berth_model::id::TaskId;
use berth_proto::agent::v1::{ContainerUsage, HostUsage, NetworkUsage, Usage};

/// Containers of one instance that are kept; an agent sends no more either.
const CONTAINERS: usize = 4096;
/// Ports of one protocol that are kept: all that there can be.
const PORTS: usize = 65_536;

/// One agent's newest figures.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Of all CPUs, in CPU units.
    pub(crate) cpu_units: u32,
    pub(crate) host: HostUsage,
    pub(crate) interval_ms: u32,
    pub(crate) tcp_ports: Box<[u32]>,
    pub(crate) udp_ports: Box<[u32]>,
    /// By task.
    pub(crate) containers: Box<[Container]>,
    /// Of all of them.
    pub(crate) sum: Sum,
}

/// One container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    pub(crate) task: TaskId,
    pub(crate) name: Box<str>,
    pub(crate) cpu_ns: u64,
    pub(crate) cpu_units: Option<f32>,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_limit_bytes: Option<u64>,
    network: Option<Box<NetworkUsage>>,
    /// Whether a container before it has the same network.
    network_shared: bool,
    block_read_bytes: u64,
    block_written_bytes: u64,
    pids: u32,
}

/// What several containers use together.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Sum {
    /// None until a rate of any is known.
    pub(crate) cpu_units: Option<f64>,
    pub(crate) memory_bytes: u64,
    pub(crate) network: NetworkUsage,
    pub(crate) block_read_bytes: u64,
    pub(crate) block_written_bytes: u64,
    pub(crate) pids: u64,
    pub(crate) containers: u32,
}

impl Told {
    /// Takes in a message. What is in it beyond the bounds is left out; containers of no task are too.
    pub(crate) fn read(mut usage: Usage) -> Self {
        usage.tcp_ports.truncate(PORTS);
        usage.udp_ports.truncate(PORTS);
        let told = usage.containers.into_iter().take(CONTAINERS);
        let mut containers: Vec<Container> = told.filter_map(Container::read).collect();
        containers.sort_by_key(|container| container.task);
        let mut sum = Sum::default();
        for container in &containers {
            sum += container.counted();
        }
        Self {
            cpu_units: usage.cpu_units,
            host: usage.host.unwrap_or_default(),
            interval_ms: usage.interval_ms,
            tcp_ports: usage.tcp_ports.into(),
            udp_ports: usage.udp_ports.into(),
            containers: containers.into(),
            sum,
        }
    }

    /// As the agent's message was, as far as it is kept.
    pub(crate) fn tell(&self) -> Usage {
        Usage {
            cpu_units: self.cpu_units,
            memory_mib: 0,
            tcp_ports: self.tcp_ports.to_vec(),
            udp_ports: self.udp_ports.to_vec(),
            containers: self.containers.iter().map(Container::tell).collect(),
            containers_left_out: 0,
            host: Some(self.host),
            interval_ms: self.interval_ms,
        }
    }

    /// The containers of one task.
    pub(crate) fn of_task(&self, task: TaskId) -> &[Container] {
        let containers = &self.containers;
        let first = containers.partition_point(|container| container.task < task);
        let end = containers.partition_point(|container| container.task <= task);
        containers.get(first..end).unwrap_or_default()
    }

    /// The containers of each task.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskId, &[Container])> {
        let same = |a: &Container, b: &Container| a.task == b.task;
        let of_one = |containers: &&[Container]| containers.first().map(|first| first.task);
        self.containers
            .chunk_by(same)
            .filter_map(move |containers| Some((of_one(&containers)?, containers)))
    }
}

impl Container {
    fn read(usage: ContainerUsage) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "a rate needs no more than seven digits")]
        let cpu_units = usage
            .cpu_units
            .filter(|units| units.is_finite())
            .map(|units| units as f32);
        Some(Self {
            task: usage.task_id.parse().ok()?,
            name: usage.name.into(),
            cpu_ns: usage.cpu_ns,
            cpu_units,
            memory_bytes: usage.memory_bytes,
            memory_limit_bytes: usage.memory_limit_bytes,
            network: usage.network.map(Box::new),
            network_shared: usage.network_shared,
            block_read_bytes: usage.block_read_bytes,
            block_written_bytes: usage.block_written_bytes,
            pids: usage.pids,
        })
    }

    fn tell(&self) -> ContainerUsage {
        ContainerUsage {
            task_id: self.task.to_string(),
            name: self.name.to_string(),
            cpu_ns: self.cpu_ns,
            cpu_units: self.cpu_units.map(f64::from),
            memory_bytes: self.memory_bytes,
            memory_limit_bytes: self.memory_limit_bytes,
            network: self.network.as_deref().copied(),
            network_shared: self.network_shared,
            block_read_bytes: self.block_read_bytes,
            block_written_bytes: self.block_written_bytes,
            pids: self.pids,
        }
    }

    /// All that it uses.
    pub(crate) fn own(&self) -> Sum {
        Sum {
            cpu_units: self.cpu_units.map(f64::from),
            memory_bytes: self.memory_bytes,
            network: self.network.as_deref().copied().unwrap_or_default(),
            block_read_bytes: self.block_read_bytes,
            block_written_bytes: self.block_written_bytes,
            pids: self.pids.into(),
            containers: 1,
        }
    }

    /// What it adds to a sum: a network that is shared is another's already.
    pub(crate) fn counted(&self) -> Sum {
        let mut own = self.own();
        if self.network_shared {
            own.network = NetworkUsage::default();
        }
        own
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.cpu_units = match (self.cpu_units, other.cpu_units) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        let add = |one: &mut u64, other: u64| *one = one.saturating_add(other);
        add(&mut self.network.received_bytes, other.network.received_bytes);
        add(&mut self.network.sent_bytes, other.network.sent_bytes);
        add(&mut self.network.received_packets, other.network.received_packets);
        add(&mut self.network.sent_packets, other.network.sent_packets);
        add(&mut self.block_read_bytes, other.block_read_bytes);
        add(&mut self.block_written_bytes, other.block_written_bytes);
        add(&mut self.pids, other.pids);
        self.containers = self.containers.saturating_add(other.containers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_model::id::InstanceId;
    use berth_scheduler_core::keys::{ClusterKey, InstanceKey};
    use tokio_util::sync::CancellationToken;

    use super::super::{Handle, Registry};
    use super::*;

    fn container(task: u128, name: &str, shared: bool) -> ContainerUsage {
        ContainerUsage {
            task_id: TaskId::from_bits(task).to_string(),
            name: name.to_owned(),
            cpu_units: (name != "new").then_some(100.0),
            memory_bytes: 10,
            network: Some(NetworkUsage {
                received_bytes: 7,
                ..NetworkUsage::default()
            }),
            network_shared: shared,
            pids: 2,
            ..ContainerUsage::default()
        }
    }

    #[test]
    fn containers_are_told_by_task_and_summed() {
        let told = Told::read(Usage {
            containers: vec![
                container(2, "a", false),
                container(1, "b", false),
                container(2, "c", true),
                container(1, "new", false),
            ],
            ..Usage::default()
        });
        let tasks: Vec<(u128, usize)> = told.tasks().map(|(task, of)| (task.to_bits(), of.len())).collect();
        assert_eq!(tasks, [(1, 2), (2, 2)]);
        // One has no rate yet, and one has another's network.
        assert_eq!((told.sum.cpu_units, told.sum.memory_bytes), (Some(300.0), 40));
        assert_eq!((told.sum.network.received_bytes, told.sum.pids), (21, 8));
        assert_eq!(told.containers[3].own().network.received_bytes, 7);
    }

    #[test]
    fn what_is_told_on_is_read_as_it_was() {
        let read = Told::read(Usage {
            cpu_units: 700,
            containers: vec![
                container(2, "a", false),
                container(1, "b", true),
                container(1, "new", false),
            ],
            tcp_ports: vec![80, 443],
            udp_ports: vec![53],
            interval_ms: 10_000,
            ..Usage::default()
        });
        assert_eq!(Told::read(read.tell()), read);
    }

    #[test]
    fn what_is_no_container_of_a_task_or_too_much_is_left_out() {
        let stranger = ContainerUsage {
            task_id: "no id".to_owned(),
            ..ContainerUsage::default()
        };
        let mut containers = vec![container(1, "a", false); CONTAINERS + 10];
        containers[0] = stranger;
        let told = Told::read(Usage {
            containers,
            tcp_ports: vec![80; PORTS + 1],
            ..Usage::default()
        });
        assert_eq!((told.containers.len(), told.tcp_ports.len()), (CONTAINERS - 1, PORTS));
    }

    #[test]
    fn figures_go_with_the_stream_that_brought_them() {
        let registry = Registry::default();
        let key = InstanceKey {
            cluster: ClusterKey(1),
            instance: InstanceId::from_bits(1),
        };
        let handle = || Handle {
            changes: Arc::default(),
            end: CancellationToken::new(),
            let_go: None,
            sessions: tokio::sync::mpsc::channel(1).0,
        };
        let tell = || {
            registry.put_usage(key, Usage::default());
            registry.usage(key).is_some()
        };
        assert!(!tell(), "told without a stream");
        let first = handle();
        registry.arrive(key, first.clone());
        assert!(tell());
        registry.leave(key, &first);
        assert!(registry.usage(key).is_none());
        assert!(!tell(), "told after the stream");
        // Another stream begins with nothing, also in the place of one that still stands.
        registry.arrive(key, handle());
        assert!(tell());
        registry.arrive(key, handle());
        assert!(registry.usage(key).is_none());
    }

    #[test]
    fn a_container_is_kept_small() {
        assert!(size_of::<Container>() <= 128, "{}", size_of::<Container>());
    }
}
