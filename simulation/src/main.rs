//! `berth-simulation`: runs seeds, says which fail, and shows one again.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "worlds have a time of their own; people want to know how long they take"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use berth_simulation::{Mutant, run};
use clap::Parser;

/// Simulates the whole control plane, a world for each seed.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// A deliberate bug that the worlds have.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Shows every event of the first seed.
    #[arg(long)]
    trace: bool,
    /// Goes on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let options = Options::parse();
    if options.trace {
        return match run(options.from, options.mutant, true) {
            Ok(summary) => {
                println!("seed {}: {summary:?}", options.from);
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("seed {}: {violation}", options.from);
                ExitCode::FAILURE
            }
        };
    }
    let began = Instant::now();
    let (next, done, failed, events) = (
        AtomicU64::new(options.from),
        AtomicU64::new(0),
        AtomicU64::new(0),
        AtomicU64::new(0),
    );
    let end = options.from.saturating_add(options.seeds);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while options.keep_going || failed.load(Ordering::Relaxed) == 0 {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    match run(seed, options.mutant, false) {
                        Ok(summary) => {
                            events.fetch_add(summary.events, Ordering::Relaxed);
                        }
                        Err(violation) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("seed {seed}: {violation}");
                        }
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(1000) {
                        eprintln!("{done} of {} seeds, {:.0?}", options.seeds, began.elapsed());
                    }
                }
            });
        }
    });
    let (done, failed) = (done.into_inner(), failed.into_inner());
    println!(
        "{done} seeds, {failed} failed, {} events, {:.1?}",
        events.into_inner(),
        began.elapsed()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
