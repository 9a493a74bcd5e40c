//! The stream to a scheduler: connects, keeps alive, notices silence, and connects anew.
//!
//! It carries messages and understands only those that concern the stream itself. Heartbeats go out from a task of
//! their own, so that they do not depend on what the driver or Docker is doing.

pub(crate) mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_daemon::{Backoff, any_of, chain};
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::{
    AgentMessage, Heartbeat, Refusal, SchedulerMessage, Welcome, agent_message, scheduler_message,
};
use berth_tls::{ConnectError, JoinError, Membership, connect};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::event::{Event, Session};
use crate::host;
use crate::vitals::Instruments;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts where somebody must do something first.
const UNTIL_SOMEBODY_ACTS: Duration = Duration::from_secs(15);
/// For the Welcome or the Refusal.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Intervals of silence after which the scheduler counts as gone.
const SILENCE: u32 = 3;
/// Messages that wait to be sent; the driver merges what does not fit.
const OUTBOUND: usize = 64;
/// A complete set of assignments comes in one message.
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("the scheduler ended the stream: {0}")]
    Status(tonic::Status),
    #[error("the scheduler closed the stream")]
    Closed,
    #[error("the scheduler said nothing for {0:?}")]
    Silent(Duration),
    #[error("the scheduler began with something else than Welcome or Refusal")]
    Unexpected,
    #[error("the agent is stopping")]
    DriverGone,
}

/// How a stream went.
enum Ended {
    /// The scheduler had us, for a while.
    After(LinkError),
    /// It would not have us.
    Refused(Refusal),
    /// We closed it.
    Closed,
}

/// To whom the streams lead, and who begins them.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Tried in turn, from any of them on.
    pub(crate) schedulers: Vec<Endpoint>,
    /// Under which other hosts reach this one, where the operator says so.
    pub(crate) address: Option<IpAddr>,
    /// What it shows, where schedulers are dialled over TLS.
    pub(crate) membership: Option<Arc<Membership>>,
    /// What says why there is no stream.
    pub(crate) instruments: Arc<Instruments>,
}

