//! What the scheduler decides, as pure functions: a [`command`] and the [`state`] give [`change`]s or a refusal
//! (`decide`), and [`fold`] adds changes to the state. [`commit`] says which commands share a record and [`assign`] what each
//! agent must be told, [`event`] what watchers are. [`place`] chooses instances and says why it could not.
//!
//! No I/O, no clock, no randomness, no async, no wire types: time, ids and seeds come in through [`command::Env`].

pub mod access_key;
pub mod assign;
pub mod change;
pub mod command;
pub mod commit;
pub mod decide;
pub mod event;
pub mod fleet;
pub mod fold;
pub mod history;
pub mod invariant;
pub mod keys;
pub mod launch;
pub mod membership;
pub mod observation;
pub mod place;
pub mod presence;
pub mod reconcile;
pub mod scale;
pub mod scaling;
pub mod schedule;
pub mod service;
pub mod shed;
pub mod snapshot;
pub mod state;
pub mod target;
pub mod wake;
