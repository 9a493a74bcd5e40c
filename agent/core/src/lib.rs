//! The agent's decisions: given what is known of a task and what just happened, what to ask of Docker next.
//!
//! Pure: no I/O, no clock, no async, no randomness, and it knows neither the wire nor Docker's client. Time is an
//! argument, effects are values ([`machine::Action`]) that the agent's shell performs and answers.

pub mod assignment;
pub mod bucket;
pub mod container;
pub mod context;
pub mod create;
pub mod disk;
pub mod drain;
pub mod failure;
pub mod fingerprint;
pub mod host_policy;
pub mod image;
pub mod limits;
pub mod machine;
pub mod metadata;
pub mod name;
pub mod outbox;
pub mod pause;
pub mod port_range;
pub mod record;
pub mod recovery;
pub mod report;
pub mod retention;
pub mod spec;
pub mod stream;
pub mod tail;
pub mod usage;
