//! Which host ports are taken where, and which their hosts keep for themselves.

use std::collections::BTreeMap;

use berth_model::quantity::{HostPort, PortSet};

use super::bitmap::Bitmap;
use super::ranking::Slot;
use crate::state::Instance;

/// Of so many instances one may hold a port before all are kept as bits: what takes less memory.
const SPARSE: usize = if cfg!(test) { 16 } else { 64 };

/// The ports of all instances.
#[derive(Debug, Default)]
pub(super) struct Ports {
    slots: usize,
    holders: BTreeMap<HostPort, Holders>,
    /// Those that each instance holds, where it does any.
    held: BTreeMap<Slot, Vec<HostPort>>,
    /// What hosts keep for themselves: most keep the same.
    reserved: Vec<PortSet>,
    /// Which of these each keeps.
    keeps: Vec<u32>,
}

/// Instances that hold a port.
#[derive(Debug)]
enum Holders {
    /// In order.
    Few(Vec<Slot>),
    Many(Bitmap),
}

impl Ports {
    /// Of all instances in order.
    pub(super) fn of<'i>(instances: impl Iterator<Item = &'i Instance>) -> Self {
        let mut ports = Self::default();
        let instances: Vec<&Instance> = instances.collect();
        ports.slots = instances.len();
        for (slot, instance) in (0..).zip(instances) {
            let kept = ports.number(&instance.facts.reserved_ports);
            ports.keeps.push(kept);
            ports.set_held(slot, instance);
        }
        ports
    }

    /// The instance has other facts than before.
    pub(super) fn set_reserved(&mut self, slot: Slot, instance: &Instance) {
        self.keeps[slot as usize] = self.number(&instance.facts.reserved_ports);
    }

    fn number(&mut self, reserved: &PortSet) -> u32 {
        let known = self.reserved.iter().position(|known| known == reserved);
        let number = known.unwrap_or_else(|| {
            self.reserved.push(reserved.clone());
            self.reserved.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The instance holds what the state says.
    pub(super) fn set_held(&mut self, slot: Slot, instance: &Instance) {
        let before = self.held.get(&slot);
        let same = match before {
            Some(before) => before.iter().copied().eq(instance.used_ports.iter()),
            None => instance.used_ports.iter().next().is_none(),
        };
        if same {
            return;
        }
        for port in self.held.remove(&slot).into_iter().flatten() {
            if let Some(holders) = self.holders.get_mut(&port) {
                holders.remove(slot);
                if holders.len() == 0 {
                    self.holders.remove(&port);
                }
            }
        }
        self.take(slot, instance.used_ports.iter());
    }

    /// The instance holds these too.
    pub(super) fn take(&mut self, slot: Slot, ports: impl Iterator<Item = HostPort>) {
        let held = self.held.entry(slot).or_default();
        for port in ports {
            if let Err(at) = held.binary_search(&port) {
                held.insert(at, port);
            }
            let holders = self.holders.entry(port).or_insert(Holders::Few(Vec::new()));
            holders.insert(slot, self.slots);
        }
        if held.is_empty() {
            self.held.remove(&slot);
        }
    }

    /// What a request of these ports is held against.
    pub(super) fn asked<'a>(&'a self, wanted: &'a PortSet) -> impl Iterator<Item = Asked<'a>> {
        wanted.iter().map(|port| Asked {
            port,
            holders: self.holders.get(&port),
            reserved: self.reserved.iter().map(|reserved| reserved.contains(port)).collect(),
            keeps: &self.keeps,
        })
    }

    /// Whether all instances hold one of the ports.
    pub(super) fn are_everywhere(&self, wanted: &PortSet) -> bool {
        let mut holders = wanted.iter().filter_map(|port| self.holders.get(&port));
        holders.any(|holders| holders.len() >= self.slots)
    }

    /// Whether all of the ports are free on the instance.
    pub(super) fn are_free(&self, slot: Slot, wanted: &PortSet) -> bool {
        let reserved = &self.reserved[self.keeps[slot as usize] as usize];
        wanted.iter().all(|port| {
            let holders = self.holders.get(&port);
            !reserved.contains(port) && !holders.is_some_and(|holders| holders.contains(slot))
        })
    }
}

/// One port that a request asks for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) port: HostPort,
    holders: Option<&'a Holders>,
    /// Whether it is in each of the sets that hosts keep.
    reserved: Vec<bool>,
    keeps: &'a [u32],
}

impl Asked<'_> {
    /// Whether the host keeps it for itself.
    pub(super) fn is_reserved(&self, slot: Slot) -> bool {
        self.reserved[self.keeps[slot as usize] as usize]
    }

    /// Whether a task holds it.
    pub(super) fn is_held(&self, slot: Slot) -> bool {
        self.holders.is_some_and(|holders| holders.contains(slot))
    }
}

impl Holders {
    fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    fn contains(&self, slot: Slot) -> bool {
        match self {
            Self::Few(few) => few.binary_search(&slot).is_ok(),
            Self::Many(many) => many.contains(slot),
        }
    }

    fn insert(&mut self, slot: Slot, slots: usize) {
        match self {
            Self::Few(few) => {
                if let Err(at) = few.binary_search(&slot) {
                    few.insert(at, slot);
                }
                if few.len() > slots / SPARSE {
                    let mut many = Bitmap::new(slots);
                    few.iter().for_each(|slot| many.insert(*slot));
                    *self = Self::Many(many);
                }
            }
            Self::Many(many) => many.insert(slot),
        }
    }

    fn remove(&mut self, slot: Slot) {
        match self {
            Self::Few(few) => {
                if let Ok(at) = few.binary_search(&slot) {
                    few.remove(at);
                }
            }
            Self::Many(many) => many.remove(slot),
        }
    }
}
