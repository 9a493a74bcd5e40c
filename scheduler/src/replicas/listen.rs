//! Listens to the other schedulers: one task for each that lives.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use berth_daemon::{Backoff, chain};
use berth_proto::replica::v1::replica_link_client::ReplicaLinkClient;
use berth_proto::replica::v1::{ListenRequest, Part};
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, Revision};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::dial::{DialError, There};
use super::{Replicas, wire};
use crate::gateways::{self, GatewayKey};
use crate::nodes;
use crate::trust::Trust;

/// Silence after which a stream is given up: five rounds.
const SILENCE: Duration = Duration::from_secs(5);
/// What a scheduler has told of hosts is kept for so long when it is not heard.
const KEPT: Duration = Duration::from_secs(15);
/// A part is a few hundred kilobytes; that of a host which is full is more.
const LARGEST_PART: usize = 16 * 1024 * 1024;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("it ended the stream: {0}")]
    Status(tonic::Status),
    #[error("it closed the stream")]
    Closed,
    #[error("it said nothing for {SILENCE:?}")]
    Silent,
}

/// Who takes in what is heard.
#[derive(Debug, Clone)]
pub struct Ears {
    /// What agents say.
    pub nodes: Arc<nodes::Registry>,
    /// What gateways say.
    pub gateways: Arc<gateways::Registry>,
}

/// Keeps a stream to each other scheduler that lives, until the process ends; over TLS where somebody is trusted.
pub async fn listen_to_others(replicas: Arc<Replicas>, ears: Ears, trust: Option<Arc<Trust>>) {
    let Some(own) = replicas.own() else { return };
    let mut moves = replicas.moves();
    let mut heard: BTreeMap<ReplicaId, (CancellationToken, JoinHandle<()>)> = BTreeMap::new();
    loop {
        moves.borrow_and_update();
        let others = replicas.others();
        let gone: Vec<ReplicaId> = heard
            .keys()
            .copied()
            .filter(|other| !others.contains_key(other))
            .collect();
        for other in gone {
            if let Some((stop, task)) = heard.remove(&other) {
                stop.cancel();
                if let Err(error) = task.await {
                    tracing::error!(replica = %other, %error, "listening to a scheduler failed");
                }
            }
        }
        for (other, address) in others {
            heard.entry(other).or_insert_with(|| {
                let stop = CancellationToken::new();
                let there = There {
                    address,
                    trust: trust.clone(),
                };
                let listen = keep_listening((own, other), there, ears.clone(), stop.clone());
                (stop, tokio::spawn(listen))
            });
        }
        if moves.changed().await.is_err() {
            return;
        }
    }
}

/// Listens to one scheduler until it is gone; of what it told nothing stays then.
async fn keep_listening((own, other): (ReplicaId, ReplicaId), there: There, ears: Ears, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    let mut heard_all = Instant::now();
    loop {
        let began = Instant::now();
        let listened = listen((own, other), &there, &ears, &mut heard_all);
        let error = tokio::select! {
            () = stop.cancelled() => break,
            ended = listened => match ended {
                Ok(never) => match never {},
                Err(error) => error,
            },
        };
        ears.gateways.lose(other);
        tracing::warn!(replica = %other, address = there.address, error = chain(&error), "another scheduler is not heard; trying again");
        if heard_all > began {
            backoff = Backoff::default();
        } else if heard_all.elapsed() > KEPT {
            ears.nodes.keep_of(other, |_| false);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(backoff.next_pause()) => {}
        }
    }
    ears.gateways.lose(other);
    ears.nodes.keep_of(other, |_| false);
}

/// One stream, up to its end. `heard_all` is when all had been told last.
async fn listen(
    (own, other): (ReplicaId, ReplicaId),
    there: &There,
    ears: &Ears,
    heard_all: &mut Instant,
) -> Result<std::convert::Infallible, ListenError> {
    let mut client = ReplicaLinkClient::new(there.connect().await?).max_decoding_message_size(LARGEST_PART);
    let request = ListenRequest {
        listener: own.0,
        teller: other.0,
    };
    let answer = timeout(SILENCE, client.listen(request)).await;
    let answer = answer.map_err(|_| ListenError::Silent)?.map_err(ListenError::Status)?;
    let mut parts = answer.into_inner();
    let mut beginning = Some(Beginning::default());
    loop {
        let part = timeout(SILENCE, parts.message())
            .await
            .map_err(|_| ListenError::Silent)?;
        let part = part.map_err(ListenError::Status)?.ok_or(ListenError::Closed)?;
        if ears.hear(other, part, &mut beginning) {
            *heard_all = Instant::now();
        }
    }
}

/// What was named before all was told once: there is no more.
#[derive(Debug, Default)]
struct Beginning {
    hosts: HashSet<InstanceKey>,
    gateways: BTreeSet<GatewayKey>,
}

impl Ears {
    /// Takes in a part; tells whether all is told with it.
    fn hear(&self, other: ReplicaId, part: Part, beginning: &mut Option<Beginning>) -> bool {
        let hosts: Vec<_> = part.hosts.into_iter().filter_map(wire::read_host).collect();
        let gateways: Vec<_> = part.gateways.into_iter().map(wire::read_gateway).collect();
        if let Some(beginning) = beginning {
            beginning.hosts.extend(hosts.iter().map(|host| host.key));
            beginning
                .gateways
                .extend(gateways.iter().map(|gateway| gateway.key.clone()));
        }
        self.nodes.hear_other(other, hosts);
        self.gateways.hear_other(other, gateways);
        let Some(whole) = part.whole else { return false };
        let beginning = beginning.take();
        if let Some(all) = &beginning {
            self.nodes.keep_of(other, |host| all.hosts.contains(host));
        }
        let all = beginning.map(|all| all.gateways);
        self.gateways
            .heard_all(other, Revision(whole.revision), whole.gateways, all.as_ref());
        true
    }
}
