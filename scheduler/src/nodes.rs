//! The agents' streams: who is there, what each must run, what each says.
//!
//! One task a stream. What an agent must run is never kept here: each record says which tasks of which instances it
//! touched, and what the published state has of them goes out. Nothing here decides or writes state; what agents say
//! goes to the engine as commands.

mod assignments;
mod instruments;
pub(crate) mod others;
mod session;
mod usage;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_daemon::metrics::Page;
use berth_model::arn::Namespace;
use berth_model::fault::Fault;
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;
use berth_proto::agent::v1::agent_link_server::AgentLink;
use berth_proto::agent::v1::{AgentMessage, Conditions, OpenSession, SchedulerMessage, Usage};
use berth_proto::session::v1::{FromContainer, ToContainer, from_container};
use berth_scheduler_core::assign::{Touch, Touched, touched};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::decide::instance::SetConnection;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId};
use berth_scheduler_core::presence::{Correction, correction};
use berth_scheduler_core::state::State;
use berth_trust::{Member, Role};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::api::status;
use crate::clock;
use crate::engine::{Engine, Observer};
use crate::replicas::Replicas;
use crate::sessions::Sessions;
use crate::trust::Trust;
use crate::trust::door::Door;
use instruments::Instruments;
use others::Others;
pub(crate) use usage::{Container as ContainerTold, Sum, Told};

/// How often each side of a stream says something.
pub const HEARTBEAT: Duration = Duration::from_secs(4);
/// Silence after which an agent counts as gone: three heartbeats.
const SILENCE: Duration = Duration::from_secs(12);
/// How long a closed stream may take to come back before its instance is recorded as disconnected.
const RETURN: Duration = Duration::from_secs(2);
/// How long an agent stays that was let go and came back: the others would not have it.
const STAYS: Duration = Duration::from_secs(3600);
/// How long an agent that keeps no stream counts as there after a call.
const CALLED: Duration = Duration::from_secs(600);
/// Messages that may wait for one agent.
const OUTBOX: usize = 16;
/// Sessions that an agent may be about to be asked for.
const ASKED: usize = 16;
/// How long an agent that calls may take to say for which session.
const BEGIN: Duration = Duration::from_secs(10);

/// The streams that are there now.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: Mutex<HashMap<InstanceKey, Presence>>,
    /// What agents elsewhere say.
    others: Mutex<Others>,
    /// When agents without streams called last.
    callers: Mutex<HashMap<InstanceKey, Instant>>,
    instruments: Instruments,
}

/// What is known of an instance's stream.
#[derive(Debug)]
struct Presence {
    /// The stream, or when the last one ended.
    stream: Result<Handle, Instant>,
    /// What it told last; goes with the stream.
    usage: Option<(Arc<Told>, Instant)>,
    /// How the host is, and when its agent said so.
    conditions: Option<(Conditions, Timestamp)>,
    /// When it was let go last, for another scheduler to have.
    let_go: Option<Instant>,
}

impl Presence {
    fn conditions(&self) -> Option<(Conditions, Timestamp)> {
        self.stream.is_ok().then(|| self.conditions.clone()).flatten()
    }

    fn usage(&self) -> Option<(Arc<Told>, Duration)> {
        let (told, at) = self.usage.as_ref()?;
        Some((Arc::clone(told), at.elapsed()))
    }
}

/// A live stream, seen from outside.
#[derive(Debug, Clone)]
struct Handle {
    changes: Arc<Changes>,
    /// Ends the session: another stream has taken its place.
    end: CancellationToken,
    /// Ends the session so that another scheduler has it; none where the agent knows no other.
    let_go: Option<CancellationToken>,
    /// Sessions that it is asked for.
    sessions: mpsc::Sender<OpenSession>,
}

/// What has changed for an instance since its session last looked.
#[derive(Debug, Default)]
struct Changes {
    /// With when the first of it was touched.
    touched: Mutex<(Touched, Option<Instant>)>,
    wake: Notify,
}

