//! Container instances.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::gpu::{ContainerGpus, GpuId};
use berth_model::id::{InstanceId, TaskId};
use berth_model::quantity::{CpuUnits, Demand, GpuCount, HostPort, MemoryMib};
use berth_model::status::InstanceStatus;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use imbl::OrdSet;

use crate::keys::ReplicaId;
use crate::observation::InstanceFacts;
use crate::place::Request;

/// Host ports and how many tasks say that they hold each.
///
/// More than one does for a moment, when a port goes from a task whose end was not reported yet to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldPorts(BTreeMap<HostPort, u32>);

impl HeldPorts {
    /// Whether any task holds the port.
    #[must_use]
    pub fn contains(&self, port: HostPort) -> bool {
        self.0.contains_key(&port)
    }

    /// The ports in order.
    pub fn iter(&self) -> impl Iterator<Item = HostPort> + '_ {
        self.0.keys().copied()
    }

    pub(crate) fn take(&mut self, port: HostPort) {
        *self.0.entry(port).or_default() += 1;
    }

    pub(crate) fn release(&mut self, port: HostPort) {
        if let Some(holders) = self.0.get_mut(&port) {
            *holders = holders.saturating_sub(1);
            if *holders == 0 {
                self.0.remove(&port);
            }
        }
    }
}

/// A host that runs tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// What its agent says of the host.
    pub facts: Arc<InstanceFacts>,
    /// Attributes that operators gave it; they win over its agent's.
    pub given_attributes: Arc<BTreeMap<String, Option<String>>>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Whether it takes tasks.
    pub status: InstanceStatus,
    /// Why its own host leaves: it is DRAINING for as long as that holds, and no operator said so.
    pub leaving: Option<Arc<str>>,
    /// Whether its agent's stream is there.
    pub connected: bool,
    /// The scheduler that has the stream, or had it last; none where there is only one.
    pub via: Option<ReplicaId>,
    /// Since when it has not been there; none where it is, or nobody knows.
    pub disconnected_at: Option<Timestamp>,
    /// When it joined.
    pub registered_at: Timestamp,
    /// Raised by each change that a client can see.
    pub version: u64,
    /// CPU units that its tasks reserve.
    pub used_cpu: CpuUnits,
    /// Memory that its tasks reserve.
    pub used_memory: MemoryMib,
    /// Host ports that its tasks hold.
    pub used_ports: HeldPorts,
    /// GPUs that its tasks have, each one task's alone.
    pub used_gpus: BTreeSet<GpuId>,
    /// Tasks on their way to RUNNING.
    pub pending: u32,
    /// Tasks that are RUNNING.
    pub running: u32,
    /// Tasks that have not stopped, oldest first.
    pub live: OrdSet<TaskId>,
    /// Tasks that are meant to run, by group.
    pub groups: BTreeMap<Arc<str>, u32>,
}

impl Instance {
    /// A new instance without tasks.
    #[must_use]
    pub fn new(id: InstanceId, facts: Arc<InstanceFacts>, registered_at: Timestamp) -> Self {
        Self {
            id,
            facts,
            given_attributes: Arc::default(),
            tags: Vec::new(),
            status: InstanceStatus::Active,
            leaving: None,
            connected: true,
            via: None,
            disconnected_at: None,
            registered_at,
            version: 1,
            used_cpu: CpuUnits(0),
            used_memory: MemoryMib(0),
            used_ports: HeldPorts::default(),
            used_gpus: BTreeSet::new(),
            pending: 0,
            running: 0,
            live: OrdSet::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Whether it is of the cluster and its agent is not there.
    #[must_use]
    pub fn is_away(&self) -> bool {
        !self.connected && self.status != InstanceStatus::Inactive
    }

    /// CPU units that no task reserves.
    #[must_use]
    pub fn free_cpu(&self) -> CpuUnits {
        self.facts.cpu.saturating_sub(self.used_cpu)
    }

    /// Memory that no task reserves.
    #[must_use]
    pub fn free_memory(&self) -> MemoryMib {
        self.facts.memory.saturating_sub(self.used_memory)
    }

    /// GPUs that no task has, in the order in which they are given.
    pub fn free_gpus(&self) -> impl Iterator<Item = &GpuId> {
        self.facts.gpus.difference(&self.used_gpus)
    }

    /// How many GPUs no task has.
    #[must_use]
    pub fn free_gpu_count(&self) -> GpuCount {
        GpuCount(u32::try_from(self.free_gpus().count()).unwrap_or(u32::MAX))
    }

    /// Tasks of the group that are meant to run here.
    #[must_use]
    pub fn tasks_of_group(&self, group: &str) -> u32 {
        self.groups.get(group).copied().unwrap_or(0)
    }

    /// An attribute's value; nothing where the instance lacks it, and an inner nothing where it has no value.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Option<&str>> {
        let given = self.given_attributes.get(name);
        given.or_else(|| self.facts.attributes.get(name)).map(Option::as_deref)
    }

    /// What its host is called in `ec2InstanceId`: its EC2 id, and elsewhere one of the instance's own.
    #[must_use]
    pub fn host_id(&self) -> Cow<'_, str> {
        let of_ec2 = self.facts.ec2_instance_id.as_deref();
        of_ec2.map_or_else(|| self.id.managed().into(), Cow::Borrowed)
    }

    /// All its attributes with their values, by name.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<&str, Option<&str>> {
        let own = self.facts.attributes.iter();
        let all = own.chain(self.given_attributes.iter());
        all.map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }

    pub(crate) fn take(&mut self, demand: &Demand, gpus: &[ContainerGpus]) {
        self.used_cpu += demand.cpu;
        self.used_memory += demand.memory;
        for port in demand.ports.iter() {
            self.used_ports.take(port);
        }
        for id in gpus.iter().flat_map(|given| &given.ids) {
            self.used_gpus.insert(id.clone());
        }
    }

    /// Counts a copy of a request as placed here: for what is only thought.
    pub(crate) fn take_copy(&mut self, request: &Request) {
        let count = request.demand.gpus.0 as usize;
        let gpus = ContainerGpus {
            container: Arc::default(),
            ids: self.free_gpus().take(count).cloned().collect(),
        };
        self.take(&request.demand, &[gpus]);
        self.join_group(&request.group);
    }

    pub(crate) fn release(&mut self, demand: &Demand, gpus: &[ContainerGpus]) {
        self.used_cpu = self.used_cpu.saturating_sub(demand.cpu);
        self.used_memory = self.used_memory.saturating_sub(demand.memory);
        for port in demand.ports.iter() {
            self.used_ports.release(port);
        }
        for id in gpus.iter().flat_map(|given| &given.ids) {
            self.used_gpus.remove(id);
        }
    }

    pub(crate) fn join_group(&mut self, group: &Arc<str>) {
        match self.groups.get_mut(group) {
            Some(count) => *count += 1,
            None => {
                self.groups.insert(Arc::clone(group), 1);
            }
        }
    }

    pub(crate) fn leave_group(&mut self, group: &Arc<str>) {
        if let Some(count) = self.groups.get_mut(group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.groups.remove(group);
            }
        }
    }
}
