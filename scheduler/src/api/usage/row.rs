//! The rows of the answer: light while they are sorted, told in full once it is known which are returned.

use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::Namespace;
use berth_model::name::ClusterName;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::task_definition::ContainerDefinition;
use berth_proto::v1::{Amount, ContainerUsage, GroupUsage, HostFigures, InstanceUsage, Percent, TaskUsage, Used};
use berth_scheduler_core::state::{Instance, State, Task};

use crate::nodes::{ContainerTold, Sum, Told};

const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// What a row is told with.
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) name: &'a ClusterName,
    pub(super) namespace: &'a Namespace,
}

/// Something that uses CPU and memory.
pub(super) trait Row {
    /// How the API tells it.
    type Told;

    /// What rows are sorted by; less than nothing where it is not known.
    fn measure(&self, by_memory: bool) -> f64;

    fn tell(&self, view: &View<'_>) -> Self::Told;
}

/// An instance and what its agent told.
pub(super) struct InstanceRow<'s> {
    pub(super) instance: &'s Arc<Instance>,
    pub(super) told: Arc<Told>,
    pub(super) age: Duration,
}

/// A task and what its containers use together.
pub(super) struct TaskRow<'s> {
    pub(super) task: &'s Arc<Task>,
    pub(super) sum: Sum,
    pub(super) age: Duration,
}

/// A container of a task.
pub(super) struct ContainerRow<'s> {
    pub(super) task: &'s Arc<Task>,
    pub(super) container: ContainerTold,
    pub(super) age: Duration,
}

/// Tasks of a group.
#[derive(Default)]
pub(super) struct GroupRow {
    tasks: u32,
    reserved: Amount,
    sum: Sum,
    age: Duration,
}

impl GroupRow {
    pub(super) fn add(&mut self, task: &Task, sum: Sum, age: Duration) {
        self.tasks += 1;
        let reserved = reserved(task);
        self.reserved.cpu_units += reserved.cpu_units;
        self.reserved.memory_mib += reserved.memory_mib;
        self.sum += sum;
        self.age = self.age.max(age);
    }
}

impl Row for InstanceRow<'_> {
    type Told = InstanceUsage;

    /// Of the host as a whole: what is not Berth's is in the way too.
    fn measure(&self, by_memory: bool) -> f64 {
        if by_memory {
            self.told.host.memory_used_bytes as f64
        } else {
            f64::from(self.told.cpu_units)
        }
    }

    fn tell(&self, view: &View<'_>) -> InstanceUsage {
        let Told { host, sum, .. } = &*self.told;
        let mut registered = Registered::default();
        registered.add(self.instance);
        InstanceUsage {
            container_instance_arn: view.namespace.instance(view.name, self.instance.id),
            age_ms: milliseconds(self.age),
            interval_ms: self.told.interval_ms,
            host: Some(HostFigures {
                cpu_units: self.told.cpu_units,
                cores: host.cores,
                memory_used_bytes: host.memory_used_bytes,
                memory_available_bytes: host.memory_available_bytes,
                memory_total_bytes: host.memory_total_bytes,
                load_1_minute: host.load_1_minute,
                load_5_minutes: host.load_5_minutes,
                load_15_minutes: host.load_15_minutes,
                disk_available_bytes: host.disk_available_bytes,
                disk_total_bytes: host.disk_total_bytes,
            }),
            registered: Some(registered.registered),
            reserved: Some(registered.reserved),
            used: Some(used(sum)),
            reservation: Some(registered.reservation()),
            utilization: Some(utilization(sum, registered.registered)),
            containers: sum.containers,
            tcp_ports: self.told.tcp_ports.to_vec(),
            udp_ports: self.told.udp_ports.to_vec(),
        }
    }
}

impl Row for TaskRow<'_> {
    type Told = TaskUsage;

    fn measure(&self, by_memory: bool) -> f64 {
        measure(&self.sum, by_memory)
    }

    fn tell(&self, view: &View<'_>) -> TaskUsage {
        let reserved = reserved(self.task);
        TaskUsage {
            task_arn: view.namespace.task(view.name, self.task.id),
            task_definition_arn: view.namespace.definition(&self.task.launch.definition),
            group: self.task.launch.group.to_string(),
            container_instance_arn: view.namespace.instance(view.name, self.task.instance),
            age_ms: milliseconds(self.age),
            containers: self.sum.containers,
            reserved: Some(reserved),
            used: Some(used(&self.sum)),
            utilization: Some(utilization(&self.sum, reserved)),
        }
    }
}

