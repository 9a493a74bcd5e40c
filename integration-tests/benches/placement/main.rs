//! `make bench`: placements in memory, on one core.
//!
//! Each row is one cluster and one kind of request. The cluster is filled to its load with tasks of many sizes; then
//! copies are placed, and now and then the index is told by the state that none of them runs, so that the cluster stays
//! as full as it is. What is measured is the index that the scheduler places with; the journal and the wire are in the
//! other table. The bars stand behind the rows, and behind them what exact placement saves in machines. The beginning
//! of a kind's name as an argument measures that kind alone, `machines` only the machines, `refused` only what
//! refusals cost, `memory` only what one read of memory takes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

mod bars;
mod clock;
mod cluster;
mod kind;
mod machines;
mod memory;
mod refused;
mod row;

use anyhow::Result;

use crate::clock::{Clock, Interruptions};
use crate::kind::{KINDS, Kind};
use crate::row::{Cell, Row};

/// The scheduler's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Instances of a cluster.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Percent of the CPU that is taken.
const LOADS: [u32; 4] = [0, 50, 90, 95];
/// Copies of one request.
const COPIES: [u32; 3] = [1, 100, 1000];

fn main() -> Result<()> {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let asked = |kind: &&Kind| part.as_deref().is_none_or(|part| kind.name.starts_with(part));
    let kinds: Vec<&Kind> = KINDS.iter().filter(asked).collect();
    if !kinds.is_empty() {
        let rows = measure(&kinds)?;
        print(&rows);
        bars::print(&rows, &COPIES);
    }
    if part.as_deref().is_none_or(|part| "machines".starts_with(part)) {
        machines::print()?;
    }
    if part.as_deref().is_none_or(|part| "refused".starts_with(part)) {
        refused::print()?;
    }
    if part.as_deref().is_none_or(|part| "memory".starts_with(part)) {
        memory::print();
    }
    Ok(())
}

/// All rows, in the order of kind, copies, instances, load.
fn measure(kinds: &[&Kind]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for instances in SIZES {
        let empty = cluster::empty(instances)?;
        for load in LOADS {
            eprintln!("{instances} instances at {load} %");
            let state = cluster::filled(&empty, instances, load)?;
            for (order, kind) in kinds.iter().enumerate() {
                for copies in COPIES {
                    let cell = Cell {
                        copies,
                        instances,
                        load,
                    };
                    rows.push((order, Row::measure(kind, cell, &state)?));
                }
            }
        }
    }
    // Clusters stay in the order in which they were measured.
    rows.sort_by_key(|(order, row)| (*order, row.cell.copies));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn print(rows: &[Row]) {
    let Interruptions { rate, mean } = Interruptions::measure();
    println!(
        "Times are of one copy: single placements by the wall's clock, calls of more copies by the thread's time, each\n\
         divided by its copies, less what reading the clock takes ({:?} and {:?}). Upkeep is what the index takes for a\n\
         copy when the state has changed. Instances/s are those that the copies of a call went to: what one takes at once costs\n\
         little more than one copy. * Fewer copies of some request fit: those that do are asked for. This machine interrupts a\n\
         thread {rate:.0} times a second for {mean:.0} us: where 1 % of the calls of a row meet that, it is their p99.\n",
        Clock::Wall.own_time(),
        Clock::Thread.own_time(),
    );
    println!(
        "| request          | copies | instances | load % | placements/s | instances/s |   p50 us |   p99 us | upkeep us |"
    );
    println!(
        "| ---------------- | -----: | --------: | -----: | -----------: | ----------: | -------: | -------: | --------: |"
    );
    for row in rows {
        let Cell {
            copies,
            instances,
            load,
        } = row.cell;
        let copies = format!("{}{copies}", if row.fewer { "*" } else { "" });
        println!(
            "| {:<16} | {copies:>6} | {instances:>9} | {load:>6} | {:>12.0} | {:>11.0} | {:>8.3} | {:>8.3} | {:>9.3} |",
            row.kind, row.rate, row.touched, row.p50, row.p99, row.upkeep
        );
    }
}
