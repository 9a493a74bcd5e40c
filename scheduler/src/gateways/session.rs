//! One gateway's stream, from its Hello to its end.

use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_proto::gateway::v1::gateway_message::Message as FromGateway;
use berth_proto::gateway::v1::scheduler_message::Message as ToGateway;
use berth_proto::gateway::v1::{GatewayMessage, Heartbeat, Hello, SchedulerMessage, TargetReport};
use berth_trust::{Member, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::endpoints::{Place, Sent};
use super::targets::{Said, Saying};
use super::{Changes, GatewayKey, Handle, Link, Registry, loads};
use crate::engine::Engine;
use crate::replicas::Replicas;
use crate::replicas::shed::LET_GO;
use crate::trust::door::Door;

/// How often each side says something, and the silence after which a gateway counts as gone (gateway.proto).
const HEARTBEAT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(15);
/// How long a gateway may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How long a message may wait for a gateway that does not read.
const DELIVERY: Duration = Duration::from_secs(10);
/// Changes that come together are told together; the first after a pause goes at once.
const GATHER: Duration = Duration::from_millis(20);

/// The end of a stream, and whose doing it was.
enum End {
    /// The gateway closed it, or the connection broke.
    Closed,
    /// The gateway was silent for too long.
    Silent,
    /// The gateway does not read.
    Stuck,
    /// The gateway stops in good order.
    Goodbye,
    /// A newer stream took its place, or the scheduler stops.
    Superseded,
    /// Another scheduler is to have it.
    LetGo,
    /// Its certificate does not speak for it any more.
    Refused,
}

pub(super) struct Session {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
    replicas: Arc<Replicas>,
    door: Door,
    inbox: Streaming<GatewayMessage>,
    outbox: mpsc::Sender<Result<SchedulerMessage, Status>>,
}

/// A gateway that was let in.
struct Guest {
    member: Member,
    key: GatewayKey,
    cluster: ClusterName,
    handle: Handle,
    sent: Sent,
}

impl Session {
    pub(super) fn new(
        link: &Link,
        door: Door,
        inbox: Streaming<GatewayMessage>,
        outbox: mpsc::Sender<Result<SchedulerMessage, Status>>,
    ) -> Self {
        Self {
            engine: link.engine.clone(),
            registry: Arc::clone(&link.registry),
            namespace: Arc::clone(&link.namespace),
            shutdown: link.shutdown.clone(),
            replicas: Arc::clone(&link.replicas),
            door,
            inbox,
            outbox,
        }
    }

    pub(super) async fn run(mut self) {
        let hello = match timeout(INTRODUCTION, self.inbox.message()).await {
            Ok(Ok(Some(GatewayMessage {
                message: Some(FromGateway::Hello(hello)),
            }))) => hello,
            Ok(Ok(_)) => {
                let rule = "The first message of a gateway must be a Hello.";
                return self.refuse(Status::failed_precondition(rule)).await;
            }
            Ok(Err(_)) | Err(_) => return,
        };
        if let Some(reason) = self.engine.cut_off() {
            return self.refuse(Status::unavailable(reason)).await;
        }
        // Others let go of targets when all gateways have, those here included: they must know of this scheduler first.
        tokio::select! {
            () = self.shutdown.cancelled() => return,
            () = self.outbox.closed() => return,
            known = timeout(INTRODUCTION, self.replicas.is_known_to_others()) => if known.is_err() {
                let reason = "This scheduler has not told others that it is there.";
                return self.refuse(Status::unavailable(reason)).await;
            }
        }
        match self.receive(&hello) {
            Ok(mut guest) => {
                tracing::info!(gateway = hello.gateway_id, cluster = %guest.cluster, version = hello.version, "gateway connected");
                self.registry.arrive(&guest.key, guest.handle.clone());
                let end = self.attend(&mut guest).await;
                match end {
                    End::Goodbye => self.registry.part(&guest.key, &guest.handle),
                    End::Closed | End::Silent | End::Stuck | End::Superseded | End::LetGo | End::Refused => {
                        self.registry.leave(&guest.key, &guest.handle);
                    }
                }
                tracing::info!(
                    gateway = hello.gateway_id,
                    reason = end.reason(),
                    "gateway's stream ended"
                );
                if let End::LetGo = end {
                    self.refuse(Status::unavailable(LET_GO)).await;
                }
            }
            Err(fault) => {
                tracing::warn!(gateway = hello.gateway_id, error = %fault, "gateway refused");
                let refused = if fault.class == FaultClass::AccessDenied {
                    Status::permission_denied(fault.to_string())
                } else {
                    Status::invalid_argument(fault.to_string())
                };
                self.refuse(refused).await;
            }
        }
    }

    async fn refuse(&self, status: Status) {
        // It ends here either way.
        if self.outbox.send_timeout(Err(status), DELIVERY).await.is_err() {
            tracing::debug!("refusal not delivered");
        }
    }

    fn receive(&self, hello: &Hello) -> Result<Guest, Fault> {
        if hello.cluster.is_empty() {
            return Err(Fault::invalid(
                "cluster must be given: a gateway has no default cluster.",
            ));
        }
        let id = hello.gateway_id.as_str();
        let rule = |_| Fault::invalid("gateway_id must be 32 lower-case hexadecimal digits.");
        let member_id: InstanceId = id.parse().map_err(rule)?;
        let cluster = self.namespace.parse_cluster(Some(&hello.cluster))?;
        let member = Member {
            role: Role::Gateway,
            cluster: cluster.clone(),
            id: member_id,
        };
        self.door.admit(&self.engine.view(), &member)?;
        let key = GatewayKey {
            cluster: self.engine.view().active_cluster(&cluster)?.key,
            id: id.into(),
        };
        Ok(Guest {
            member,
            key,
            cluster,
            handle: Handle {
                changes: Arc::new(Changes::default()),
                end: self.shutdown.child_token(),
                let_go: (hello.schedulers > 1).then(CancellationToken::new),
            },
            sent: Sent::default(),
        })
    }

    async fn attend(&mut self, guest: &mut Guest) -> End {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let let_go = guest.handle.let_go.clone().unwrap_or_default();
        if let Err(end) = self.tell_authorities().await {
            return end;
        }
        let mut heard = Instant::now();
        let mut next_update = Some(Instant::now());
        let mut earliest = Instant::now();
        loop {
            let due = next_update.unwrap_or_else(|| Instant::now() + SILENCE);
            let step = tokio::select! {
                () = guest.handle.end.cancelled() => Err(End::Superseded),
                () = let_go.cancelled() => Err(End::LetGo),
                message = self.inbox.message() => match message {
                    Ok(Some(message)) => {
                        heard = Instant::now();
                        self.hear(guest, message)
                    }
                    Ok(None) | Err(_) => Err(End::Closed),
                },
                () = guest.handle.changes.wake.notified() => {
                    next_update = next_update.or(Some(earliest));
                    Ok(())
                }
                () = sleep_until(due), if next_update.is_some() => {
                    next_update = None;
                    earliest = Instant::now() + GATHER;
                    self.tell(guest).await
                }
                () = self.door.changed() => self.tell_authorities().await,
                _ = heartbeat.tick() => {
                    let admitted = self.door.admit(&self.engine.view(), &guest.member).map(drop);
                    if let Err(fault) = admitted {
                        // It ended, or an operator removed the member, while the stream was there.
                        tracing::warn!(gateway = &*guest.key.id, error = %fault, "gateway refused");
                        Err(End::Refused)
                    } else if heard.elapsed() > SILENCE {
                        Err(End::Silent)
                    } else {
                        self.send(ToGateway::Heartbeat(Heartbeat {})).await
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn tell_authorities(&self) -> Result<(), End> {
        match self.door.authorities() {
            Some(authorities) => self.send(ToGateway::Authorities(authorities)).await,
            None => Ok(()),
        }
    }

    /// Sends what the gateway does not know.
    async fn tell(&self, guest: &mut Guest) -> Result<(), End> {
        // What is touched from here on is looked at the next time; the state has all that is touched already.
        let touched = guest.handle.changes.take();
        let state = self.engine.view();
        let place = Place {
            state: &state,
            key: guest.key.cluster,
            cluster: &guest.cluster,
            namespace: &self.namespace,
        };
        match guest.sent.update(&place, &touched) {
            None => Ok(()),
            Some(endpoints) => self.send(ToGateway::Endpoints(endpoints)).await,
        }
    }

    fn hear(&self, guest: &Guest, message: GatewayMessage) -> Result<(), End> {
        match message.message {
            Some(FromGateway::Reports(reports)) => {
                let read = |report: TargetReport| self.read(guest, report);
                let said = reports.targets.into_iter().filter_map(read).collect();
                self.registry.hear(&guest.key, said);
                Ok(())
            }
            Some(FromGateway::Load(report)) => {
                self.registry.hear_load(&guest.key, loads::read(report));
                Ok(())
            }
            Some(FromGateway::Goodbye(_)) => Err(End::Goodbye),
            Some(FromGateway::Hello(_) | FromGateway::Heartbeat(_)) | None => Ok(()),
        }
    }

    /// What one report says. One that cannot be read must not keep the others from being heard.
    fn read(&self, guest: &Guest, report: TargetReport) -> Option<Said> {
        let Some(saying) = Saying::read(report.state(), &report.reason) else {
            tracing::warn!(
                gateway = &*guest.key.id,
                state = report.state,
                "report of an unknown state ignored"
            );
            return None;
        };
        match self.namespace.parse_task(&guest.cluster, &report.task) {
            Ok(task) => Some(Said {
                task,
                group: report.target_group.into(),
                saying,
            }),
            Err(fault) => {
                tracing::warn!(gateway = &*guest.key.id, error = %fault, "report ignored");
                None
            }
        }
    }

    async fn send(&self, message: ToGateway) -> Result<(), End> {
        let message = SchedulerMessage { message: Some(message) };
        match self.outbox.send_timeout(Ok(message), DELIVERY).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(End::Closed),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(End::Stuck),
        }
    }
}

impl End {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Stuck => "does not read",
            Self::Goodbye => "goodbye",
            Self::Superseded => "superseded",
            Self::LetGo => "another scheduler is to have it",
            Self::Refused => "refused",
        }
    }
}