impl Row for ContainerRow<'_> {
    type Told = ContainerUsage;

    fn measure(&self, by_memory: bool) -> f64 {
        measure(&self.container.own(), by_memory)
    }

    fn tell(&self, view: &View<'_>) -> ContainerUsage {
        let launch = &self.task.launch;
        let registered = view.state.definition(&launch.definition);
        let definition = registered.map(|registered| launch.overrides.applied(&registered.definition));
        let container = definition
            .as_deref()
            .and_then(|definition| definition.container(&self.container.name));
        let reserved = amount(
            container.map_or(CpuUnits(0), ContainerDefinition::cpu),
            container.map_or(MemoryMib(0), ContainerDefinition::reserved_memory),
        );
        let sum = self.container.own();
        ContainerUsage {
            task_arn: view.namespace.task(view.name, self.task.id),
            name: self.container.name.to_string(),
            container_instance_arn: view.namespace.instance(view.name, self.task.instance),
            age_ms: milliseconds(self.age),
            reserved: Some(reserved),
            used: Some(used(&sum)),
            utilization: Some(utilization(&sum, reserved)),
            cpu_ns: self.container.cpu_ns,
            memory_limit_bytes: self.container.memory_limit_bytes,
        }
    }
}

impl Row for (&Arc<str>, GroupRow) {
    type Told = GroupUsage;

    fn measure(&self, by_memory: bool) -> f64 {
        measure(&self.1.sum, by_memory)
    }

    fn tell(&self, _: &View<'_>) -> GroupUsage {
        let (group, row) = self;
        GroupUsage {
            group: group.to_string(),
            tasks: row.tasks,
            age_ms: milliseconds(row.age),
            reserved: Some(row.reserved),
            used: Some(used(&row.sum)),
            utilization: Some(utilization(&row.sum, row.reserved)),
        }
    }
}

/// What instances have, and what of it their tasks reserve.
#[derive(Default)]
pub(super) struct Registered {
    pub(super) registered: Amount,
    pub(super) reserved: Amount,
}

impl Registered {
    pub(super) fn add(&mut self, instance: &Instance) {
        let add = |to: &mut Amount, more: Amount| {
            to.cpu_units += more.cpu_units;
            to.memory_mib += more.memory_mib;
        };
        add(&mut self.registered, amount(instance.facts.cpu, instance.facts.memory));
        add(&mut self.reserved, amount(instance.used_cpu, instance.used_memory));
    }

    pub(super) fn reservation(&self) -> Percent {
        Percent {
            cpu: percent(self.reserved.cpu_units as f64, self.registered.cpu_units as f64),
            memory: percent(self.reserved.memory_mib as f64, self.registered.memory_mib as f64),
        }
    }
}

fn amount(cpu: CpuUnits, memory: MemoryMib) -> Amount {
    Amount {
        cpu_units: cpu.0.into(),
        memory_mib: memory.0.into(),
    }
}

fn reserved(task: &Task) -> Amount {
    let demand = &task.launch.demand;
    amount(demand.cpu, demand.memory)
}

fn measure(sum: &Sum, by_memory: bool) -> f64 {
    if by_memory {
        sum.memory_bytes as f64
    } else {
        sum.cpu_units.unwrap_or(-1.0)
    }
}

/// A sum, as the API tells it.
pub(super) fn used(sum: &Sum) -> Used {
    Used {
        cpu_units: sum.cpu_units,
        memory_bytes: sum.memory_bytes,
        network_received_bytes: sum.network.received_bytes,
        network_sent_bytes: sum.network.sent_bytes,
        network_received_packets: sum.network.received_packets,
        network_sent_packets: sum.network.sent_packets,
        block_read_bytes: sum.block_read_bytes,
        block_written_bytes: sum.block_written_bytes,
        pids: sum.pids,
    }
}

/// What is used, of an amount.
pub(super) fn utilization(sum: &Sum, of: Amount) -> Percent {
    Percent {
        cpu: sum.cpu_units.and_then(|units| percent(units, of.cpu_units as f64)),
        memory: percent(sum.memory_bytes as f64, of.memory_mib as f64 * BYTES_PER_MIB),
    }
}

fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

fn milliseconds(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_is_of_the_reservation_and_may_exceed_it() {
        let sum = Sum {
            cpu_units: Some(384.0),
            memory_bytes: 48 << 20,
            ..Sum::default()
        };
        let of = |cpu_units, memory_mib| utilization(&sum, Amount { cpu_units, memory_mib });
        let percent = |cpu, memory| Percent { cpu, memory };
        assert_eq!(of(256, 64), percent(Some(150.0), Some(75.0)));
        // Nothing is reserved: there is nothing to relate it to.
        assert_eq!(of(0, 0), percent(None, None));
        let unmeasured = utilization(
            &Sum::default(),
            Amount {
                cpu_units: 256,
                memory_mib: 64,
            },
        );
        assert_eq!(unmeasured, percent(None, Some(0.0)));
    }
}
