//! The whole gateway over real sockets of the loopback: a scheduler in this process tells it of tasks that are servers
//! here, and clients say what they see.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic and say why")]

mod bed;
mod clients;
mod discovery;
mod draining;
mod grpc;
mod health;
mod http;
mod ports;
mod retries;
mod soak;
mod targets;
mod tcp;
