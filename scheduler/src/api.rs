//! The ECS API, and that of Application Auto Scaling: one list of operations with two thin mouths, gRPC and the ECS JSON protocol.
//!
//! An operation checks its request, submits at most one command, and describes the result from the published state.
//! It decides nothing. Only `faults` turns faults into wire errors.

mod autoscaling;
mod clusters;
mod definitions;
pub(crate) mod describe;
mod faults;
mod grpc;
mod instances;
mod json;
mod network;
mod operations;
mod page;
mod plan;
mod protection;
mod request;
mod schedules;
mod services;
mod tags;
mod targets;
mod tasks;
mod usage;

use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::fault::Fault;
use berth_model::id::ClusterName;
use berth_scheduler_core::command::{Command, Principal};

pub use grpc::{Additions, GrpcApi, name_fault};
pub use json::answer;

use tokio::sync::Semaphore;

use crate::drive::scaling::Watch;
use crate::engine::Engine;
use crate::nodes::Registry;

/// What every operation works with.
#[derive(Debug, Clone)]
pub struct Api {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    scaling: Arc<Watch>,
    /// Turns to make plans.
    planning: Arc<Semaphore>,
}

/// Who calls, as far as the mouth can tell.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Goes into the journal with what the call changes.
    pub principal: Principal,
}

impl Api {
    /// The API over an engine.
    #[must_use]
    pub fn new(engine: Engine, registry: Arc<Registry>, namespace: Arc<Namespace>, scaling: Arc<Watch>) -> Self {
        Self {
            engine,
            registry,
            namespace,
            scaling,
            planning: Arc::new(Semaphore::new(plan::AT_ONCE)),
        }
    }

    /// Why nothing can be changed at present, if that is so.
    #[must_use]
    pub fn cut_off(&self) -> Option<String> {
        self.engine.cut_off()
    }

    async fn submit<C: Command + 'static>(&self, command: C, caller: &Caller) -> Result<C::Outcome, Fault> {
        self.engine.submit(command, Principal::clone(&caller.principal)).await
    }

    fn cluster(&self, cluster: Option<&str>) -> Result<ClusterName, Fault> {
        self.namespace.parse_cluster(cluster)
    }
}
