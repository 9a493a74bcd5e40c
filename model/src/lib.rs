//! What the words mean: ids and ARNs, quantities, task definitions parsed and valid, placement rules, statuses, faults.
//!
//! Pure: no I/O, no clock, no randomness, no async. Everything else stands on it; it stands on nothing of ours.

pub mod account;
pub mod arn;
pub mod attribute;
pub mod capacity;
pub mod cluster;
pub mod fault;
pub mod gpu;
pub mod id;
pub mod load_balancer;
pub mod name;
pub mod overrides;
pub mod placement;
pub mod policy;
pub mod quantity;
pub mod query;
pub mod queueing;
pub mod scaling;
pub mod schedule;
pub mod service;
mod span;
pub mod status;
pub mod tag;
pub mod task_definition;
pub mod time;
pub mod words;
