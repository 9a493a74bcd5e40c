//! The gateways' streams: who is there, which endpoints each is told, what each says of the targets.
//!
//! One task a stream. Each record says which services it touched, and what the published state has of them goes out.
//! What gateways say, those at other schedulers included (`sharing`), is weighed together (`targets`); what follows from it
//! is recorded by [`crate::drive::targets`].

pub(crate) mod endpoints;
mod hearing;
pub(crate) mod loads;
mod session;
pub(crate) mod sharing;
mod streams;
pub(crate) mod targets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_model::arn::Namespace;
use berth_model::id::TaskId;
use berth_model::name::ServiceName;
use berth_proto::gateway::v1::gateway_link_server::GatewayLink;
use berth_proto::gateway::v1::{GatewayMessage, SchedulerMessage};
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ReplicaId, ServiceKey, TaskKey};
use berth_scheduler_core::state::State;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::engine::{Engine, Observer};
use crate::replicas::Replicas;
use crate::trust::Trust;
use crate::trust::door::Door;
use hearing::Hearing;
use loads::GroupLoads;
pub(crate) use loads::Load;
use loads::Loads;
use sharing::Listeners;
use streams::Via;
use targets::{Said, Targets, Verdict};

/// How long a gateway stays that was let go and came back: the others would not have it.
const STAYS: Duration = Duration::from_secs(3600);
/// Messages that may wait for one gateway.
const OUTBOX: usize = 16;

/// The streams that are there now, and what gateways have said.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    /// Something was said, or a target is to leave.
    pub(crate) wake: Notify,
}

#[derive(Debug)]
struct Inner {
    sessions: HashMap<GatewayKey, Handle>,
    targets: Targets,
    loads: Loads,
    /// Targets of which something was said since that was last looked at.
    dirty: BTreeMap<ClusterKey, BTreeSet<TaskId>>,
    /// Other schedulers that this one tells.
    listeners: Listeners,
    /// Other schedulers that this one hears.
    hearing: Hearing,
    /// When gateways were let go last, for other schedulers to have.
    let_go: HashMap<GatewayKey, Instant>,
}

/// A gateway: its cluster, and the id that it chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GatewayKey {
    pub(crate) cluster: ClusterKey,
    pub(crate) id: Arc<str>,
}

/// A live stream, seen from outside.
#[derive(Debug, Clone)]
struct Handle {
    changes: Arc<Changes>,
    /// Ends the session: another stream has taken its place.
    end: CancellationToken,
    /// Ends the session so that another scheduler has it; none where the gateway knows no other.
    let_go: Option<CancellationToken>,
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
        let inner = Inner {
            sessions: HashMap::new(),
            targets: Targets::default(),
            loads: Loads::default(),
            dirty: BTreeMap::new(),
            listeners: Listeners::default(),
            hearing: Hearing::since(Instant::now()),
            let_go: HashMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
            wake: Notify::new(),
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
        inner.targets.streams.arrive(key, Via::Here);
        inner.loads.streams.arrive(key, Via::Here);
        inner.listeners.moved(key);
        if let Some(old) = inner.sessions.insert(key.clone(), handle) {
            old.end.cancel();
        }
    }

    /// The stream has ended, unless another is there already.
    fn leave(&self, key: &GatewayKey, handle: &Handle) {
        let mut inner = self.lock();
        if inner.remove(key, handle) {
            let now = Instant::now();
            inner.targets.streams.leave(key, Via::Here, now);
            inner.loads.streams.leave(key, Via::Here, now);
            inner.listeners.moved(key);
        }
    }

    /// The same of a gateway that forwards nothing any more.
    fn part(&self, key: &GatewayKey, handle: &Handle) {
        let mut inner = self.lock();
        if inner.remove(key, handle) {
            inner.loads.part(key);
            let lapsed = inner.targets.part(key);
            inner.dirty.entry(key.cluster).or_default().extend(lapsed);
            inner.listeners.moved(key);
            self.wake.notify_one();
        }
    }

