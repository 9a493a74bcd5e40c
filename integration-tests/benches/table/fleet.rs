//! Simulated instances: real streams that take assignments and acknowledge them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{
    AgentMessage, Assignment, AssignmentsApplied, ContainerReport, Heartbeat, Hello, HostAttribute, HostFacts,
    SchedulerMessage, TaskReport, TaskReports,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::load;

/// Streams that share a connection: an HTTP/2 connection takes 200 at once.
const STREAMS: usize = 125;
const HEARTBEAT: Duration = Duration::from_secs(4);
/// Room for more tasks than any run starts.
pub(crate) const PLENTY: u32 = 1 << 27;

/// Instances that are connected as long as this lives.
#[derive(Debug)]
pub(crate) struct Fleet {
    counts: Arc<Counts>,
    streams: JoinSet<()>,
}

/// What all instances together were told.
#[derive(Debug, Default)]
struct Counts {
    /// Tasks to run.
    assigned: AtomicU32,
    /// Reports that are recorded: one a task.
    recorded: AtomicU32,
}

impl Fleet {
    /// Connects the instances, to one scheduler after the other, and waits until each is welcome. Each has room for so many
    /// tasks, and says of each that it runs where they `speak`.
    ///
    /// # Errors
    ///
    /// If one is not.
    pub(crate) async fn connect(urls: &[String], numbers: Range<usize>, room: u32, speak: bool) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut fleet = Self {
            counts: Arc::clone(&counts),
            streams: JoinSet::new(),
        };
        let numbers: Vec<usize> = numbers.collect();
        for (shared, url) in numbers.chunks(STREAMS).zip(urls.iter().cycle()) {
            let channel = Endpoint::from_shared(url.clone())?.connect().await?;
            for number in shared {
                let mut instance = Instance::connect(channel.clone(), *number, room, Arc::clone(&counts)).await?;
                instance.speaks = speak;
                fleet.streams.spawn(instance.attend());
            }
        }
        Ok(fleet)
    }

    /// Tasks that the instances were told to run.
    pub(crate) fn assigned(&self) -> f64 {
        f64::from(self.counts.assigned.load(Ordering::Relaxed))
    }

    /// Waits until the scheduler has recorded what was said of every task that the instances were told to run.
    ///
    /// # Errors
    ///
    /// If that takes longer than it may.
    pub(crate) async fn wait_recorded(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let assigned = self.counts.assigned.load(Ordering::Relaxed);
            let recorded = self.counts.recorded.load(Ordering::Relaxed);
            if recorded == assigned {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{recorded} of {assigned} tasks are recorded as running"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

struct Instance {
    outbox: mpsc::Sender<AgentMessage>,
    inbox: Streaming<SchedulerMessage>,
    counts: Arc<Counts>,
    number: usize,
    speaks: bool,
    /// Of the last reports that were sent.
    sequence: u64,
    /// Tasks by the sequence of their reports, those that are not recorded yet.
    unrecorded: BTreeMap<u64, u32>,
}

impl Instance {
    async fn connect(channel: Channel, number: usize, room: u32, counts: Arc<Counts>) -> Result<Self> {
        let (outbox, messages) = mpsc::channel(16);
        let zone = HostAttribute {
            name: "ecs.availability-zone".to_owned(),
            value: Some(format!("zone-{}", number % 3)),
        };
        let hello = Hello {
            cluster: "default".to_owned(),
            instance_id: format!("{number:032x}"),
            facts: Some(HostFacts {
                cpu_units: room * load::CPU,
                memory_mib: room * load::MEMORY,
                attributes: vec![zone],
                agent_version: "0.0.0".to_owned(),
                docker_version: "0.0.0".to_owned(),
                ..HostFacts::default()
            }),
            tasks: Vec::new(),
            drain: None,
            schedulers: 1,
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
                counts,
                number,
                speaks: false,
                sequence: 0,
                unrecorded: BTreeMap::new(),
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

    async fn take(&mut self, message: SchedulerMessage) -> Result<()> {
        let set = match message.message {
            Some(FromScheduler::Assignments(set)) => set,
            Some(FromScheduler::Recorded(recorded)) => {
                let later = self.unrecorded.split_off(&(recorded.sequence + 1));
                let counts = std::mem::replace(&mut self.unrecorded, later);
                self.counts.recorded.fetch_add(counts.values().sum(), Ordering::Relaxed);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let count = u32::try_from(set.assignments.len())?;
        self.counts.assigned.fetch_add(count, Ordering::Relaxed);
        if self.speaks && count > 0 {
            self.sequence += 1;
            self.unrecorded.insert(self.sequence, count);
            let tasks = set.assignments.iter().map(|assignment| self.runs(assignment)).collect();
            let sequence = self.sequence;
            say(&self.outbox, ToScheduler::Reports(TaskReports { sequence, tasks })).await?;
        }
        let applied = AssignmentsApplied {
            version: set.results_in,
        };
        say(&self.outbox, ToScheduler::Applied(applied)).await
    }

    /// What an agent says of a task that runs.
    fn runs(&self, assignment: &Assignment) -> TaskReport {
        const AT: f64 = 1_750_000_000.25;
        let task = &assignment.task_arn;
        let id = task.rsplit('/').next().unwrap_or_default();
        TaskReport {
            task_arn: task.clone(),
            last_status: "RUNNING".to_owned(),
            containers: vec![ContainerReport {
                name: "app".to_owned(),
                last_status: "RUNNING".to_owned(),
                runtime_id: format!("{:032x}{id}", self.number),
                image_digest: format!("sha256:{id}{id}"),
                health_status: "UNKNOWN".to_owned(),
                ..ContainerReport::default()
            }],
            pull_started_at: Some(AT),
            pull_stopped_at: Some(AT),
            started_at: Some(AT),
            ..TaskReport::default()
        }
    }
}

async fn say(outbox: &mpsc::Sender<AgentMessage>, message: ToScheduler) -> Result<()> {
    let message = AgentMessage { message: Some(message) };
    outbox.send(message).await.context("the stream is closed")
}
