//! The whole control plane in one thread, from one seed: schedulers, agents, a journal, Docker daemons, a network and
//! the time.
//!
//! What decides is the real code, `berth-scheduler-core` and `berth-agent-core`; what surrounds it (processes, disks,
//! streams) is made up, and goes wrong: processes are killed at any moment, hosts go down, networks are cut and slow,
//! answers are lost. After each step the invariants are checked, and when everything has been well for long enough all
//! that was promised must be so. The same seed gives the same history.

mod agent;
mod ask;
mod check;
mod docker;
mod journal;
mod message;
mod mutant;
mod random;
mod replica;
mod schedules;
mod standing;
mod task_sets;
mod workload;
mod world;

pub use check::Violation;
pub use mutant::Mutant;
pub use world::Summary;

/// Lets the world of the seed run to its end.
///
/// # Errors
/// The first thing that was found to be wrong.
pub fn run(seed: u64, mutant: Option<Mutant>, trace: bool) -> Result<Summary, Violation> {
    world::World::new(seed, mutant, trace).run()
}
