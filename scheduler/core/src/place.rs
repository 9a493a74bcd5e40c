//! Placement: chooses instances for equal copies of a task, and says for each instance that it did not choose why.
//!
//! Pure and exact: every candidate is looked at, nothing is sampled, and ties break by instance id, so that the same
//! state and seed give the same answer. Knows nothing of services, agents or the API.

mod fits;
mod scan;

use berth_model::id::InstanceId;
use berth_model::placement::{Constraint, Strategy};
use berth_model::quantity::Demand;
use berth_model::query::Expression;

use crate::state::Instance;

pub use fits::{Misfit, fits};

/// What is to be placed.
#[derive(Debug)]
pub struct Request<'a> {
    /// What each copy takes.
    pub demand: &'a Demand,
    /// Attributes that an instance must have.
    pub required_attributes: &'a [String],
    /// The processor that the images are made for, as `ecs.cpu-architecture` names it.
    pub cpu_architecture: Option<&'a str>,
    /// `memberOf` constraints of the definition.
    pub member_of: &'a [Expression],
    /// Constraints of the request.
    pub constraints: &'a [Constraint],
    /// Strategies, the first first; ECS's default for services where there is none.
    pub strategies: &'a [Strategy],
    /// Whose tasks `spread` and `distinctInstance` count.
    pub group: &'a str,
    /// How many copies.
    pub count: u32,
    /// Decides `random`.
    pub seed: u64,
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

/// Whether the instance satisfies an expression of the query language.
#[must_use]
pub fn satisfies(instance: &Instance, expression: &Expression) -> bool {
    expression.matches(&fits::Described(instance))
}

/// Places as many of the copies as fit, best first, and explains the rest.
#[must_use]
pub fn solve<'i>(candidates: impl IntoIterator<Item = &'i Instance>, request: &Request<'_>) -> Solution {
    scan::solve(candidates, request)
}
