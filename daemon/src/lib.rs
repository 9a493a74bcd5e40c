//! What the daemons have in common: their log, their end, their service manager, how they try again, and what they tell of
//! themselves.
//!
//! It knows nothing of clusters and of no other package of ours.

mod backoff;
mod cause;
pub mod log;
pub mod manual;
pub mod metrics;
pub mod pages;
pub mod service;

pub use backoff::{Backoff, any_of, fraction};
pub use cause::chain;
