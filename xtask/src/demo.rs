//! The demonstration: from a machine with Rust on it to a page served by a task, and back again.
//!
//! All that it keeps is under `target/demo`. It must never touch a container, a daemon or a package that is not its own.

mod berth;
mod build;
mod daemon;
mod docker;
mod engine;
mod page;
mod place;
mod run;
mod stop;

pub(crate) use run::start;
pub(crate) use stop::stop;
