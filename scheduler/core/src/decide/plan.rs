//! What a RunTask would do: where its copies would go and why, and what room there is. Decides nothing and changes nothing.

mod outlook;

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::InstanceStatus;

use super::run::RunTask;
use crate::command::nth_draw;
use crate::keys::{ClusterKey, InstanceKey, Revision};
use crate::observation::InstanceFacts;
use crate::place::{Choice, Explanation, Index, Misfit, Request, capacity, choices, fits};
use crate::state::{Instance, State};

pub use outlook::{Fullness, Outlook, Share, Size};

/// Copies that are counted beyond those that are asked for, at most.
pub const MOST_COPIES: u32 = 1_000_000;

/// The question.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What would be run. Its token has no meaning here.
    pub run: RunTask,
    /// How many of the first copies are explained.
    pub explained: u32,
    /// An instance that is not there yet.
    pub one_more: Option<OneMore>,
}

/// An instance that might join: empty, with an agent as the others have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OneMore {
    /// An instance that it is like, where nothing else is said; else what all ACTIVE instances have in common.
    pub like: Option<InstanceId>,
    /// CPU units that tasks may reserve.
    pub cpu: Option<CpuUnits>,
    /// Memory that tasks may reserve.
    pub memory: Option<MemoryMib>,
    /// Attributes that it has besides, or with other values.
    pub attributes: BTreeMap<String, Option<String>>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The revision of the state that it is true of.
    pub revision: Revision,
    /// The instance of each copy, in the order in which they are chosen.
    pub placed: Vec<InstanceId>,
    /// Why the first of them go where they go.
    pub choices: Vec<Choice>,
    /// Why there are not more.
    pub explanation: Option<Explanation>,
    /// How full the cluster is and would be.
    pub outlook: Outlook,
    /// Copies that would fit besides; [`MOST_COPIES`] where there are at least so many.
    pub more: u32,
    /// What the instance that is not there yet would bring.
    pub one_more: Option<Gain>,
}

/// What one more instance would bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// What it would offer.
    pub cpu: CpuUnits,
    /// What it would offer.
    pub memory: MemoryMib,
    /// Further copies that would fit; [`MOST_COPIES`] where there are at least so many.
    pub copies: u32,
    /// Why not even one would.
    pub misfits: Vec<Misfit>,
}

impl Plan {
    /// Answers from one state, in time that grows with its instances: not for the engine's thread. Chance falls as the
    /// revision has it, so that the same state gives the same answer.
    ///
    /// # Errors
    /// Those of RunTask, but that a cluster without instances is answered; `InvalidParameterException` where the instance
    /// that another one is to be like is not there, or the other one's size is not known.
    pub fn answer(&self, state: &State) -> Result<Planned, Fault> {
        let known = state.active_cluster(&self.run.call.cluster)?;
        let cluster = known.key;
        let request = self.run.request(state, known)?;
        let extra = self
            .one_more
            .as_ref()
            .map(|wish| wish.facts(state, cluster))
            .transpose()?;
        let seed = nth_draw(state.revision().0, 1);
        let solution = Index::of(state, cluster).place(state, &request, self.run.count, seed);
        let mut copies: BTreeMap<InstanceId, u32> = BTreeMap::new();
        for instance in &solution.placed {
            *copies.entry(*instance).or_default() += 1;
        }
        let explained = self.explained.min(self.run.count);
        let placed = u32::try_from(solution.placed.len()).unwrap_or(u32::MAX);
        Ok(Planned {
            revision: state.revision(),
            choices: choices(active(state, cluster), &request, explained, seed),
            explanation: solution.refused.map(|refused| refused.explanation),
            outlook: Outlook::of(active(state, cluster), &copies, &request.demand),
            more: fitting(active(state, cluster), &request, placed),
            one_more: extra.map(|facts| gain(&facts, &request)),
            placed: solution.placed,
        })
    }
}

fn active(state: &State, cluster: ClusterKey) -> impl Iterator<Item = &Arc<Instance>> {
    let all = state.instances_of(cluster);
    all.filter(|instance| instance.status == InstanceStatus::Active)
}

/// How many copies fit besides those that are placed.
fn fitting<'i>(instances: impl Iterator<Item = &'i Arc<Instance>>, request: &Request, placed: u32) -> u32 {
    let limit = MOST_COPIES.saturating_add(placed);
    let each = instances.map(|instance| u64::from(capacity(instance, request, limit)));
    let more = each.sum::<u64>().saturating_sub(placed.into());
    u32::try_from(more).map_or(MOST_COPIES, |more| more.min(MOST_COPIES))
}

fn gain(facts: &Arc<InstanceFacts>, request: &Request) -> Gain {
    // No other instance has this id: they are random.
    let instance = Instance::new(InstanceId::from_bits(u128::MAX), Arc::clone(facts), Default::default());
    let copies = capacity(&instance, request, MOST_COPIES);
    Gain {
        cpu: facts.cpu,
        memory: facts.memory,
        copies,
        misfits: fits(&instance, request, 0),
    }
}

impl OneMore {
    /// What its agent would say of it.
    fn facts(&self, state: &State, cluster: ClusterKey) -> Result<Arc<InstanceFacts>, Fault> {
        let mut facts = match self.like {
            Some(instance) => {
                let known = state.instance(InstanceKey { cluster, instance });
                let known = known.filter(|known| known.status != InstanceStatus::Inactive);
                let known = known
                    .ok_or_else(|| Fault::invalid(format!("Referenced container instance {instance} not found.")))?;
                facts_with_given(known)
            }
            None => {
                let missing = match (self.cpu, self.memory) {
                    (None, _) => Some("cpu"),
                    (_, None) => Some("memory"),
                    (Some(_), Some(_)) => None,
                };
                if let Some(name) = missing {
                    return Err(Fault::invalid(format!(
                        "oneMore.{name} must be given where oneMore.like is not."
                    )));
                }
                common(active(state, cluster))
            }
        };
        facts.ec2_instance_id = None;
        facts.cpu = self.cpu.unwrap_or(facts.cpu);
        facts.memory = self.memory.unwrap_or(facts.memory);
        let given = self.attributes.iter();
        facts
            .attributes
            .extend(given.map(|(name, value)| (name.clone(), value.clone())));
        Ok(Arc::new(facts))
    }
}

/// What the instance is like, with what operators say of it.
fn facts_with_given(instance: &Instance) -> InstanceFacts {
    let mut facts = InstanceFacts::clone(&instance.facts);
    let given = instance.given_attributes.iter();
    facts
        .attributes
        .extend(given.map(|(name, value)| (name.clone(), value.clone())));
    facts
}

/// What all instances have in common, but for their size.
fn common<'i>(mut instances: impl Iterator<Item = &'i Arc<Instance>>) -> InstanceFacts {
    let Some(first) = instances.next() else {
        return InstanceFacts::default();
    };
    let mut common = InstanceFacts {
        gpus: Default::default(),
        ..facts_with_given(first)
    };
    for instance in instances {
        let facts = &instance.facts;
        common
            .attributes
            .retain(|name, value| instance.attribute(name) == Some(value.as_deref()));
        if common.agent_version != facts.agent_version {
            common.agent_version.clear();
        }
        let ports = common.reserved_ports.iter();
        common.reserved_ports = ports.filter(|port| facts.reserved_ports.contains(*port)).collect();
    }
    common
}

#[cfg(test)]
mod tests;
