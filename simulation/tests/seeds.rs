//! Worlds from seeds: all come right, the same seed gives the same history, and every deliberate bug is found.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "worlds have a time of their own; how many are tried is a matter of ours"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_simulation::{Mutant, run};
use clap::ValueEnum;

/// How long seeds are tried.
const SPAN: Duration = Duration::from_secs(40);
/// Seeds within which a deliberate bug must be found.
const SEEDS: u64 = 1000;

/// Tries seeds on all processors, as long as `goes_on`.
fn each_seed(goes_on: impl Fn(u64) -> bool + Sync, look: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(seed) {
                return;
            }
            look(seed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
}

#[test]
fn every_world_comes_right() {
    let begun = Instant::now();
    let tried = AtomicU64::new(0);
    each_seed(
        |_| begun.elapsed() < SPAN,
        |seed| {
            if let Err(violation) = run(seed, None, false) {
                panic!("seed {seed}: {violation}");
            }
            tried.fetch_add(1, Ordering::Relaxed);
        },
    );
    let tried = tried.into_inner();
    assert!(tried >= 100, "{tried} seeds in {SPAN:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..5 {
        let first = run(seed, None, false).unwrap();
        assert_eq!(run(seed, None, false).unwrap(), first, "seed {seed}");
        assert!(first.tasks > 0 && first.revision > 20, "{first:?}");
    }
}

#[test]
fn every_deliberate_bug_is_found() {
    for mutant in Mutant::value_variants() {
        let found = AtomicBool::new(false);
        each_seed(
            |seed| seed < SEEDS && !found.load(Ordering::Relaxed),
            |seed| {
                if run(seed, Some(*mutant), false).is_err() {
                    found.store(true, Ordering::Relaxed);
                }
            },
        );
        assert!(found.into_inner(), "{mutant:?} is not found in {SEEDS} seeds");
    }
}
