//! The host: what it has and what it uses. Reads, decides nothing.

pub(crate) mod address;
mod facts;
mod log_drivers;
mod ports;
#[cfg(test)]
mod testing;
mod usage;

pub(crate) use facts::facts;
pub(crate) use log_drivers::LogDrivers;
pub(crate) use usage::Sampler;
