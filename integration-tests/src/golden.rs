//! Answers kept as files: what differs from run to run replaced, and differences shown as a person reads them. Pure.

pub mod difference;
pub mod normal;
