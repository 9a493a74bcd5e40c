//! Why a copy goes where it goes: the numbers that decided, and the instance that came second.

use std::cmp::Ordering;
use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::placement::{PackBy, SpreadKey, Strategy};

use super::{Rule, Scan};
use crate::place::Request;
use crate::place::order::{Chain, Order};
use crate::state::Instance;

/// Where one copy goes and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Where it goes.
    pub instance: InstanceId,
    /// What is compared, in the order in which it is.
    pub score: Vec<Criterion>,
    /// What decided against all others.
    pub decided: Decided,
    /// The best of the others; nothing where no other could take the copy.
    pub runner_up: Option<RunnerUp>,
}

/// The best of the instances that were not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerUp {
    /// The instance.
    pub instance: InstanceId,
    /// Its numbers, in the order of the chosen one's.
    pub score: Vec<Criterion>,
}

/// What made the difference to the runner-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// There was no other.
    Alone,
    /// The criterion at this place of the scores.
    Criterion(usize),
    /// Chance: the strategies left several.
    Chance,
    /// Nothing but the smaller id.
    Id,
}

/// One number that instances are compared by, before the copy is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criterion {
    /// `spread` over an attribute: where fewer tasks of the group are.
    Domain {
        /// The attribute.
        attribute: String,
        /// The instance's value; nothing where it has none.
        value: Option<String>,
        /// Tasks of the group on instances with the value.
        tasks: u32,
    },
    /// `spread` over instances: where fewer tasks of the group are.
    Instance {
        /// Tasks of the group on the instance.
        tasks: u32,
    },
    /// `binpack`: where less is free.
    Packed {
        /// The resource.
        by: PackBy,
        /// What is free of it.
        free: u32,
    },
    /// What decides where the strategies leave several.
    Free {
        /// Whether the instance with more free is better.
        most: bool,
        /// CPU units.
        cpu: u32,
        /// MiB.
        memory: u32,
    },
}

/// Places up to `count` copies and says of each why it goes where it goes. In time that grows with candidates and copies.
#[must_use]
pub fn choices<'i>(
    candidates: impl IntoIterator<Item = &'i Arc<Instance>>,
    request: &Request,
    count: u32,
    seed: u64,
) -> Vec<Choice> {
    let mut scan = Scan::new(candidates, request.clone());
    (0..count).map_while(|turn| scan.choice(seed, turn)).collect()
}

impl Scan {
    /// Places the next copy.
    fn choice(&mut self, seed: u64, turn: u32) -> Option<Choice> {
        let chosen = self.choose(seed, turn)?;
        let keys: Vec<u64> = self.rules.iter().map(|rule| self.key(rule, chosen)).collect();
        let others = self.open.iter().copied().filter(|at| *at != chosen);
        let second = others.min_by(|one, other| {
            let keys: Vec<u64> = self.rules.iter().map(|rule| self.key(rule, *other)).collect();
            self.compare(*one, &keys).then(one.cmp(other))
        });
        let differs = |second: usize| {
            let mut rules = self.rules.iter().zip(&keys);
            rules.position(|(rule, key)| self.key(rule, second).cmp(key) != Ordering::Equal)
        };
        let decided = match second.map(differs) {
            None => Decided::Alone,
            Some(Some(at)) => Decided::Criterion(at),
            Some(None) if self.random => Decided::Chance,
            Some(None) => Decided::Id,
        };
        let choice = Choice {
            instance: self.seats[chosen].instance.id,
            score: self.score(chosen),
            decided,
            runner_up: second.map(|second| RunnerUp {
                instance: self.seats[second].instance.id,
                score: self.score(second),
            }),
        };
        self.take(chosen);
        Some(choice)
    }

    /// The numbers of a seat, one for each rule.
    fn score(&self, at: usize) -> Vec<Criterion> {
        let strategies = Chain::of(&self.request.strategies).rules;
        let mut spread = strategies.iter().filter_map(|strategy| match strategy {
            Strategy::Spread(SpreadKey::Attribute(name)) => Some(name),
            Strategy::Spread(SpreadKey::Instance) | Strategy::Binpack(_) | Strategy::Random => None,
        });
        let seat = &self.seats[at];
        let (cpu, memory) = seat.left(&self.request);
        let criterion = |rule: &Rule| match rule {
            Rule::Instance => Criterion::Instance { tasks: self.group[at] },
            Rule::Domain { of_seat, tasks } => {
                let attribute = spread.next().cloned().unwrap_or_default();
                let value = seat.instance.attribute(&attribute).flatten();
                Criterion::Domain {
                    value: value.map(str::to_owned),
                    tasks: tasks[of_seat[at] as usize],
                    attribute,
                }
            }
            Rule::Least(by) => Criterion::Packed {
                by: *by,
                free: match by {
                    PackBy::Cpu => cpu,
                    PackBy::Memory => memory,
                },
            },
            Rule::Tie(order) => Criterion::Free {
                most: *order == Order::MostFree,
                cpu,
                memory,
            },
        };
        self.rules.iter().map(criterion).collect()
    }
}
