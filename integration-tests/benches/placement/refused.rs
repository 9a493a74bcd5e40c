//! What it costs to refuse: the answer that nothing fits, with its reasons.

use anyhow::{Result, ensure};
use berth_model::placement::{Constraint, PackBy, Strategy};
use berth_model::quantity::{HostPort, Protocol};
use berth_model::query::Expression;
use berth_scheduler_core::place::{Index, Request};
use berth_scheduler_core::state::State;

use crate::SIZES;
use crate::clock::Clock;
use crate::cluster::{self, CLUSTER, HOST, Size};

/// Percent of the CPU that is taken.
const LOAD: u32 = 95;
/// Refusals of each row.
const RUNS: usize = 51;

/// A request that no instance can take.
struct Refused {
    name: &'static str,
    request: fn() -> Request,
    /// Whether a task on each instance holds the port.
    is_held: bool,
}

/// The port that is asked for.
const PORT: HostPort = HostPort {
    protocol: Protocol::Tcp,
    port: 443,
};

const REFUSED: [Refused; 4] = [
    Refused {
        name: "no instance has the memory",
        request: || unfit(&[]),
        is_held: false,
    },
    Refused {
        name: "a constraint rules all out",
        request: || {
            let expression = Expression::parse("attribute:rack == none");
            unfit(&expression.into_iter().map(Constraint::MemberOf).collect::<Vec<_>>())
        },
        is_held: false,
    },
    Refused {
        name: "no memory, with a host port",
        request: || with_port(unfit(&[])),
        is_held: false,
    },
    Refused {
        name: "all hold the host port",
        request: || with_port(asked((1, 1), &[])),
        is_held: true,
    },
];

fn unfit(constraints: &[Constraint]) -> Request {
    asked((1, HOST.1 + 1), constraints)
}

fn asked(size: Size, constraints: &[Constraint]) -> Request {
    cluster::request(size, &[Strategy::Binpack(PackBy::Cpu)], constraints, "service:refused")
}

fn with_port(mut request: Request) -> Request {
    request.demand.ports.insert(PORT);
    request
}

/// Prints the median of each kind and size.
pub(crate) fn print() -> Result<()> {
    println!();
    println!("Refusals with their reasons, on clusters of which {LOAD} % are taken:\n");
    println!("| refused                      | instances | p50 us |");
    println!("| ---------------------------- | --------: | -----: |");
    for instances in SIZES {
        let state = cluster::filled(&cluster::empty(instances)?, instances, LOAD)?;
        let holding = cluster::holding(&state, instances, PORT)?;
        for refused in &REFUSED {
            let state = if refused.is_held { &holding } else { &state };
            let median = measure(state, &(refused.request)())?;
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
