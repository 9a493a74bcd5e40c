//! The ECS API, and that of Application Auto Scaling: one list of operations with two thin mouths, gRPC and the ECS JSON protocol.
//!
//! An operation checks its request, submits at most one command, and describes the result from the published state; one
//! that only reads sees one state from its beginning to its end, which may be one of the past.
//! It decides nothing. Only `faults` turns faults into wire errors.

mod access_keys;
mod account;
mod attributes;
mod authorize;
mod autoscaling;
mod call;
mod capacity;
mod clusters;
#[cfg(test)]
mod compatibility;
mod data_channel;
mod definitions;
pub(crate) mod describe;
mod events;
mod exec;
mod faults;
mod grpc;
mod history;
mod instances;
mod json;
mod logs;
mod network;
mod operations;
mod page;
mod plan;
mod protection;
mod refused;
mod request;
mod schedules;
mod services;
mod sessions;
mod signed;
mod submissions;
mod tags;
mod targets;
mod task_sets;
mod tasks;
mod trust;
mod usage;

use std::net::IpAddr;
use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::fault::Fault;
use berth_model::name::ClusterName;
use berth_scheduler_core::command::{Command, Principal};
use berth_scheduler_core::keys::ReplicaId;

pub use data_channel::{enter, session_of};
pub use events::server_sent;
pub(crate) use faults::status;
pub use grpc::{Additions, GrpcApi, admit, name_fault, refuse};
use http::request::Parts;
pub use json::answer;
use tokio::sync::Semaphore;
pub(crate) use usage::of_cluster as usage_of_cluster;

use self::call::Moment;
use self::signed::Signed;
use crate::auth::{self, Authenticator, Caller};
use crate::clock;
use crate::drive::scaling::Watch;
use crate::engine::{Engine, Past};
use crate::events::Events;
use crate::nodes::Registry;
use crate::sessions::Sessions;
use crate::trust::Trust;

/// What every operation works with.
#[derive(Debug, Clone)]
pub struct Api {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    scaling: Arc<Watch>,
    events: Arc<Events>,
    authenticator: Arc<Authenticator>,
    /// Whose certificates are believed; nobody is asked where the port speaks no TLS.
    trust: Option<Arc<Trust>>,
    /// Turns for what takes long: plans, and reading the journal for histories.
    planning: Arc<Semaphore>,
    past: Past,
    /// The scheduler that this is, where there are several.
    via: Option<ReplicaId>,
    sessions: Arc<Sessions>,
    /// What a read sees; a change sees the newest state.
    moment: Option<Moment>,
}

/// The rooms that operations ask, besides the engine.
#[derive(Debug)]
pub struct Rooms {
    /// The agents' streams.
    pub registry: Arc<Registry>,
    /// What is measured of services that are scaled.
    pub scaling: Arc<Watch>,
    /// States of the past.
    pub past: Past,
    /// What happens.
    pub events: Arc<Events>,
    /// Commands in containers, and logs.
    pub sessions: Arc<Sessions>,
}

impl Api {
    /// The API over an engine.
    #[must_use]
    pub fn new(engine: Engine, rooms: Rooms, authenticator: Authenticator) -> Self {
        let Rooms {
            registry,
            scaling,
            past,
            events,
            sessions,
        } = rooms;
        Self {
            engine,
            registry,
            namespace: Arc::clone(events.namespace()),
            scaling,
            events,
            authenticator: Arc::new(authenticator),
            trust: None,
            planning: Arc::new(Semaphore::new(plan::AT_ONCE)),
            past,
            via: None,
            sessions,
            moment: None,
        }
    }

    /// The same, with tokens and certificates of the authority that the port shows.
    #[must_use]
    pub fn trusting(self, trust: Option<Arc<Trust>>) -> Self {
        Self { trust, ..self }
    }

    /// The API of one of several schedulers.
    #[must_use]
    pub fn of_replica(self, via: Option<ReplicaId>) -> Self {
        Self { via, ..self }
    }

    /// Whether whoever sends a GET may read what the scheduler counts: everybody where nobody is asked who calls.
    ///
    /// # Errors
    /// Why not, as for any other call.
    pub fn may_read_metrics(&self, peer: IpAddr, parts: &Parts) -> Result<(), Fault> {
        match self.caller_of_get(peer, parts)? {
            Some(caller) => self.authorize("berth", "GetMetrics", &serde_json::Value::Null, &caller),
            None => Ok(()),
        }
    }

    /// Who sends a GET; nobody in particular where nobody is asked.
    fn caller_of_get(&self, peer: IpAddr, parts: &Parts) -> Result<Option<Caller>, Fault> {
        if !self.authenticator.is_required() {
            return Ok(None);
        }
        let signed = Signed::of(parts);
        let call = auth::Call {
            request: &signed.request(b""),
            wire: "http",
            address: peer,
            services: &["ecs"],
            writes: false,
            peer: parts.extensions.get(),
        };
        self.identify(&call).map(Some)
    }

    /// Who makes a call.
    ///
    /// # Errors
    /// Why its signature is not taken, where calls must be signed.
    fn identify(&self, call: &auth::Call<'_>) -> Result<Caller, Fault> {
        self.authenticator.identify(call, &self.engine.view(), clock::now())
    }

    async fn submit<C: Command + 'static>(&self, command: C, caller: &Caller) -> Result<C::Outcome, Fault> {
        self.engine.submit(command, Principal::clone(&caller.principal)).await
    }

    fn cluster(&self, cluster: Option<&str>) -> Result<ClusterName, Fault> {
        self.namespace.parse_cluster(cluster)
    }
}