impl Changes {
    fn add(&self, what: Touch) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.0.add(what);
        touched.1.get_or_insert_with(Instant::now);
        self.wake.notify_one();
    }

    fn take(&self) -> (Touched, Option<Instant>) {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceKey, Presence>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the new stream of an instance in the place of an old one, which ends.
    fn arrive(&self, key: InstanceKey, handle: Handle) {
        let mut sessions = self.lock();
        let presence = Presence {
            stream: Ok(handle),
            usage: None,
            conditions: None,
            let_go: sessions.get(&key).and_then(|before| before.let_go),
        };
        if let Some(Presence { stream: Ok(old), .. }) = sessions.insert(key, presence) {
            old.end.cancel();
        }
    }

    /// The stream has ended, unless another is there already.
    fn leave(&self, key: InstanceKey, handle: &Handle) {
        let mut sessions = self.lock();
        if let Some(presence) = sessions.get_mut(&key)
            && presence
                .stream
                .as_ref()
                .is_ok_and(|current| Arc::ptr_eq(&current.changes, &handle.changes))
        {
            presence.stream = Err(Instant::now());
            presence.usage = None;
        }
    }

    /// Keeps what an agent told, unless its stream has ended.
    fn put_usage(&self, key: InstanceKey, usage: Usage) {
        let told = Arc::new(Told::read(usage));
        if let Some(presence) = self.lock().get_mut(&key)
            && presence.stream.is_ok()
        {
            presence.usage = Some((told, Instant::now()));
        }
    }

    fn put_conditions(&self, key: InstanceKey, conditions: Conditions) {
        if let Some(presence) = self.lock().get_mut(&key) {
            presence.conditions = Some((conditions, clock::now()));
        }
    }

    /// How the host of a connected instance is, and when its agent said so.
    #[must_use]
    pub fn conditions(&self, key: InstanceKey) -> Option<(Conditions, Timestamp)> {
        let here = self.lock().get(&key).and_then(Presence::conditions);
        here.or_else(|| self.others().conditions(key))
    }

    /// The newest usage figures of a connected instance, and how old they are.
    pub(crate) fn usage(&self, key: InstanceKey) -> Option<(Arc<Told>, Duration)> {
        let here = self.lock().get(&key).and_then(Presence::usage);
        here.or_else(|| self.others().usage(key))
    }

    fn tell(&self, touches: impl Iterator<Item = (InstanceKey, Touch)>) {
        let sessions = self.lock();
        for (key, touch) in touches {
            if let Some(Ok(handle)) = sessions.get(&key).map(|presence| &presence.stream) {
                handle.changes.add(touch);
            }
        }
    }

    /// Asks the agent of an instance for a session; says whether its stream is here and takes that.
    pub(crate) fn ask(&self, key: InstanceKey, session: OpenSession) -> bool {
        match self.lock().get(&key).map(|presence| &presence.stream) {
            Some(Ok(handle)) => handle.sessions.try_send(session).is_ok(),
            Some(Err(_)) | None => false,
        }
    }

    /// Ends the stream of an instance.
    fn end(&self, key: InstanceKey) {
        if let Some(Ok(handle)) = self.lock().get(&key).map(|presence| &presence.stream) {
            handle.end.cancel();
        }
    }

    /// Ends all streams.
    fn end_all(&self) {
        for presence in self.lock().values() {
            if let Ok(handle) = &presence.stream {
                handle.end.cancel();
            }
        }
    }

    /// Tells how many streams are here, and what was counted of all.
    pub(crate) fn tell_figures(&self, page: &mut Page) {
        page.gauge("berth_agent_streams", "Agents that have a stream to this scheduler.")
            .only(self.streams().into());
        self.instruments.tell(page);
    }

    /// How many streams are here.
    pub(crate) fn streams(&self) -> u32 {
        let here = self.lock().values().filter(|presence| presence.stream.is_ok()).count();
        u32::try_from(here).unwrap_or(u32::MAX)
    }

    /// Ends some streams, for others to have: of those that have not come back from that.
    pub(crate) fn let_go(&self, count: u32) {
        let mut sessions = self.lock();
        let may_go = |presence: &&mut Presence| presence.let_go.is_none_or(|at| at.elapsed() >= STAYS);
        let mut left = count;
        for presence in sessions.values_mut().filter(may_go) {
            if left == 0 {
                return;
            }
            if let Ok(Handle { let_go: Some(go), .. }) = &presence.stream {
                go.cancel();
                presence.let_go = Some(Instant::now());
                left -= 1;
            }
        }
    }

    /// Notes that an agent which keeps no stream is there.
    pub(crate) fn called(&self, key: InstanceKey) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|_, at| at.elapsed() < CALLED);
        callers.insert(key, Instant::now());
    }

    /// Whether an agent that keeps no stream has called lately; nothing while it may be about to, after a start.
    fn has_called(&self, key: InstanceKey, started: Instant) -> Option<bool> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = callers.get(&key).is_some_and(|at| at.elapsed() < CALLED);
        (lately || started.elapsed() >= CALLED).then_some(lately)
    }

    /// Whether the instance's stream is there; nothing while it may be about to come back.
    fn is_connected(&self, key: InstanceKey, started: Instant) -> Option<bool> {
        let (gone_for, patience) = match self.lock().get(&key).map(|presence| &presence.stream) {
            Some(Ok(_)) => return Some(true),
            Some(Err(ended)) => (ended.elapsed(), RETURN),
            // After a start of the scheduler every agent gets the time to find it.
            None => (started.elapsed(), SILENCE),
        };
        (gone_for >= patience).then_some(false)
    }
}

