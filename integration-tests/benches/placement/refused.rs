//! What it costs to refuse: the answer that nothing fits, with its reasons.

use anyhow::{Result, ensure};
use berth_model::placement::{Constraint, PackBy, Strategy};
use berth_model::quantity::{HostPort, Protocol};
use berth_model::query::Expression;
use berth_scheduler_core::place::{Index, Request};
use berth_scheduler_core::state::State;

use crate::SIZES;
use crate::clock::Clock;
use crate::cluster::{self, CLUSTER, HOST};

/// Percent of the CPU that is taken.
const LOAD: u32 = 95;
/// Refusals of each row.
const RUNS: usize = 51;

/// A request that no instance can take.
struct Refused {
    name: &'static str,
    request: fn() -> Request,
}

const REFUSED: [Refused; 3] = [
    Refused {
        name: "no instance has the memory",
        request: || unfit(&[]),
    },
    Refused {
        name: "a constraint rules all out",
        request: || {
            let expression = Expression::parse("attribute:rack == none");
            unfit(&expression.into_iter().map(Constraint::MemberOf).collect::<Vec<_>>())
        },
    },
    Refused {
        name: "with a host port",
        request: || {
            let mut request = unfit(&[]);
            request.demand.ports.insert(HostPort {
                protocol: Protocol::Tcp,
                port: 443,
            });
            request
        },
    },
];

fn unfit(constraints: &[Constraint]) -> Request {
    let strategies = [Strategy::Binpack(PackBy::Cpu)];
    cluster::request((1, HOST.1 + 1), &strategies, constraints, "service:refused")
}

/// Prints the median of each kind and size.
pub(crate) fn print() -> Result<()> {
    println!();
    println!("Refusals with their reasons, on clusters of which {LOAD} % are taken:\n");
    println!("| refused                      | instances | p50 us |");
    println!("| ---------------------------- | --------: | -----: |");
    for instances in SIZES {
        let state = cluster::filled(&cluster::empty(instances)?, instances, LOAD)?;
        for refused in &REFUSED {
            let median = measure(&state, &(refused.request)())?;
            println!("| {:<28} | {instances:>9} | {median:>6.1} |", refused.name);
        }
    }
    Ok(())
}

fn measure(state: &State, request: &Request) -> Result<f64> {
    let mut index = Index::of(state, CLUSTER);
    let clock = Clock::of(1);
    let mut times = Vec::with_capacity(RUNS);
    for seed in 0..RUNS {
        let (solution, time) = clock.time(|| index.place(state, request, 1, seed as u64));
        ensure!(solution.refused.is_some(), "it was placed");
        times.push(time);
    }
    times.sort_unstable();
    Ok(times[RUNS / 2].as_secs_f64() * 1e6)
}
