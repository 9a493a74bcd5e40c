//! Sessions with agents whose streams other schedulers have: that one asks its agent, and what passes is handed on unchanged.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use berth_daemon::chain;
use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_proto::agent::v1::OpenSession;
use berth_proto::replica::v1::from_asker::Message;
use berth_proto::replica::v1::session_link_client::SessionLinkClient;
use berth_proto::replica::v1::session_link_server::SessionLink;
use berth_proto::replica::v1::{Call, FromAsker};
use berth_proto::session::v1::FromContainer;
use berth_scheduler_core::decide::session::not_connected;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ReplicaId};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{CALL, Pipe, Sessions, TO_AGENT};
use crate::replicas::Replicas;
use crate::replicas::dial::{There, must_be_scheduler};
use crate::trust::Trust;

/// How long the other scheduler may take: it waits for its agent.
const ANSWER: Duration = Duration::from_secs(CALL.as_secs() + 2);
/// How long who dials may take to say what it wants.
const FIRST: Duration = Duration::from_secs(5);
/// Sessions at a time that are carried for others: commands, and containers whose logs are read.
const CARRIED: usize = 1000;

/// The other schedulers, as those that are asked.
#[derive(Debug)]
pub struct Others {
    replicas: Arc<Replicas>,
    trust: Option<Arc<Trust>>,
}

impl Others {
    /// Those that share the journal, reached over TLS where somebody is trusted.
    #[must_use]
    pub fn new(replicas: Arc<Replicas>, trust: Option<Arc<Trust>>) -> Self {
        Self { replicas, trust }
    }

    /// Whether it is another scheduler.
    pub(super) fn includes(&self, replica: ReplicaId) -> bool {
        self.replicas.own().is_some_and(|own| own != replica)
    }

    /// Asks the agent of an instance through the scheduler that has its stream.
    ///
    /// # Errors
    /// `TargetNotConnectedException` where that scheduler is not reached, or does not reach the agent.
    pub(super) async fn call(&self, via: ReplicaId, key: InstanceKey, session: OpenSession) -> Result<Pipe, Fault> {
        let carried = tokio::time::timeout(ANSWER, self.carry(via, key, session)).await;
        let pipe = carried.unwrap_or_else(|_| Err(format!("it did not answer within {} s", ANSWER.as_secs())));
        pipe.map_err(|reason| {
            not_connected(&format!(
                "The agent of container instance {} has its stream with scheduler {via}: {reason}.",
                key.instance
            ))
        })
    }

    async fn carry(&self, via: ReplicaId, key: InstanceKey, session: OpenSession) -> Result<Pipe, String> {
        let (Some(own), Some(address)) = (self.replicas.own(), self.replicas.others().remove(&via)) else {
            return Err("it is not there".to_owned());
        };
        let there = There {
            address,
            trust: self.trust.clone(),
        };
        let channel = there.connect().await.map_err(|error| chain(&error))?;
        let call = Call {
            asker: own.0,
            asked: via.0,
            cluster: key.cluster.0,
            instance: key.instance.to_bits().to_be_bytes().to_vec(),
            session: Some(session),
        };
        let (to, passed) = mpsc::channel(TO_AGENT);
        let passed = ReceiverStream::new(passed).map(Message::Passed);
        let messages = stream::iter([Message::Call(call)]).chain(passed);
        let messages = messages.map(|message| FromAsker { message: Some(message) });
        let answer = SessionLinkClient::new(channel).carry(messages).await;
        let from = answer.map_err(|status| status.message().trim_end_matches('.').to_owned())?;
        Ok(Pipe {
            to,
            from: from.into_inner(),
        })
    }
}

/// The gRPC service that other schedulers dial.
#[derive(Debug)]
pub struct Link {
    sessions: Arc<Sessions>,
    turns: Arc<Semaphore>,
    /// Whether askers must show that they are schedulers of the cluster.
    asks: bool,
}

impl Link {
    /// Carries the sessions of others to agents that have their streams here. Askers are asked for a certificate where `asks`
    /// says so.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, asks: bool) -> Self {
        Self {
            sessions,
            turns: Arc::new(Semaphore::new(CARRIED)),
            asks,
        }
    }
}

#[tonic::async_trait]
impl SessionLink for Link {
    type CarryStream = Pin<Box<dyn Stream<Item = Result<FromContainer, Status>> + Send>>;

    async fn carry(&self, request: Request<Streaming<FromAsker>>) -> Result<Response<Self::CarryStream>, Status> {
        must_be_scheduler(self.asks, request.extensions()).inspect_err(|_| {
            let from = request.remote_addr();
            tracing::warn!(?from, "who asks for a session has shown no certificate of a scheduler");
        })?;
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "It carries {CARRIED} sessions for others already."
            )));
        };
        let mut asker = request.into_inner();
        let first = tokio::time::timeout(FIRST, asker.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("Nothing was asked for."))??;
        let (key, session) = read(first, self.sessions.others.replicas.own())?;
        let pipe = self.sessions.call_here(key, session).await;
        let Pipe { to, from } = pipe.map_err(|fault| Status::unavailable(fault.message))?;
        tokio::spawn(async move {
            // Ends when the asker or the agent is gone; the agent then finds nobody at the other end.
            while let Ok(Some(FromAsker {
                message: Some(Message::Passed(message)),
            })) = asker.message().await
            {
                if to.send(message).await.is_err() {
                    return;
                }
            }
        });
        let shutdown = self.sessions.shutdown().clone();
        let passed = from.take_until(shutdown.cancelled_owned()).inspect(move |_| {
            // Somebody else's turn when the last is passed.
            let _held = &turn;
        });
        Ok(Response::new(Box::pin(passed)))
    }
}

/// What is asked for of the scheduler `own`.
fn read(first: Option<FromAsker>, own: Option<ReplicaId>) -> Result<(InstanceKey, OpenSession), Status> {
    let Some(Message::Call(call)) = first.and_then(|first| first.message) else {
        return Err(Status::invalid_argument("The first message must be a Call."));
    };
    let asked = ReplicaId(call.asked);
    if own != Some(asked) {
        return Err(Status::failed_precondition(format!(
            "Scheduler {asked} is not here: its address has become another's."
        )));
    }
    let instance = <[u8; 16]>::try_from(&call.instance[..])
        .map_err(|_| Status::invalid_argument("An instance has sixteen bytes."))?;
    let key = InstanceKey {
        cluster: ClusterKey(call.cluster),
        instance: InstanceId::from_bits(u128::from_be_bytes(instance)),
    };
    let session = call
        .session
        .ok_or_else(|| Status::invalid_argument("No session is asked for."))?;
    Ok((key, session))
}
