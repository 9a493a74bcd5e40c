//! Simulated instances: real streams that take assignments and acknowledge them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{
    AgentMessage, AssignmentsApplied, Heartbeat, Hello, HostAttribute, HostFacts, SchedulerMessage,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Streams that share a connection: an HTTP/2 connection takes 200 at once.
const STREAMS: usize = 125;
const HEARTBEAT: Duration = Duration::from_secs(4);
/// More than all tasks of a run take.
const PLENTY: u32 = 1 << 30;

/// Instances that are connected as long as this lives.
#[derive(Debug)]
pub(crate) struct Fleet {
    assigned: Arc<AtomicU32>,
    streams: JoinSet<()>,
}

impl Fleet {
    /// Connects the instances and waits until each is welcome.
    ///
    /// # Errors
    ///
    /// If one is not.
    pub(crate) async fn connect(url: &str, count: usize) -> Result<Self> {
        let assigned = Arc::new(AtomicU32::new(0));
        let mut fleet = Self {
            assigned: Arc::clone(&assigned),
            streams: JoinSet::new(),
        };
        let numbers: Vec<usize> = (0..count).collect();
        for shared in numbers.chunks(STREAMS) {
            let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
            for number in shared {
                let instance = Instance::connect(channel.clone(), *number, Arc::clone(&assigned)).await?;
                fleet.streams.spawn(instance.attend());
            }
        }
        Ok(fleet)
    }

    /// Tasks that the instances were told to run.
    pub(crate) fn assigned(&self) -> f64 {
        f64::from(self.assigned.load(Ordering::Relaxed))
    }
}

struct Instance {
    outbox: mpsc::Sender<AgentMessage>,
    inbox: Streaming<SchedulerMessage>,
    assigned: Arc<AtomicU32>,
}

impl Instance {
    async fn connect(channel: Channel, number: usize, assigned: Arc<AtomicU32>) -> Result<Self> {
        let (outbox, messages) = mpsc::channel(16);
        let zone = HostAttribute {
            name: "ecs.availability-zone".to_owned(),
            value: Some(format!("zone-{}", number % 3)),
        };
        let hello = Hello {
            cluster: "default".to_owned(),
            instance_id: format!("{number:032x}"),
            facts: Some(HostFacts {
                cpu_units: PLENTY,
                memory_mib: PLENTY,
                attributes: vec![zone],
                agent_version: "0.0.0".to_owned(),
                docker_version: "0.0.0".to_owned(),
                ..HostFacts::default()
            }),
            tasks: Vec::new(),
            drain: None,
        };
        say(&outbox, ToScheduler::Hello(hello)).await?;
        let stream = AgentLinkClient::new(channel)
            .connect(ReceiverStream::new(messages))
            .await;
        let mut inbox = stream.context("connect an instance")?.into_inner();
        match inbox.message().await?.and_then(|message| message.message) {
            Some(FromScheduler::Welcome(_)) => Ok(Self {
                outbox,
                inbox,
                assigned,
            }),
            other => bail!("instance {number} is not welcome: {other:?}"),
        }
    }

    async fn attend(mut self) {
        let mut heartbeat = interval(HEARTBEAT);
        loop {
            let said = tokio::select! {
                _ = heartbeat.tick() => say(&self.outbox, ToScheduler::Heartbeat(Heartbeat {})).await,
                message = self.inbox.message() => match message {
                    Ok(Some(message)) => self.take(message).await,
                    Ok(None) | Err(_) => return,
                },
            };
            if said.is_err() {
                return;
            }
        }
    }

    async fn take(&self, message: SchedulerMessage) -> Result<()> {
        let Some(FromScheduler::Assignments(set)) = message.message else {
            return Ok(());
        };
        let count = u32::try_from(set.assignments.len())?;
        self.assigned.fetch_add(count, Ordering::Relaxed);
        let applied = AssignmentsApplied {
            version: set.results_in,
        };
        say(&self.outbox, ToScheduler::Applied(applied)).await
    }
}

async fn say(outbox: &mpsc::Sender<AgentMessage>, message: ToScheduler) -> Result<()> {
    let message = AgentMessage { message: Some(message) };
    outbox.send(message).await.context("the stream is closed")
}