impl Observer for Registry {
    fn published(&self, state: &State, record: &Record, _bytes: usize) {
        let changes = record.entries.iter().flat_map(|entry| &entry.changes);
        self.tell(changes.flat_map(|change| touched(state, change)));
    }
}

/// Brings what the state says of each instance's connection to what is the case. Runs until the engine is gone.
///
/// It looks at both sides each time: a stream that came back while its loss was being recorded is put right too.
pub async fn watch_presence(engine: Engine, registry: Arc<Registry>, replicas: Arc<Replicas>) {
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        if engine.cut_off().is_some() {
            // What agents say cannot be recorded here. Another scheduler may do better.
            registry.end_all();
            continue;
        }
        let state = engine.view();
        let wrong: Vec<SetConnection> = state
            .instances()
            .filter(|(_, instance)| instance.status != InstanceStatus::Inactive)
            .filter_map(|(key, instance)| {
                let known = (instance.connected, instance.via);
                let is_here = match instance.facts.is_by_calls() {
                    true => registry.has_called(key, started),
                    false => registry.is_connected(key, started),
                };
                match correction(replicas.own(), known, is_here, |other| replicas.is_gone(other)) {
                    Correction::Nothing => None,
                    Correction::EndStream => {
                        registry.end(key);
                        None
                    }
                    Correction::Say(connected, via) => Some(SetConnection { key, connected, via }),
                }
            })
            .collect();
        for set in wrong {
            let SetConnection { key, connected, .. } = set;
            tracing::warn!(instance = %key.instance, connected, "connection of an agent corrected");
            if let Err(fault) = engine.submit(set, "scheduler".into()).await {
                tracing::warn!(instance = %key.instance, error = %fault, "connection not recorded");
            }
        }
    }
}

/// The gRPC service that agents dial.
#[derive(Debug)]
pub struct Link {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
    via: Option<ReplicaId>,
    sessions: Arc<Sessions>,
    trust: Option<Arc<Trust>>,
}

/// Where streams lead, and how they end.
#[derive(Debug)]
pub struct Ends {
    /// Ends all of them.
    pub shutdown: CancellationToken,
    /// The scheduler that has them, where there are several.
    pub via: Option<ReplicaId>,
    /// For what agents call.
    pub sessions: Arc<Sessions>,
    /// Who may speak for whom: where somebody is trusted each agent speaks for its own instance only.
    pub trust: Option<Arc<Trust>>,
}

impl Link {
    /// A service over the engine.
    #[must_use]
    pub fn new(engine: Engine, registry: Arc<Registry>, namespace: Arc<Namespace>, ends: Ends) -> Self {
        let Ends {
            shutdown,
            via,
            sessions,
            trust,
        } = ends;
        Self {
            engine,
            registry,
            namespace,
            shutdown,
            via,
            sessions,
            trust,
        }
    }
}

#[tonic::async_trait]
impl AgentLink for Link {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let door = Door::of(self.trust.as_ref(), request.extensions().get());
        let session = session::Session::new(self, door, request.into_inner(), outbox);
        // The task ends with its stream: by the agent, by silence, by a newer stream, or at shutdown.
        // All that is logged meanwhile is of the instance, once it is known.
        let span = tracing::info_span!("agent", instance = Empty, cluster = Empty);
        tokio::spawn(session.run().instrument(span));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    type SessionStream = BoxStream<'static, Result<ToContainer, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FromContainer>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let door = Door::of(self.trust.as_ref(), request.extensions().get());
        let mut from = request.into_inner();
        let first = tokio::time::timeout(BEGIN, from.message()).await;
        let Ok(Ok(Some(FromContainer {
            message: Some(from_container::Message::Begin(begin)),
        }))) = first
        else {
            return Err(Status::invalid_argument(
                "The first message of a session must be its Begin.",
            ));
        };
        let speaks = |asked: InstanceKey| {
            let state = self.engine.view();
            let Some(cluster) = state.cluster_name(asked.cluster) else {
                return Err(Fault::invalid("The cluster of this session is gone."));
            };
            let member = Member {
                role: Role::Instance,
                cluster: cluster.clone(),
                id: asked.instance,
            };
            door.admit(&state, &member).map(drop)
        };
        let messages = self.sessions.called(&begin.session_id, from, speaks);
        let messages = messages.map_err(|fault| status(&fault))?;
        Ok(Response::new(ReceiverStream::new(messages).map(Ok).boxed()))
    }
}
