//! The decisions: a command and the state it meets give what happens, or a refusal.
//!
//! One module a subject; each command is a struct that implements [`crate::command::Command`].

pub mod access_key;
pub mod account;
mod ahead;
pub mod attribute;
pub mod capacity;
pub mod cluster;
pub mod definition;
pub mod delivery;
pub mod instance;
pub mod membership;
pub mod plan;
pub mod protection;
pub mod queue;
pub mod reconcile;
pub mod registration;
pub mod report;
pub mod run;
pub mod scaling;
pub mod schedule;
pub mod service;
pub mod session;
pub mod start;
pub mod stop;
pub mod tag;
pub mod target;
pub mod task_set;
pub mod upkeep;

mod deal;
mod launch;
mod route;
