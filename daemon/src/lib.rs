//! What the daemons have in common: their log, their end, their service manager, and how they try again.
//!
//! It knows nothing of clusters and of no other package of ours.

mod backoff;
mod cause;
pub mod log;
pub mod manual;
pub mod service;

pub use backoff::{Backoff, any_of, fraction};
pub use cause::chain;