/// Keeps a stream to one of the schedulers until told to stop.
pub(crate) async fn run(ends: Ends, events: mpsc::Sender<Event>, stop: CancellationToken) {
    let Ends {
        schedulers,
        address,
        membership,
        instruments,
    } = ends;
    let membership = membership.as_ref();
    let mut backoff = Backoff::default();
    let in_turn = schedulers.iter().cycle().skip(any_of(schedulers.len()));
    for (number, endpoint) in (1_u64..).zip(in_turn) {
        let scheduler = endpoint.uri().to_string();
        let close = stop.child_token();
        let session = tokio::select! {
            () = stop.cancelled() => return,
            session = open((endpoint, membership), address, (number, schedulers.len()), (&events, &close)) => session,
        };
        let ended = match session {
            Ok(stream) => converse((stream, membership), number, &scheduler, &events, &close).await,
            Err(error) => Err(error),
        };
        close.cancel();
        if events.send(Event::LinkDown(number)).await.is_err() || stop.is_cancelled() {
            return;
        }
        if let Some(reason) = reason(&ended) {
            instruments.refused(reason);
        }
        let pause = match ended {
            Ok(Ended::Closed) => backoff.next_pause(),
            Ok(Ended::After(error)) => {
                tracing::warn!(
                    scheduler,
                    error = chain(&error),
                    "stream to the scheduler broke off; connecting again"
                );
                backoff = Backoff::default();
                backoff.next_pause()
            }
            Ok(Ended::Refused(refusal)) => {
                tracing::error!(
                    scheduler,
                    fault = refusal.fault,
                    message = refusal.message,
                    "the scheduler refuses this agent"
                );
                Duration::from_millis(u64::from(refusal.retry_after_ms)).max(backoff.next_pause())
            }
            Err(LinkError::Join(error)) if error.needs_somebody() => {
                // The reason is in the text: a plain `journalctl` shows no fields, and here somebody has to act.
                let reason = chain(&error);
                tracing::error!(scheduler, "this host cannot join the cluster, trying again: {reason}");
                UNTIL_SOMEBODY_ACTS.max(backoff.next_pause())
            }
            Err(error) => {
                tracing::warn!(
                    scheduler,
                    error = chain(&error),
                    "scheduler cannot be reached; trying again"
                );
                backoff.next_pause()
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Why there is no stream, for who asks the agent; nothing where we closed it.
fn reason(ended: &Result<Ended, LinkError>) -> Option<String> {
    match ended {
        Ok(Ended::Closed) => None,
        Ok(Ended::After(error)) | Err(error) => Some(chain(error)),
        Ok(Ended::Refused(refusal)) => Some(format!("the scheduler refuses this agent: {}", refusal.message)),
    }
}

/// A stream that is open, before the scheduler has answered.
struct Open {
    channel: Channel,
    inbound: Streaming<SchedulerMessage>,
    outbound: mpsc::Sender<AgentMessage>,
}

async fn open(
    (endpoint, membership): (&Endpoint, Option<&Arc<Membership>>),
    address: Option<IpAddr>,
    (number, schedulers): (u64, usize),
    (events, close): (&mpsc::Sender<Event>, &CancellationToken),
) -> Result<Open, LinkError> {
    let channel: Channel = match membership {
        Some(membership) => membership.connect(endpoint, CONNECT_TIMEOUT).await?,
        None => connect(endpoint, None, CONNECT_TIMEOUT).await?,
    };
    let address = match address {
        Some(address) => Some(address),
        None => host::address::towards(endpoint).await,
    };
    let (outbound, receiver) = mpsc::channel(OUTBOUND);
    let session = Session {
        number,
        scheduler: endpoint.clone(),
        membership: membership.cloned(),
        schedulers: u32::try_from(schedulers).unwrap_or(u32::MAX),
        address,
        outbound: outbound.clone(),
        close: close.clone(),
    };
    events
        .send(Event::LinkUp(Box::new(session)))
        .await
        .map_err(|_| LinkError::DriverGone)?;
    // The stream ends properly when it is closed, whoever still holds a sender.
    let messages = ReceiverStream::new(receiver).take_until(close.clone().cancelled_owned());
    let mut client = AgentLinkClient::new(channel.clone()).max_decoding_message_size(LARGEST_MESSAGE);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.connect(messages)).await;
    let inbound = answer
        .map_err(|_| LinkError::Silent(ANSWER_TIMEOUT))?
        .map_err(LinkError::Status)?
        .into_inner();
    Ok(Open {
        channel,
        inbound,
        outbound,
    })
}

async fn converse(
    (stream, membership): (Open, Option<&Arc<Membership>>),
    number: u64,
    scheduler: &str,
    events: &mpsc::Sender<Event>,
    close: &CancellationToken,
) -> Result<Ended, LinkError> {
    let Open {
        channel,
        mut inbound,
        outbound,
    } = stream;
    let first = tokio::select! {
        () = close.cancelled() => return Ok(Ended::Closed),
        first = next(&mut inbound, ANSWER_TIMEOUT) => first?,
    };
    let welcome = match first {
        scheduler_message::Message::Welcome(welcome) => welcome,
        scheduler_message::Message::Refusal(refusal) => return Ok(Ended::Refused(refusal)),
        scheduler_message::Message::Heartbeat(_)
        | scheduler_message::Message::Assignments(_)
        | scheduler_message::Message::Recorded(_)
        | scheduler_message::Message::StopConfirmation(_)
        | scheduler_message::Message::Protection(_)
        | scheduler_message::Message::OpenSession(_)
        | scheduler_message::Message::Authorities(_) => return Err(LinkError::Unexpected),
    };
    let interval = interval(&welcome);
    tracing::info!(
        scheduler,
        instance = welcome.container_instance_arn,
        "joined the cluster"
    );
    let fresh = membership.map(|membership| {
        let membership = Arc::clone(membership);
        tokio::spawn(async move { membership.keep_fresh(channel).await })
    });
    let heartbeats = tokio::spawn(heartbeats(outbound, interval, close.clone()));
    let mut message = scheduler_message::Message::Welcome(welcome);
    let ended = loop {
        if let (scheduler_message::Message::Authorities(told), Some(membership)) = (&message, membership) {
            if let Err(error) = membership.trust(told) {
                tracing::warn!(error = chain(&error), "authorities of the cluster not taken over");
            }
        } else if events
            .send(Event::LinkMessage(number, Box::new(message)))
            .await
            .is_err()
        {
            break Ended::Closed;
        }
        tokio::select! {
            () = close.cancelled() => break Ended::Closed,
            received = next(&mut inbound, interval * SILENCE) => match received {
                Ok(received) => message = received,
                Err(error) => break Ended::After(error),
            },
        }
    };
    close.cancel();
    heartbeats.abort();
    if let Some(fresh) = fresh {
        fresh.abort();
    }
    Ok(ended)
}

/// The next message; silence, the end and what cannot be read are errors.
async fn next(
    inbound: &mut Streaming<SchedulerMessage>,
    patience: Duration,
) -> Result<scheduler_message::Message, LinkError> {
    loop {
        let received = tokio::time::timeout(patience, inbound.message()).await;
        let message = received
            .map_err(|_| LinkError::Silent(patience))?
            .map_err(LinkError::Status)?;
        // A message of a kind that this agent does not know yet is a sign of life all the same.
        if let Some(message) = message.ok_or(LinkError::Closed)?.message {
            return Ok(message);
        }
    }
}

async fn heartbeats(outbound: mpsc::Sender<AgentMessage>, interval: Duration, close: CancellationToken) {
    loop {
        tokio::select! {
            () = close.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let heartbeat = AgentMessage {
            message: Some(agent_message::Message::Heartbeat(Heartbeat {})),
        };
        // Where nothing fits, enough is on its way to show that we live.
        if let Err(mpsc::error::TrySendError::Closed(_)) = outbound.try_send(heartbeat) {
            return;
        }
    }
}

fn interval(welcome: &Welcome) -> Duration {
    Duration::from_millis(u64::from(welcome.heartbeat_interval_ms)).max(SHORTEST_INTERVAL)
}
