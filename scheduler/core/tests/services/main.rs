//! Services in simulated clusters: whatever happens, in whatever order, no step goes below the floor or above the
//! ceiling, none is taken twice, and what can become steady does.
//!
//! A failure names the seed of its world.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic, its helpers too"
)]

mod check;
mod random;
mod scenarios;
mod shifting;
mod task_sets;
mod world;
