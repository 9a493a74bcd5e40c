//! The wire, and nothing else: ECS's operations and shapes (`ecs`), the streams of agents (`agent`), gateways (`gateway`)
//! and schedulers (`replica`), their certificates (`trust`), the journal (`journal`) and what Berth's gRPC API adds (`v1`), generated from `proto/`.
//!
//! The ECS messages carry serde attributes so that their JSON is the ECS JSON protocol's: member names as ECS spells
//! them, absent members left out. No logic lives here; the cores do not know this crate.

mod unknown;

use serde::{Deserialize, Deserializer};

/// ECS's operations and shapes.
pub mod ecs {
    /// As of the ECS API 2014-11-13.
    pub mod v1 {
        tonic::include_proto!("berth.ecs.v1");
        include!(concat!(env!("OUT_DIR"), "/forget.rs"));
    }
}

/// The stream between agents and their scheduler.
pub mod agent {
    /// The stream's first version.
    pub mod v1 {
        tonic::include_proto!("berth.agent.v1");
    }
}

/// The stream between gateways and their scheduler.
pub mod gateway {
    /// The stream's first version.
    pub mod v1 {
        tonic::include_proto!("berth.gateway.v1");
    }
}

/// What goes to and fro in sessions: commands in containers, and their logs.
pub mod session {
    /// Its first version.
    pub mod v1 {
        tonic::include_proto!("berth.session.v1");
    }
}

/// What schedulers on one journal tell each other.
pub mod replica {
    /// The stream's first version.
    pub mod v1 {
        tonic::include_proto!("berth.replica.v1");
    }
}

/// The journal of a running scheduler, for those who copy it.
pub mod journal {
    /// Its first version.
    pub mod v1 {
        tonic::include_proto!("berth.journal.v1");
    }
}

/// How agents and gateways come to their certificates.
pub mod trust {
    /// Its first version.
    pub mod v1 {
        tonic::include_proto!("berth.trust.v1");
    }
}

/// What the gRPC API adds to ECS's.
pub mod v1 {
    tonic::include_proto!("berth.v1");
}

/// A list or map that is `null` in JSON counts as absent, as it does for every other member.
fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
