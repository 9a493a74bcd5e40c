//! Several schedulers on one journal that are killed, stopped and cut off at random while they work: what clients were
//! told, and what agents did, held against the journal.
//!
//! Everything is in network namespaces of its own, agents are simulated, and what goes wrong follows from a seed; the order
//! in which things happen does not.

mod agent;
mod bed;
pub mod check;
mod clients;
mod disk;
mod etcd;
pub mod fault;
pub mod history;
mod journal;
mod nemesis;
pub mod replay;
mod report;
mod run;
pub mod witness;

pub use clients::Rates;
pub use etcd::Etcd;
pub use report::Report;
pub use run::{Settings, run};
