//! `make bench`: placements in memory, on one core.
//!
//! Each row is one cluster and one kind of request. The cluster is filled to its load with tasks of many sizes; then
//! copies are placed and as many of those that were placed before end, so that it stays as full as it is. What is
//! counted is the index that the scheduler places with; the journal and the wire are in the other table.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_model::placement::{Constraint, PackBy, SpreadKey, Strategy};
use berth_model::query::Expression;

use crate::cluster::Cluster;

/// Instances of a cluster.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Percent of the CPU that is taken.
const LOADS: [u32; 4] = [0, 50, 90, 95];
/// Copies of one request.
const COPIES: [u32; 3] = [1, 100, 1000];
/// How long each row is measured.
const SPAN: Duration = Duration::from_millis(300);

/// A kind of request.
struct Kind {
    name: &'static str,
    strategies: fn() -> Vec<Strategy>,
    constraints: fn() -> Vec<Constraint>,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "binpack",
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: Vec::new,
    },
    Kind {
        name: "spread zone",
        strategies: || vec![Strategy::Spread(SpreadKey::Attribute("zone".to_owned()))],
        constraints: Vec::new,
    },
    Kind {
        name: "spread instance",
        strategies: || vec![Strategy::Spread(SpreadKey::Instance)],
        constraints: Vec::new,
    },
    Kind {
        name: "random",
        strategies: || vec![Strategy::Random],
        constraints: Vec::new,
    },
    Kind {
        name: "16 classes",
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: || {
            let expression =
                Expression::parse("attribute:rack in [r1, r3, r4, r7, r8, r9, r12] or attribute:rack > r14");
            expression.into_iter().map(Constraint::MemberOf).collect()
        },
    },
    Kind {
        name: "distinctInstance",
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: || vec![Constraint::DistinctInstance],
    },
];

fn main() -> Result<()> {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("| request          | copies | instances | load % | placements/s |   p50 us |   p99 us |");
    println!("| ---------------- | -----: | --------: | -----: | -----------: | -------: | -------: |");
    for kind in &KINDS {
        if part.as_deref().is_some_and(|part| !kind.name.starts_with(part)) {
            continue;
        }
        for copies in COPIES {
            for instances in SIZES {
                for load in LOADS {
                    measure(kind, copies, instances, load)?;
                }
            }
        }
    }
    Ok(())
}

fn measure(kind: &Kind, copies: u32, instances: usize, load: u32) -> Result<()> {
    let mut cluster = Cluster::filled(instances, load);
    let requests = cluster::requests(&(kind.strategies)(), &(kind.constraints)());
    let mut times: Vec<Duration> = Vec::new();
    let mut placed: usize = 0;
    let mut turn: u64 = 0;
    let started = Instant::now();
    while started.elapsed() < SPAN {
        turn += 1;
        let request = &requests[usize::try_from(turn)? % requests.len()];
        let began = Instant::now();
        let solution = cluster.place(request, copies, turn);
        times.push(began.elapsed());
        placed += solution.placed.len();
        for instance in &solution.placed {
            cluster.keep(*instance, request);
        }
        cluster.end(solution.placed.len());
    }
    let wall = started.elapsed();
    ensure!(
        placed > 0,
        "{} placed nothing on {instances} instances at {load} %",
        kind.name
    );
    times.sort_unstable();
    let at = |share: usize| {
        let time = times.get(times.len() * share / 100).copied().unwrap_or_default();
        time.as_secs_f64() * 1e6
    };
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let rate = placed as f64 / wall.as_secs_f64();
    println!(
        "| {:<16} | {copies:>6} | {instances:>9} | {load:>6} | {rate:>12.0} | {:>8.2} | {:>8.2} |",
        kind.name,
        at(50),
        at(99)
    );
    if rate < 200_000.0 {
        eprintln!("  below 200,000 a second");
    }
    Ok(())
}
