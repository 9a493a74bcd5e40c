//! A test bed: several hosts on one machine, each a network namespace with its own address, its own Docker Engine
//! and its own agent, and the tools that the tests in `tests/` drive it with.
//!
//! A [`TestBed`] owns all that it makes and takes it down again, also after a panic; what a killed run left behind is
//! swept by the next one ([`lane`]). The bed never touches the machine's own Docker, and listens on no address but
//! those of its own namespaces. Only tests call this crate; nothing of it is shipped.
//!
//! It needs root, `dockerd`, `ip`, `nsenter` and a static `/bin/busybox`; a test without them fails and says how to
//! get them.

pub mod agent;
pub mod aws;
pub mod bed;
pub mod binaries;
pub mod cluster;
pub mod command;
pub mod daemon;
pub mod definition;
pub mod docker;
pub mod ecs;
pub mod files;
pub mod gateway;
pub mod golden;
pub mod grpc;
pub mod host;
pub mod http;
pub mod images;
pub mod installed;
pub mod journal;
pub mod lane;
pub mod load;
pub mod network;
pub mod process;
pub mod prometheus;
pub mod registry;
pub mod replicas;
pub mod scheduler;
pub mod storm;
pub mod suite;
pub mod wait;
pub mod web;

pub use bed::TestBed;
pub use cluster::Cluster;
pub use ecs::Ecs;
pub use wait::{Seen, wait_until};
