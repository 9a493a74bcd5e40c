//! Tells other schedulers what the agents and gateways say that are here: one task for each that listens.

use std::sync::Arc;
use std::time::Duration;

use berth_proto::replica::v1::replica_link_server::ReplicaLink;
use berth_proto::replica::v1::{ListenRequest, Part, Whole};
use berth_scheduler_core::keys::ReplicaId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::dial::must_be_scheduler;
use super::wire;
use crate::engine::Engine;
use crate::{gateways, nodes};

/// How often it is told at least, which is also how a listener knows that it hears.
const EVERY: Duration = Duration::from_secs(1);
/// What gateways say together is told together.
const GATHER: Duration = Duration::from_millis(100);
/// How long a part may wait for a listener that does not read.
const DELIVERY: Duration = Duration::from_secs(10);
/// Parts that may wait for one listener.
const OUTBOX: usize = 2;
/// Listeners at a time: many more than there are schedulers on one journal.
const LISTENERS: usize = 64;

/// The gRPC service that other schedulers dial.
#[derive(Debug)]
pub struct Link {
    teller: Teller,
    own: Option<ReplicaId>,
    shutdown: CancellationToken,
    turns: Arc<Semaphore>,
    /// Whether listeners must show that they are schedulers of the cluster.
    asks: bool,
}

/// What is told.
#[derive(Debug, Clone)]
struct Teller {
    engine: Engine,
    nodes: Arc<nodes::Registry>,
    gateways: Arc<gateways::Registry>,
}

impl Link {
    /// Tells as the scheduler `own`, nothing where it is alone; streams end when `shutdown` is cancelled. Listeners are
    /// asked for a certificate where `asks` says so.
    #[must_use]
    pub fn new(
        engine: Engine,
        nodes: Arc<nodes::Registry>,
        gateways: Arc<gateways::Registry>,
        own: Option<ReplicaId>,
        shutdown: CancellationToken,
        asks: bool,
    ) -> Self {
        Self {
            teller: Teller {
                engine,
                nodes,
                gateways,
            },
            own,
            shutdown,
            turns: Arc::new(Semaphore::new(LISTENERS)),
            asks,
        }
    }
}

#[tonic::async_trait]
impl ReplicaLink for Link {
    type ListenStream = ReceiverStream<Result<Part, Status>>;

    async fn listen(&self, request: Request<ListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        must_be_scheduler(self.asks, request.extensions()).inspect_err(|_| {
            let from = request.remote_addr();
            tracing::warn!(?from, "who listens has shown no certificate of a scheduler");
        })?;
        let ListenRequest { listener, teller } = request.into_inner();
        if self.own != Some(ReplicaId(teller)) {
            return Err(Status::failed_precondition(format!(
                "Scheduler {} is not here: its address has become another's.",
                ReplicaId(teller)
            )));
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{LISTENERS} schedulers listen already."
            )));
        };
        let (outbox, parts) = mpsc::channel(OUTBOX);
        let (teller, shutdown) = (self.teller.clone(), self.shutdown.clone());
        // The task ends with its stream, or at shutdown.
        tokio::spawn(async move {
            let turn: OwnedSemaphorePermit = turn;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = teller.tell(&outbox) => {}
            }
            tracing::debug!(replica = %ReplicaId(listener), "does not listen any more");
            drop(turn);
        });
        Ok(Response::new(ReceiverStream::new(parts)))
    }
}

impl Teller {
    /// Tells until the listener is gone, or reads no more.
    async fn tell(&self, outbox: &mpsc::Sender<Result<Part, Status>>) {
        let gateways = self.gateways.listen();
        let mut hosts = nodes::others::Listener::default();
        while self.tell_all(outbox, &gateways, &mut hosts).await.is_some() {
            tokio::select! {
                () = outbox.closed() => return,
                () = sleep(EVERY) => {}
                () = gateways.wake.notified() => sleep(GATHER).await,
            }
        }
    }

    /// Tells all that is not told; nothing where that cannot be delivered.
    async fn tell_all(
        &self,
        outbox: &mpsc::Sender<Result<Part, Status>>,
        gateways: &gateways::sharing::Listener,
        hosts: &mut nodes::others::Listener,
    ) -> Option<()> {
        let say = async |part: Part| outbox.send_timeout(Ok(part), DELIVERY).await.ok();
        // Before the look at the gateways: one that comes later is told of nothing older.
        let revision = self.engine.view().revision();
        let streams = self.gateways.streams();
        let mut news = gateways.take();
        loop {
            let told = gateways.tell(&mut news);
            if told.is_empty() {
                break;
            }
            let part = Part {
                gateways: told.into_iter().map(wire::gateway).collect(),
                ..Part::default()
            };
            say(part).await?;
        }
        let news = self.nodes.news(hosts);
        for hosts in wire::hosts(news) {
            let part = Part {
                hosts,
                ..Part::default()
            };
            say(part).await?;
        }
        let whole = Whole {
            revision: revision.0,
            gateways: streams,
        };
        let part = Part {
            whole: Some(whole),
            ..Part::default()
        };
        say(part).await
    }
}
