//! Schedules: what they do when they are due, what becomes of their runs, and that each time at which they are due runs
//! once, whatever clocks do and however often the scheduler is restarted.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod scenarios;
mod simulation;
mod world;
