//! The host: what it has and what it uses. Reads, decides nothing.

pub(crate) mod address;
mod facts;
mod ports;
mod usage;

pub(crate) use facts::facts;
pub(crate) use usage::Sampler;
