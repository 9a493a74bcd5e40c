//! Placement: chooses instances for equal copies of a task, and says why there are no more of them.
//!
//! Pure and exact: the best of all candidates is found, nothing is sampled, and what is equal to the last breaks by
//! instance id, so that the same state and seed give the same answer. Knows nothing of services, agents or the API.

mod capacity;
mod explain;
mod fits;
mod index;
mod order;
mod pool;
mod request;
mod scan;

use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::placement::{Constraint, Strategy};
use berth_model::quantity::Demand;
use berth_model::query::Expression;

use crate::state::Instance;

pub use capacity::capacity;
pub use explain::{Cause, Explanation};
pub(crate) use fits::eligible;
pub use fits::{Misfit, fits};
pub use index::Index;
pub use pool::Pool;
use scan::Scan;
pub use scan::{Choice, Criterion, Decided, RunnerUp, choices};

/// What is to be placed, but for how many and by which seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What each copy takes.
    pub demand: Demand,
    /// Attributes that an instance must have.
    pub required_attributes: Arc<[String]>,
    /// The processor that the images are made for, as `ecs.cpu-architecture` names it.
    pub cpu_architecture: Option<&'static str>,
    /// The capacity provider whose instances they are to be, where not all of the cluster's.
    pub pool: Option<Pool>,
    /// `memberOf` constraints of the definition.
    pub member_of: Arc<[Expression]>,
    /// Constraints of the request.
    pub constraints: Vec<Constraint>,
    /// Strategies, the first first; ECS's default for services where there is none.
    pub strategies: Vec<Strategy>,
    /// Whose tasks `spread` and `distinctInstance` count.
    pub group: Arc<str>,
}

/// Instances that are listed one by one with what they lack, at most: ECS's failures name instances.
pub const LISTED: usize = 100;

/// Where the copies go.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The instance of each copy that has one.
    pub placed: Vec<InstanceId>,
    /// Why there are not more; nothing when all copies are placed.
    pub refused: Option<Refused>,
}

/// Why no instance takes a (further) copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of all candidates together.
    pub explanation: Explanation,
    /// Of the closest, and then of the first by id, [`LISTED`] together.
    pub listed: Vec<Refusal>,
}

/// Why an instance takes no (further) copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The instance.
    pub instance: InstanceId,
    /// All that stands in the way, the most basic first; never empty.
    pub misfits: Vec<Misfit>,
}

/// Places as many of `count` copies as fit, best first, and explains the rest. `seed` decides `random`.
#[must_use]
pub fn solve<'i>(
    candidates: impl IntoIterator<Item = &'i Arc<Instance>>,
    request: &Request,
    count: u32,
    seed: u64,
) -> Solution {
    Scan::new(candidates, request.clone()).place(count, seed)
}

/// The refusals that are listed: the closest instance's first. `placed` copies of the request are on their way to each.
fn listed<'i>(
    candidates: impl Iterator<Item = &'i Arc<Instance>>,
    request: &Request,
    closest: Option<&Refusal>,
    placed: impl Fn(InstanceId) -> u32,
) -> Vec<Refusal> {
    let others = candidates.filter(|instance| closest.is_none_or(|closest| closest.instance != instance.id));
    let refusal = |instance: &Arc<Instance>| Refusal {
        instance: instance.id,
        misfits: fits(instance, request, placed(instance.id)),
    };
    closest
        .cloned()
        .into_iter()
        .chain(others.map(refusal))
        .take(LISTED)
        .collect()
}

/// Whether the instance satisfies an expression of the query language.
#[must_use]
pub fn satisfies(instance: &Instance, expression: &Expression) -> bool {
    expression.matches(&fits::Described(instance))
}
