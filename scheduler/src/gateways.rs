//! The gateways' streams: who is there, which endpoints each is told, what each says of the targets.
//!
//! One task a stream. Each record says which services it touched, and what the published state has of them goes out.
//! What gateways say is weighed together (`targets`); what follows from it is recorded by [`crate::drive::targets`].

pub(crate) mod endpoints;
mod loads;
mod session;
pub(crate) mod targets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use berth_model::arn::Namespace;
use berth_model::id::{ServiceName, TaskId};
use berth_proto::gateway::v1::gateway_link_server::GatewayLink;
use berth_proto::gateway::v1::{GatewayMessage, SchedulerMessage};
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey, TaskKey};
use berth_scheduler_core::state::State;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::engine::{Engine, Observer};
use loads::Loads;
pub(crate) use loads::{GroupLoad, GroupLoads, Load};
use targets::{Said, Targets, Verdict};

/// Messages that may wait for one gateway.
const OUTBOX: usize = 16;

/// The streams that are there now, and what gateways have said.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    /// Something was said, or a target is to leave.
    pub(crate) wake: Notify,
    started: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<GatewayKey, Handle>,
    targets: Targets,
    loads: Loads,
    /// Targets of which something was said since that was last looked at.
    dirty: BTreeMap<ClusterKey, BTreeSet<TaskId>>,
}

/// A gateway: its cluster, and the id that it chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GatewayKey {
    cluster: ClusterKey,
    id: Arc<str>,
}

/// A live stream, seen from outside.
#[derive(Debug, Clone)]
struct Handle {
    changes: Arc<Changes>,
    /// Ends the session: another stream has taken its place.
    end: CancellationToken,
}

/// The services that have changed since a session last looked.
#[derive(Debug, Default)]
struct Changes {
    services: Mutex<BTreeSet<ServiceName>>,
    wake: Notify,
}

impl Changes {
    fn add(&self, service: ServiceName) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.insert(service);
        self.wake.notify_one();
    }

    fn take(&self) -> BTreeSet<ServiceName> {
        std::mem::take(&mut *self.services.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Removes the stream, unless another is there already; says whether it did.
    fn remove(&mut self, key: &GatewayKey, handle: &Handle) -> bool {
        let current = self.sessions.get(key);
        let is_current = current.is_some_and(|current| Arc::ptr_eq(&current.changes, &handle.changes));
        if is_current {
            self.sessions.remove(key);
        }
        is_current
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            started: Instant::now(),
        }
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the new stream of a gateway in the place of an old one, which ends.
    fn arrive(&self, key: &GatewayKey, handle: Handle) {
        let mut inner = self.lock();
        inner.targets.arrive(key);
        inner.loads.arrive(key);
        if let Some(old) = inner.sessions.insert(key.clone(), handle) {
            old.end.cancel();
        }
    }

    /// The stream has ended, unless another is there already.
    fn leave(&self, key: &GatewayKey, handle: &Handle) {
        let mut inner = self.lock();
        if inner.remove(key, handle) {
            let now = Instant::now();
            inner.targets.leave(key, now);
            inner.loads.leave(key, now);
        }
    }

    /// The same of a gateway that forwards nothing any more.
    fn part(&self, key: &GatewayKey, handle: &Handle) {
        let mut inner = self.lock();
        if inner.remove(key, handle) {
            inner.loads.part(key);
            let lapsed = inner.targets.part(key);
            inner.dirty.entry(key.cluster).or_default().extend(lapsed);
            self.wake.notify_one();
        }
    }

    /// Takes in what a gateway says.
    fn hear(&self, key: &GatewayKey, said: Vec<Said>) {
        let mut inner = self.lock();
        for one in said {
            inner.dirty.entry(key.cluster).or_default().insert(one.task);
            inner.targets.hear(key, one);
        }
        self.wake.notify_one();
    }

    /// Takes in what goes through a gateway.
    fn hear_load(&self, key: &GatewayKey, loads: GroupLoads) {
        self.lock().loads.hear(key, loads);
    }

    /// What goes to the targets of these groups; nothing where no gateway has told.
    pub(crate) fn load(&self, cluster: ClusterKey, groups: &[&str]) -> Option<Load> {
        self.lock().loads.of(cluster, groups)
    }

    /// The targets of which something was said since this was last asked.
    pub(crate) fn take_dirty(&self) -> BTreeMap<ClusterKey, BTreeSet<TaskId>> {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.loads.forget(now);
        let lapsed = inner.targets.forget(now);
        for (cluster, task) in lapsed {
            inner.dirty.entry(cluster).or_default().insert(task);
        }
        std::mem::take(&mut inner.dirty)
    }

    /// What all gateways together say of a task, as a target of these groups.
    pub(crate) fn verdict<'g>(&self, key: TaskKey, groups: impl Iterator<Item = &'g str>) -> Verdict {
        self.lock().targets.verdict(key, groups, self.started, Instant::now())
    }

    /// Drops what was said of targets that are none any more.
    pub(crate) fn retain(&self, is_target: impl Fn(TaskKey) -> bool) {
        self.lock().targets.retain(is_target);
    }
}

