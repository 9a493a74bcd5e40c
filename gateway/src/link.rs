//! The stream to a scheduler: connects, says who we are, keeps alive, notices silence, and connects anew.
//!
//! It folds what it is told into the table and publishes that; with the scheduler away the last table stays. It tells
//! how targets are by comparing what is with what it has told in this stream, so nothing has to be queued or repeated.

use std::sync::Arc;
use std::time::Duration;

use berth_daemon::{Backoff, any_of, chain};
use berth_proto::gateway::v1::gateway_link_client::GatewayLinkClient;
use berth_proto::gateway::v1::{
    Endpoints, GatewayMessage, Goodbye, Heartbeat, Hello, SchedulerMessage, TargetReports, gateway_message,
    scheduler_message,
};
use berth_proto::trust::v1::Authorities;
use berth_tls::{ConnectError, JoinError, Membership, connect};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::endpoints::Table;
use crate::report::{self, Loads, States};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts where somebody must do something first.
const UNTIL_SOMEBODY_ACTS: Duration = Duration::from_secs(15);
/// Without a message of ours the scheduler gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a message of its the scheduler counts as gone.
const SILENCE: Duration = Duration::from_secs(15);
/// Changes of targets that come together are told together.
const GATHER: Duration = Duration::from_millis(50);
/// How often the scheduler is told what goes to targets, where that changes.
const LOAD_EVERY: Duration = Duration::from_secs(5);
/// For the scheduler to take a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages that wait to be sent.
const OUTBOUND: usize = 16;
/// All endpoints of a cluster come in one message.
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

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
    #[error("the scheduler takes no messages")]
    Stuck,
    #[error("the scheduler began with changes; all endpoints must come first")]
    NotComplete,
}

/// Who speaks, and with whom.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) schedulers: Vec<Endpoint>,
    pub(crate) cluster: String,
    pub(crate) gateway_id: String,
    /// What it shows, where schedulers are dialled over TLS.
    pub(crate) membership: Option<Arc<Membership>>,
    /// What is known, for everybody here.
    pub(crate) table: watch::Sender<Arc<Table>>,
    /// How targets are.
    pub(crate) states: watch::Receiver<Arc<States>>,
    /// What goes to them.
    pub(crate) loads: watch::Receiver<Arc<Loads>>,
}

impl Link {
    /// Keeps a stream to one of the schedulers until told to stop, and says goodbye then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let schedulers = self.schedulers.clone();
        for endpoint in schedulers.iter().cycle().skip(any_of(schedulers.len())) {
            let scheduler = endpoint.uri().to_string();
            let mut joined = false;
            let Err(ended) = self.session(endpoint, &scheduler, &mut joined, &stop).await else {
                return;
            };
            let error = chain(&ended);
            let mut least = Duration::ZERO;
            if joined {
                backoff = Backoff::default();
                tracing::warn!(
                    scheduler,
                    error,
                    "stream to the scheduler broke off; going on with what is known"
                );
            } else if matches!(&ended, LinkError::Join(error) if error.needs_somebody()) {
                least = UNTIL_SOMEBODY_ACTS;
                // The reason is in the text: a plain `journalctl` shows no fields, and here somebody has to act.
                tracing::error!(scheduler, "this gateway cannot join the cluster, trying again: {error}");
            } else {
                tracing::warn!(scheduler, error, "scheduler cannot be used; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(least.max(backoff.next_pause())) => {}
            }
        }
    }

