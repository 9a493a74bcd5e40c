//! Which target gets what is new. Pure.
//!
//! First the deployment, where shares say how traffic is parted between them: smooth weighted round robin, which is
//! exact over any run of requests. Then the target with the fewest open; what is equal goes in turn.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How far a target may be counted on; what is less is better, and only the best there is gets anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Healthy,
    /// Healthy, and refused a connection a moment ago.
    Refusing,
    /// Healthy, and has failed the request that is to be placed.
    Tried,
    /// Not known to be healthy. As ELB does, all of these are used where none is better.
    Doubtful,
    /// Not known to be healthy, and has failed the request that is to be placed.
    DoubtfulAndTried,
}

/// A target that may get what is new.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) deployment: Arc<str>,
    pub(crate) standing: Standing,
    /// Requests or connections that it has.
    pub(crate) open: u32,
    /// How new it is: 1 where it has just become healthy, 0 where it is like any other. It counts as having this part
    /// of what the least busy of the others has, so that it fills up and is not flooded.
    pub(crate) fresh: f32,
}

/// What has to be remembered between choices.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    /// Of each deployment among which there was a choice, what it was owed after that.
    credit: BTreeMap<Arc<str>, i64>,
    /// Position of the last that was chosen, of each deployment; of all where there are no shares.
    last: BTreeMap<Option<Arc<str>>, usize>,
}

impl Balancer {
    /// The position of the candidate that gets what is new; `None` where there is none. Deployments without a share,
    /// or with a weight of 0, get nothing while one with a weight has a candidate.
    pub(crate) fn pick(&mut self, shares: &BTreeMap<Arc<str>, u32>, candidates: &[Candidate]) -> Option<usize> {
        let weight = |one: &Candidate| shares.get(&one.deployment).copied().unwrap_or_default();
        let shared = candidates.iter().any(|one| weight(one) > 0);
        let counts = |one: &&Candidate| !shared || weight(one) > 0;
        let best = candidates.iter().filter(counts).map(|one| one.standing).min()?;
        let deployment = if shared {
            let mut present = BTreeMap::new();
            for one in candidates.iter().filter(counts).filter(|one| one.standing == best) {
                present.insert(&one.deployment, weight(one));
            }
            self.deployment(&present)
        } else {
            None
        };
        let eligible = |one: &Candidate| {
            one.standing == best && deployment.as_ref().is_none_or(|chosen| *chosen == one.deployment)
        };
        let settled = candidates.iter().filter(|one| eligible(one) && one.fresh <= 0.0);
        let least = settled.map(|one| one.open).min().unwrap_or(0);
        let load = |one: &Candidate| f64::from(one.open) + f64::from(one.fresh) * f64::from(least);
        let last = self.last.get(&deployment).copied().unwrap_or(candidates.len() - 1);
        let turn = |at: usize| (at + candidates.len() - last % candidates.len() - 1) % candidates.len();
        let eligible = candidates.iter().enumerate().filter(|(_, one)| eligible(one));
        let (chosen, _) = eligible
            .min_by(|(a, one), (b, other)| load(one).total_cmp(&load(other)).then_with(|| turn(*a).cmp(&turn(*b))))?;
        self.last
            .retain(|known, _| known.as_ref().is_none_or(|known| shares.contains_key(known)));
        self.last.insert(deployment, chosen);
        Some(chosen)
    }

    /// Smooth weighted round robin over those that are present.
    fn deployment(&mut self, present: &BTreeMap<&Arc<str>, u32>) -> Option<Arc<str>> {
        self.credit.retain(|known, _| present.contains_key(known));
        let sum: i64 = present.values().map(|weight| i64::from(*weight)).sum();
        for (deployment, weight) in present {
            *self.credit.entry(Arc::clone(deployment)).or_default() += i64::from(*weight);
        }
        let (chosen, credit) = self
            .credit
            .iter_mut()
            .max_by(|(a, one), (b, other)| one.cmp(other).then_with(|| b.cmp(a)))?;
        *credit -= sum;
        Some(Arc::clone(chosen))
    }
}

#[cfg(test)]
mod tests;