impl Observer for Registry {
    fn published(&self, state: &State, record: &Record, _bytes: usize) {
        if !state.has_services() {
            return;
        }
        let changes = || record.entries.iter().flat_map(|entry| &entry.changes);
        let leaves = |change: &Change| {
            matches!(
                change,
                Change::TaskStopRequested {
                    deregister_by: Some(_),
                    ..
                }
            )
        };
        if changes().any(leaves) {
            self.wake.notify_one();
        }
        let inner = self.lock();
        if inner.sessions.is_empty() {
            return;
        }
        let touched: BTreeSet<ServiceKey> = changes().flat_map(|change| touched(state, change)).collect();
        for service in touched {
            let of_cluster = inner.sessions.iter().filter(|(key, _)| key.cluster == service.cluster);
            for (_, handle) in of_cluster {
                handle.changes.add(service.service.clone());
            }
        }
    }
}

/// The services whose endpoints a change may alter.
fn touched(state: &State, change: &Change) -> Vec<ServiceKey> {
    let of_task = |cluster: ClusterKey, task: TaskId| {
        let task = state.task(TaskKey { cluster, task })?;
        task.launch.service_key(cluster)
    };
    match change {
        Change::TaskStopRequested { cluster, task, .. }
        | Change::TaskObserved { cluster, task, .. }
        | Change::TargetHealthSet { cluster, task, .. } => of_task(*cluster, *task).into_iter().collect(),
        Change::TargetsRegistered { cluster, tasks } | Change::TargetsDeregistered { cluster, tasks } => {
            tasks.iter().filter_map(|task| of_task(*cluster, *task)).collect()
        }
        // It may have another address.
        Change::InstanceRegistered { cluster, instance, .. } => {
            let key = InstanceKey {
                cluster: *cluster,
                instance: *instance,
            };
            let tasks = state.live_tasks_on(key);
            tasks.filter_map(|task| task.launch.service_key(*cluster)).collect()
        }
        Change::ServiceCreated { cluster, service, .. }
        | Change::ServiceUpdated { cluster, service, .. }
        | Change::ServiceDeleted { cluster, service }
        | Change::ServiceInactive { cluster, service, .. } => vec![ServiceKey {
            cluster: *cluster,
            service: service.clone(),
        }],
        Change::ServicesForgotten { cluster, services } => {
            let key = |service: &ServiceName| ServiceKey {
                cluster: *cluster,
                service: service.clone(),
            };
            services.iter().map(key).collect()
        }
        // A step changes its deployments, which share the traffic.
        Change::ServiceStepped {
            cluster,
            service,
            deployments,
            ..
        } => {
            let key = ServiceKey {
                cluster: *cluster,
                service: service.clone(),
            };
            if deployments.is_empty() { Vec::new() } else { vec![key] }
        }
        Change::ClusterCreated { .. }
        | Change::ClusterDeleted { .. }
        | Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceStatusSet { .. }
        | Change::TasksPlaced { .. }
        | Change::TasksQueued { .. }
        | Change::QueuedTasksPlaced { .. }
        | Change::QueuedTaskEnded { .. }
        | Change::TaskProtectionSet { .. }
        | Change::ServiceScalingSet { .. }
        | Change::ServiceScaled { .. }
        | Change::TasksForgotten { .. }
        | Change::ScheduleCreated { .. }
        | Change::ScheduleUpdated { .. }
        | Change::ScheduleRan { .. }
        | Change::ScheduleRetried { .. }
        | Change::ScheduleDeleted { .. } => Vec::new(),
    }
}

/// The gRPC service that gateways dial.
#[derive(Debug)]
pub struct Link {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
}

impl Link {
    /// A service over the engine; its streams end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(
        engine: Engine,
        registry: Arc<Registry>,
        namespace: Arc<Namespace>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            engine,
            registry,
            namespace,
            shutdown,
        }
    }
}

#[tonic::async_trait]
impl GatewayLink for Link {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let session = session::Session::new(self, request.into_inner(), outbox);
        // The task ends with its stream: by the gateway, by silence, by a newer stream, or at shutdown.
        tokio::spawn(session.run());
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
