//! How full instances, zones and the cluster are, and would be.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::quantity::Demand;

use crate::state::Instance;

/// The attribute that names an instance's zone.
const ZONE: &str = "ecs.availability-zone";

/// CPU units and MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// CPU units.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
}

/// What is registered, and what of it is and would be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fullness {
    /// ACTIVE instances.
    pub instances: u32,
    /// What they offer.
    pub registered: Size,
    /// What tasks reserve now.
    pub before: Size,
    /// What they would reserve with the copies.
    pub after: Size,
}

/// The copies of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The instance.
    pub instance: InstanceId,
    /// How many it would get.
    pub copies: u32,
    /// How full it is and would be.
    pub fullness: Fullness,
}

/// How full all of it is and would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Instances that would get copies, by id.
    pub shares: Vec<Share>,
    /// All ACTIVE instances.
    pub cluster: Fullness,
    /// The same by zone; those without one apart.
    pub zones: BTreeMap<Option<String>, Fullness>,
}

impl Outlook {
    pub(super) fn of<'i>(
        instances: impl Iterator<Item = &'i Arc<Instance>>,
        copies: &BTreeMap<InstanceId, u32>,
        demand: &Demand,
    ) -> Self {
        let mut outlook = Self::default();
        for instance in instances {
            let more = copies.get(&instance.id).copied().unwrap_or(0);
            let fullness = Fullness::of(instance, more, demand);
            if more > 0 {
                outlook.shares.push(Share {
                    instance: instance.id,
                    copies: more,
                    fullness,
                });
            }
            outlook.cluster.add(&fullness);
            let zone = instance.attribute(ZONE).flatten();
            outlook.zones.entry(zone.map(str::to_owned)).or_default().add(&fullness);
        }
        outlook
    }
}

impl Fullness {
    fn of(instance: &Instance, copies: u32, demand: &Demand) -> Self {
        let size = |cpu: u32, memory: u32| Size {
            cpu: cpu.into(),
            memory: memory.into(),
        };
        let before = size(instance.used_cpu.0, instance.used_memory.0);
        Self {
            instances: 1,
            registered: size(instance.facts.cpu.0, instance.facts.memory.0),
            before,
            after: Size {
                cpu: before.cpu + u64::from(demand.cpu.0) * u64::from(copies),
                memory: before.memory + u64::from(demand.memory.0) * u64::from(copies),
            },
        }
    }

    fn add(&mut self, other: &Self) {
        let add = |to: &mut Size, more: &Size| {
            to.cpu += more.cpu;
            to.memory += more.memory;
        };
        self.instances += other.instances;
        add(&mut self.registered, &other.registered);
        add(&mut self.before, &other.before);
        add(&mut self.after, &other.after);
    }
}
