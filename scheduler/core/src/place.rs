//! Placement: chooses instances for equal copies of a task, and says for each instance that it did not choose why.
//!
//! Pure and exact: the best of all candidates is found, nothing is sampled, and what is equal to the last breaks by
//! instance id, so that the same state and seed give the same answer. Knows nothing of services, agents or the API.

mod fits;
mod index;
mod order;
mod scan;

use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::placement::{Constraint, Strategy};
use berth_model::quantity::Demand;
use berth_model::query::Expression;

use crate::state::Instance;

pub use fits::{Misfit, fits};
pub use index::Index;
use scan::Scan;

/// What is to be placed, but for how many and by which seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What each copy takes.
    pub demand: Demand,
    /// Attributes that an instance must have.
    pub required_attributes: Arc<[String]>,
    /// The processor that the images are made for, as `ecs.cpu-architecture` names it.
    pub cpu_architecture: Option<&'static str>,
    /// `memberOf` constraints of the definition.
    pub member_of: Arc<[Expression]>,
    /// Constraints of the request.
    pub constraints: Vec<Constraint>,
    /// Strategies, the first first; ECS's default for services where there is none.
    pub strategies: Vec<Strategy>,
    /// Whose tasks `spread` and `distinctInstance` count.
    pub group: Arc<str>,
}

/// Where the copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The instance of each copy that has one.
    pub placed: Vec<InstanceId>,
    /// Why each instance takes no further copy; empty when all copies are placed.
    pub refusals: Vec<Refusal>,
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

/// Why each instance takes no further copy, where `placed` copies of the request are on their way to it already.
fn refusals<'i>(
    candidates: impl Iterator<Item = &'i Arc<Instance>>,
    request: &Request,
    placed: impl Fn(InstanceId) -> u32,
) -> Vec<Refusal> {
    let refusal = |instance: &Arc<Instance>| {
        let misfits = fits(instance, request, placed(instance.id));
        (!misfits.is_empty()).then_some(Refusal {
            instance: instance.id,
            misfits,
        })
    };
    candidates.filter_map(refusal).collect()
}

/// Whether the instance satisfies an expression of the query language.
#[must_use]
pub fn satisfies(instance: &Instance, expression: &Expression) -> bool {
    expression.matches(&fits::Described(instance))
}