    /// One stream, up to its end; that is no error where it was told to stop.
    async fn session(
        &mut self,
        endpoint: &Endpoint,
        scheduler: &str,
        joined: &mut bool,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        let mut stream = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = self.open(endpoint) => opened?,
        };
        let mut told = States::new();
        let mut load = None;
        let mut next_load = Instant::now();
        loop {
            let heartbeat = stream.spoke + HEARTBEAT;
            tokio::select! {
                () = stop.cancelled() => return stream.farewell().await,
                received = stream.next() => match received? {
                    scheduler_message::Message::Endpoints(message) => {
                        if message.complete {
                            told.clear();
                        } else if !*joined {
                            return Err(LinkError::NotComplete);
                        }
                        if !std::mem::replace(joined, true) {
                            tracing::info!(scheduler, cluster = self.cluster, "joined the cluster");
                        }
                        self.fold(message);
                    }
                    scheduler_message::Message::Heartbeat(_) => {}
                    scheduler_message::Message::Authorities(told) => self.trust(&told),
                },
                // Nothing is told before the scheduler has said what there is.
                () = changed(&mut self.states), if *joined => {}
                () = sleep_until(next_load), if *joined => {
                    next_load = Instant::now() + LOAD_EVERY;
                    self.tell_load(&mut stream, &mut load).await?;
                }
                () = sleep_until(heartbeat) => {
                    stream.send(gateway_message::Message::Heartbeat(Heartbeat {})).await?;
                }
            }
            let now = Arc::clone(&self.states.borrow());
            let targets = report::news(&told, &now);
            if targets.is_empty() || !*joined {
                continue;
            }
            let reports = gateway_message::Message::Reports(TargetReports { targets });
            stream.send(reports).await?;
            told.clone_from(&now);
        }
    }

    /// Tells what goes to the targets, unless that is what was told last.
    async fn tell_load(&self, stream: &mut Stream, told: &mut Option<Arc<Loads>>) -> Result<(), LinkError> {
        let now = Arc::clone(&self.loads.borrow());
        if told.as_ref() == Some(&now) {
            return Ok(());
        }
        stream.send(gateway_message::Message::Load(report::load(&now))).await?;
        *told = Some(now);
        Ok(())
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Stream, LinkError> {
        let channel = match &self.membership {
            Some(membership) => membership.connect(endpoint, CONNECT_TIMEOUT).await?,
            None => connect(endpoint, None, CONNECT_TIMEOUT).await?,
        };
        let fresh = self.membership.as_ref().map(|membership| {
            let (membership, channel) = (Arc::clone(membership), channel.clone());
            AbortOnDrop(tokio::spawn(async move { membership.keep_fresh(channel).await }))
        });
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let hello = Hello {
            cluster: self.cluster.clone(),
            gateway_id: self.gateway_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schedulers: u32::try_from(self.schedulers.len()).unwrap_or(u32::MAX),
        };
        let hello = GatewayMessage {
            message: Some(gateway_message::Message::Hello(hello)),
        };
        outbound.send(hello).await.map_err(|_| LinkError::Closed)?;
        let mut client = GatewayLinkClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
        let answer = tokio::time::timeout(SILENCE, client.connect(ReceiverStream::new(messages))).await;
        let inbound = answer
            .map_err(|_| LinkError::Silent(SILENCE))?
            .map_err(LinkError::Status)?
            .into_inner();
        Ok(Stream {
            outbound,
            inbound,
            _fresh: fresh,
            spoke: Instant::now(),
            heard: Instant::now(),
        })
    }

    fn trust(&self, told: &Authorities) {
        let trusted = self.membership.as_ref().map(|membership| membership.trust(told));
        if let Some(Err(error)) = trusted {
            tracing::warn!(error = chain(&error), "authorities of the cluster not taken over");
        }
    }

    fn fold(&self, message: Endpoints) {
        let (table, problems) = self.table.borrow().folded(message);
        for problem in problems {
            tracing::warn!(
                service = &*problem.service,
                what = problem.what,
                "part of a service cannot be used and is left out"
            );
        }
        tracing::debug!(version = table.version, services = table.services.len(), "endpoints");
        self.table.send_replace(Arc::new(table));
    }
}

/// A stream that is open, and when each side last said something.
struct Stream {
    outbound: mpsc::Sender<GatewayMessage>,
    inbound: Streaming<SchedulerMessage>,
    /// Keeps the certificate fresh as long as the stream is there.
    _fresh: Option<AbortOnDrop>,
    spoke: Instant,
    heard: Instant,
}

/// A task that ends with what it is part of.
struct AbortOnDrop(tokio::task::JoinHandle<std::convert::Infallible>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stream {
    async fn send(&mut self, message: gateway_message::Message) -> Result<(), LinkError> {
        let message = GatewayMessage { message: Some(message) };
        self.spoke = Instant::now();
        let sent = tokio::time::timeout(SEND_TIMEOUT, self.outbound.send(message)).await;
        sent.map_err(|_| LinkError::Stuck)?.map_err(|_| LinkError::Closed)
    }

    /// Says goodbye, and waits until the scheduler has heard it: it ends the stream then.
    async fn farewell(mut self) -> Result<(), LinkError> {
        self.send(gateway_message::Message::Goodbye(Goodbye {})).await?;
        while self.next().await.is_ok() {}
        Ok(())
    }

    /// The next message; silence, the end and what cannot be read are errors. Nothing is lost where this is dropped.
    async fn next(&mut self) -> Result<scheduler_message::Message, LinkError> {
        loop {
            let received = tokio::time::timeout_at(self.heard + SILENCE, self.inbound.message()).await;
            let message = received
                .map_err(|_| LinkError::Silent(SILENCE))?
                .map_err(LinkError::Status)?;
            self.heard = Instant::now();
            // A message of a kind that this gateway does not know yet is a sign of life all the same.
            if let Some(message) = message.ok_or(LinkError::Closed)?.message {
                return Ok(message);
            }
        }
    }
}

/// Waits for a change, and for those that come with it. The stream compares after everything that wakes it, so a
/// change is not lost where this is dropped.
async fn changed(states: &mut watch::Receiver<Arc<States>>) {
    if states.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(GATHER).await;
}

#[cfg(test)]
mod tests;
