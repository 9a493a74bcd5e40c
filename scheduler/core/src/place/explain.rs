//! Why no instance takes a (further) copy: what stands in the way, on how many instances, and where the least is missing.
//!
//! A request that is refused is refused by every candidate, so that this is a summary of them all; its size does not
//! depend on theirs. What no room changes (status, agent, attributes, expressions) is counted over all candidates; what
//! room changes over those that satisfy the rest, as only there more room would help.

mod tally;
mod words;

use std::collections::BTreeSet;

use berth_model::id::{InstanceId, TaskId};
use berth_model::quantity::Demand;

use super::{Misfit, Refusal};
use crate::keys::{ClusterKey, InstanceKey};
use crate::state::State;

pub(super) use tally::{Count, Tally};

/// Why no instance takes a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The instances that were considered: those that are ACTIVE.
    pub candidates: u32,
    /// Those of them that satisfy everything that room does not change.
    pub eligible: u32,
    /// Instances that were not considered as they are DRAINING.
    pub draining: u32,
    /// All that stands in the way, the most basic first.
    pub causes: Vec<Cause>,
    /// The candidate that would take a copy after the smallest change, with all that stands in the way there.
    pub closest: Option<Refusal>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// On how many instances.
    pub instances: u32,
    /// The one of them where the least is missing; the first by id where that is the same.
    pub nearest: InstanceId,
    /// What is in the way there.
    pub misfit: Misfit,
    /// The task that holds the port there; nothing where it is held by a copy of the same request, or by no task.
    pub holder: Option<TaskId>,
}

/// How far an instance is from taking a copy: clauses that it does not satisfy, then ports, GPUs and the like, then what is missing of
/// CPU and memory together, each as a part of what is needed (in a unit that depends on the demand).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Distance {
    clauses: usize,
    taken: usize,
    missing: u128,
}

impl Distance {
    fn within(demand: &Demand, taken: usize, missing_cpu: u32, missing_memory: u32) -> Self {
        // missing_cpu / cpu + missing_memory / memory, times both.
        let part = |missing: u32, of_other: u32| u128::from(missing) * u128::from(of_other.max(1));
        Self {
            clauses: 0,
            taken,
            missing: part(missing_cpu, demand.memory.0) + part(missing_memory, demand.cpu.0),
        }
    }

    /// Of what an instance lacks, each thing once.
    fn of(misfits: &BTreeSet<&Misfit>, demand: &Demand) -> Self {
        let clauses = misfits.iter().filter(|misfit| misfit.is_of_clause()).count();
        if clauses > 0 {
            return Self {
                clauses,
                taken: 0,
                missing: 0,
            };
        }
        let mut taken = 0;
        let (mut cpu, mut memory) = (0, 0);
        for misfit in misfits {
            match misfit {
                Misfit::Cpu { .. } => cpu = misfit.missing().unwrap_or(0),
                Misfit::Memory { .. } => memory = misfit.missing().unwrap_or(0),
                Misfit::NotActive(_)
                | Misfit::Agent
                | Misfit::Provider(_)
                | Misfit::Attribute(_)
                | Misfit::MemberOf(_)
                | Misfit::Distinct
                | Misfit::Gpu { .. }
                | Misfit::Port { .. } => taken += 1,
            }
        }
        Self::within(demand, taken, cpu, memory)
    }
}

impl Explanation {
    /// The plain way: from what each candidate lacks, in the order of ids. It is the oracle of [`Tally`].
    pub(super) fn of(refusals: &[Refusal], demand: &Demand) -> Self {
        let mut explanation = Self {
            candidates: u32::try_from(refusals.len()).unwrap_or(u32::MAX),
            eligible: 0,
            draining: 0,
            causes: Vec::new(),
            closest: None,
        };
        let mut closest: Option<(Distance, &Refusal)> = None;
        for refusal in refusals {
            let misfits: BTreeSet<&Misfit> = refusal.misfits.iter().collect();
            let distance = Distance::of(&misfits, demand);
            if closest.is_none_or(|(best, _)| distance < best) {
                closest = Some((distance, refusal));
            }
            let eligible = distance.clauses == 0;
            explanation.eligible += u32::from(eligible);
            for misfit in misfits.into_iter().filter(|misfit| misfit.is_of_clause() != eligible) {
                explanation.add(misfit, refusal.instance);
            }
        }
        explanation.causes.sort_by(|one, other| one.misfit.cmp(&other.misfit));
        explanation.closest = closest.map(|(_, refusal)| refusal.clone());
        explanation
    }

    /// Counts what is in the way on one more instance.
    fn add(&mut self, misfit: &Misfit, instance: InstanceId) {
        let Some(cause) = self.causes.iter_mut().find(|cause| cause.misfit.is_like(misfit)) else {
            self.causes.push(Cause {
                instances: 1,
                nearest: instance,
                misfit: misfit.clone(),
                holder: None,
            });
            return;
        };
        cause.instances += 1;
        if misfit.missing() < cause.misfit.missing() {
            cause.nearest = instance;
            cause.misfit = misfit.clone();
        }
    }

    /// Completes what only the state knows: instances that are leaving, and who holds ports.
    pub(crate) fn complete(&mut self, state: &State, cluster: ClusterKey) {
        let known = state.cluster_name(cluster).and_then(|name| state.cluster(name));
        self.draining = known.map_or(0, |known| known.instances.saturating_sub(self.candidates));
        for cause in &mut self.causes {
            if let Misfit::Port { port, reserved: false } = cause.misfit {
                let key = InstanceKey {
                    cluster,
                    instance: cause.nearest,
                };
                let mut tasks = state.live_tasks_on(key);
                let holder = tasks.find(|task| task.launch.demand.ports.contains(port));
                cause.holder = holder.map(|task| task.id);
            }
        }
    }
}

impl Misfit {
    /// Whether no room would change it.
    const fn is_of_clause(&self) -> bool {
        match self {
            Self::NotActive(_) | Self::Agent | Self::Provider(_) | Self::Attribute(_) | Self::MemberOf(_) => true,
            Self::Distinct | Self::Cpu { .. } | Self::Memory { .. } | Self::Gpu { .. } | Self::Port { .. } => false,
        }
    }

    /// Whether it is the same thing, be there more or less of it missing.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu { .. }, Self::Cpu { .. })
            | (Self::Memory { .. }, Self::Memory { .. })
            | (Self::Gpu { .. }, Self::Gpu { .. }) => true,
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests;
