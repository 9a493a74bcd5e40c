//! What reading one line of memory takes that was not read of late: chance sends each copy to such an instance, so that no
//! placement by chance takes less, whatever it does besides.

use std::hint::black_box;

use crate::SIZES;
use crate::clock::Clock;
use crate::cluster::Chance;

/// Reads of each size.
const READS: usize = 200_000;
/// Reads until caches are as the state's upkeep leaves them: full of else.
const ROUND: usize = 1024;
/// Lines of what else is read: 4 MiB.
const ELSE: usize = 1 << 16;

/// What the index keeps of an instance has this size.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line(u64);

/// Prints what one read takes among as many lines as clusters have instances.
pub(crate) fn print() {
    println!();
    println!("One read of a line of memory, of 64 bytes for each instance, timed as a single placement is:\n");
    println!("| instances | p50 us | p99 us |");
    println!("| --------: | -----: | -----: |");
    for instances in SIZES {
        let (p50, p99) = measure(instances);
        println!("| {instances:>9} | {p50:>6.3} | {p99:>6.3} |");
    }
}

fn measure(instances: usize) -> (f64, f64) {
    let lines = vec![Line(1); instances];
    let others = vec![Line(1); ELSE];
    let mut chance = Chance(1);
    let clock = Clock::of(1);
    let own_time = clock.own_time();
    let mut times = Vec::with_capacity(READS);
    for turn in 0..READS {
        if turn % ROUND == 0 {
            black_box(others.iter().map(|line| line.0).sum::<u64>());
        }
        let line = &lines[chance.below(instances)];
        let (_, took) = clock.time(|| black_box(black_box(line).0));
        times.push(took.saturating_sub(own_time));
    }
    times.sort_unstable();
    let at = |share: usize| times[READS * share / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}