    /// Takes in what a gateway says.
    fn hear(&self, key: &GatewayKey, said: Vec<Said>) {
        let mut inner = self.lock();
        let tasks: BTreeSet<TaskId> = said.iter().map(|one| one.task).collect();
        for one in said {
            inner.targets.hear(key, Via::Here, one);
        }
        inner.listeners.said(key, &tasks);
        inner.dirty.entry(key.cluster).or_default().extend(tasks);
        self.wake.notify_one();
    }

    /// Takes in what goes through a gateway.
    fn hear_load(&self, key: &GatewayKey, loads: GroupLoads) {
        let mut inner = self.lock();
        inner.loads.hear(key, Via::Here, loads);
        inner.listeners.loaded(key);
    }

    /// What goes to the targets of these groups; nothing where no gateway has told. Whether all gateways are known is for
    /// [`Self::hears_all`] to say.
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

    /// What all gateways that are known say together of a task, as a target of these groups.
    pub(crate) fn verdict<'g>(&self, key: TaskKey, groups: impl Iterator<Item = &'g str>) -> Verdict {
        self.lock().targets.verdict(key, groups)
    }

    /// Ends all streams.
    pub(crate) fn end_all(&self) {
        for handle in self.lock().sessions.values() {
            handle.end.cancel();
        }
    }

    /// How many streams are here.
    pub(crate) fn streams(&self) -> u32 {
        u32::try_from(self.lock().sessions.len()).unwrap_or(u32::MAX)
    }

    /// How many each other scheduler has that is heard.
    pub(crate) fn streams_of_others(&self) -> BTreeMap<ReplicaId, u32> {
        self.lock().hearing.gateways()
    }

    /// Ends some streams, for others to have: of those that have not come back from that.
    pub(crate) fn let_go(&self, count: u32) {
        let mut inner = self.lock();
        let Inner { sessions, let_go, .. } = &mut *inner;
        let_go.retain(|_, at| at.elapsed() < STAYS);
        let mut left = count;
        for (key, handle) in sessions.iter() {
            if left == 0 {
                return;
            }
            if let Some(go) = &handle.let_go
                && !let_go.contains_key(key)
            {
                go.cancel();
                let_go.insert(key.clone(), Instant::now());
                left -= 1;
            }
        }
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
        | Change::ClusterUpdated { .. }
        | Change::ClusterDeleted { .. }
        | Change::AccountSettingSet { .. }
        | Change::CapacityProviderSet { .. }
        | Change::CapacityProviderDeleted { .. }
        | Change::ClusterProvidersSet { .. }
        | Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::DefinitionDeletionRequested { .. }
        | Change::DefinitionsForgotten { .. }
        | Change::TagsSet { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceStatusSet { .. }
        | Change::InstanceAttributesSet { .. }
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
        | Change::ScheduleDeleted { .. }
        | Change::SessionOpened { .. }
        | Change::SessionEnded { .. }
        | Change::EventsDelivered { .. }
        | Change::JoinTokenPut { .. }
        | Change::JoinTokenDeleted { .. }
        | Change::MemberEnrolled { .. }
        | Change::MemberRemoved { .. }
        | Change::OperatorCertified { .. }
        | Change::AccessKeyPut { .. }
        | Change::AccessKeyDeleted { .. } => Vec::new(),
    }
}

/// The gRPC service that gateways dial.
#[derive(Debug)]
pub struct Link {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
    replicas: Arc<Replicas>,
    trust: Option<Arc<Trust>>,
}

impl Link {
    /// A service over the engine; its streams end when `shutdown` is cancelled. Where somebody is trusted each gateway speaks
    /// for itself only.
    #[must_use]
    pub fn new(
        engine: Engine,
        registry: Arc<Registry>,
        namespace: Arc<Namespace>,
        shutdown: CancellationToken,
        replicas: Arc<Replicas>,
        trust: Option<Arc<Trust>>,
    ) -> Self {
        Self {
            engine,
            registry,
            namespace,
            shutdown,
            replicas,
            trust,
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
        let door = Door::of(self.trust.as_ref(), request.extensions().get());
        let session = session::Session::new(self, door, request.into_inner(), outbox);
        // The task ends with its stream: by the gateway, by silence, by a newer stream, or at shutdown.
        tokio::spawn(session.run());
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
