//! The simulated world: who is there, what is on its way, and what time it is.
//!
//! One queue of events in the order of their time. Everything that takes time or may fail is an event: messages, disk
//! writes, calls to Docker, answers of the journal. Chance comes from the seed alone, so that the same seed gives the
//! same history, event by event.

mod clients;
mod event;
mod hosts;
mod replicas;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::record::Record;
use berth_model::arn::Namespace;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ClusterName;
use berth_model::quantity::{CpuUnits, MemoryMib, PortSet};
use berth_model::time::Timestamp;
use berth_scheduler_core::keys::ReplicaId;
use berth_scheduler_core::observation::InstanceFacts;

use crate::agent::Agent;
use crate::ask::Answer;
use crate::check::{Truth, Violation};
use crate::docker::Docker;
use crate::journal::Journal;
use crate::mutant::Mutant;
use crate::random::Random;
use crate::replica::Replica;
use crate::workload::{self, Request, Workload};
pub(crate) use event::{Event, Wound};

/// The time at which worlds begin.
const EPOCH: i64 = 1_700_000_000_000;
/// How long things go wrong, in milliseconds.
const TROUBLE: i64 = 60_000;
/// How long everything has to come right afterwards.
const PEACE: i64 = 180_000;

/// A stream's number: given once.
pub(crate) type StreamId = u64;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) host: (usize, u64),
    pub(crate) replica: (usize, u64),
    pub(crate) broken: bool,
    /// When the last message of each direction arrives: none overtakes another.
    up_at: i64,
    down_at: i64,
}

/// A scheduler's place: its process comes and goes.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) epoch: u64,
    pub(crate) process: Option<Replica>,
    alarm: Option<i64>,
    /// What happened while it stood still.
    deferred: Vec<Event>,
    started: i64,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: InstanceId,
    pub(crate) facts: Arc<InstanceFacts>,
    pub(crate) docker: Docker,
    pub(crate) boot: u64,
    pub(crate) spool: BTreeMap<TaskId, Record>,
    pub(crate) epoch: u64,
    pub(crate) agent: Option<Agent>,
    alarm: Option<i64>,
    /// How far its clock is off.
    skew: i64,
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The newest revision.
    pub revision: u64,
    /// Tasks that were started.
    pub tasks: usize,
    /// Events that happened.
    pub events: u64,
    /// Appends that came second.
    pub conflicts: u64,
    /// A number that two runs share only if their histories are the same.
    pub digest: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    queue: BTreeMap<(i64, u64), Event>,
    scheduled: u64,
    happened: u64,
    pub(crate) random: Random,
    mutant: Option<Mutant>,
    trace: bool,
    namespace: Namespace,
    cluster: ClusterName,
    pub(crate) journal: Journal,
    pub(crate) truth: Truth,
    pub(crate) seats: Vec<Seat>,
    pub(crate) hosts: Vec<Host>,
    streams: BTreeMap<StreamId, Stream>,
    stream_count: u64,
    /// When the last stream of an instance at a replica ended.
    ended: BTreeMap<(usize, InstanceId), i64>,
    /// When processes of replicas ended.
    killed: BTreeMap<ReplicaId, i64>,
    wounds: BTreeSet<Wound>,
    pub(crate) workload: Workload,
    peaceful: bool,
    conflicts: u64,
    /// When the last record became durable.
    written: i64,
}

/// The attribute that names a host's zone.
const ZONE: &str = "ecs.availability-zone";

impl World {
    #[expect(clippy::expect_used, reason = "the names are constants")]
    pub(crate) fn new(seed: u64, mutant: Option<Mutant>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let replicas = [1, 2, 3][random.below(3)];
        let hosts = random.below(3) + 3;
        let host = |at: usize, random: &mut Random| Host {
            id: InstanceId::from_bits(u128::try_from(at).unwrap_or(0) + 1),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1024),
                reserved_ports: PortSet::default(),
                attributes: [(ZONE.to_owned(), Some(format!("zone-{}", at % 2)))].into(),
                ..InstanceFacts::default()
            }),
            docker: Docker::default(),
            boot: 0,
            spool: BTreeMap::new(),
            epoch: 0,
            agent: None,
            alarm: None,
            skew: random.between(-500, 500),
        };
        let seat = |_| Seat {
            epoch: 0,
            process: None,
            alarm: None,
            deferred: Vec::new(),
            started: 0,
        };
        let mut world = Self {
            now: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            happened: 0,
            hosts: (0..hosts).map(|at| host(at, &mut random)).collect(),
            seats: (0..replicas).map(seat).collect(),
            random,
            mutant,
            trace,
            namespace: Namespace::new("us-east-1", "000000000000").expect("a region and an account"),
            cluster: workload::cluster(),
            journal: Journal::default(),
            truth: Truth::default(),
            streams: BTreeMap::new(),
            stream_count: 0,
            ended: BTreeMap::new(),
            killed: BTreeMap::new(),
            wounds: BTreeSet::new(),
            workload: Workload::default(),
            peaceful: false,
            conflicts: 0,
            written: 0,
        };
        for replica in 0..replicas {
            world.after(0, Event::ReplicaStarts(replica));
        }
        for host in 0..hosts {
            world.after(100, Event::AgentStarts(host));
        }
        world.after(50, Event::ClientAsks);
        world.after(3_000, Event::Trouble);
        world.after(TROUBLE, Event::Peace);
        world
    }

    /// Runs to the end of the world's time.
    pub(crate) fn run(mut self) -> Result<Summary, Violation> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > TROUBLE + PEACE {
                break;
            }
            self.now = at;
            self.happened += 1;
            if self.trace {
                let text = format!("{event:?}");
                eprintln_trace(at, &text);
            }
            self.happen(event)?;
        }
        crate::check::at_the_end(&self)?;
        Ok(Summary {
            revision: self.journal.head().0,
            tasks: self.truth.started(),
            events: self.happened,
            conflicts: self.conflicts,
            digest: self.truth.digest(),
        })
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        let Some(event) = self.unless_frozen(event) else {
            return Ok(());
        };
        match event {
            Event::AppendArrives { after, stored } => self.append_arrives(after, stored)?,
            Event::AppendAnswered { id, durable } => {
                if !self.is_wounded(Wound::NoJournal(id.replica)) {
                    self.with_replica((id.replica, id.epoch), |replica, now| {
                        replica.appended(id, durable, now)
                    })?;
                }
            }
            Event::AppendDoubted(id) => {
                self.with_replica((id.replica, id.epoch), |replica, now| replica.doubt(id, now))?;
            }
            Event::ReadAnswered { replica, from } => self.read_answered(replica, from)?,
            Event::HeadAnswered { replica } => self.head_answered(replica)?,
            Event::Followed { replica } => self.followed(replica)?,
            Event::ReplicaTicks { replica } => self.replica_ticks(replica)?,
            Event::ReplicaWakes { replica } => {
                if let Some(seat) = self.seats.get_mut(replica.0) {
                    seat.alarm = None;
                }
                self.with_replica(replica, |_, _| {})?;
            }
            Event::ReplicaStarts(replica) => self.replica_starts(replica)?,
            Event::ToReplica(stream, message) => self.reaches_replica(stream, message)?,
            Event::ToAgent(stream, message) => self.reaches_agent(stream, message)?,
            Event::LostByAgent(stream) => self.lost_by_agent(stream)?,
            Event::LostByReplica(stream) => self.lost_by_replica(stream)?,
            Event::Dials { host } => self.dials(host)?,
            Event::DockerActs { host, boot, call } => self.docker_acts(host, boot, &call)?,
            Event::DockerAnswers {
                host,
                task,
                container,
                outcome,
            } => self.with_agent(host, |agent, now| agent.done(task, container, outcome, now))?,
            Event::VolumesRemoved { host, task } => {
                self.with_agent(host, |agent, now| agent.volumes_removed(task, now))?;
            }
            Event::ProcessEnds {
                host,
                id,
                run,
                exit_code,
            } => self.process_ends(host, &id, run, exit_code),
            Event::Hinted { host, task, container } => {
                self.with_agent(host, |agent, now| agent.hint(task, &container, now))?;
            }
            Event::Spooled { host, records } => self.spooled(host, records)?,
            Event::AgentStarts(host) => self.agent_starts(host)?,
            Event::AgentWakes { host } => {
                if let Some(known) = self.hosts.get_mut(host.0) {
                    known.alarm = None;
                }
                self.with_agent(host, |agent, now| agent.tick(now))?;
            }
            Event::Lists { host } => self.lists(host)?,
            Event::ClientAsks => self.client_asks(),
            Event::RequestArrives { replica, request } => self.request_arrives(replica, request)?,
            Event::AnswerArrives { request, answer } => {
                self.truth.check_answer(&answer)?;
                if let (Some((Request::Stop(task), _)), Answer::Refused) = (self.workload.open.get(&request), &answer) {
                    self.check_refusal(*task)?;
                }
                self.workload.answered(request, &answer);
                self.check_promises()?;
            }
            Event::RequestDoubted(request) => self.request_doubted(request),
            Event::Trouble => self.trouble()?,
            Event::Heals(wound) => self.heal(wound)?,
            Event::Peace => self.peace()?,
            Event::CleansUp => self.clean_up(),
        }
        Ok(())
    }

    /// What happens to a replica that stands still happens when it goes on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others happen to no replica")]
    fn unless_frozen(&mut self, event: Event) -> Option<Event> {
        let replica = match &event {
            Event::AppendAnswered { id, .. } | Event::AppendDoubted(id) => id.replica,
            Event::ReadAnswered { replica, .. }
            | Event::HeadAnswered { replica }
            | Event::Followed { replica }
            | Event::ReplicaTicks { replica }
            | Event::ReplicaWakes { replica } => replica.0,
            Event::RequestArrives { replica, .. } => *replica,
            Event::ToReplica(stream, _) | Event::LostByReplica(stream) => self.streams.get(stream)?.replica.0,
            _ => return Some(event),
        };
        if !self.is_wounded(Wound::Frozen(replica)) {
            return Some(event);
        }
        self.seats[replica].deferred.push(event);
        None
    }

    pub(crate) fn is_wounded(&self, wound: Wound) -> bool {
        self.wounds.contains(&wound)
    }

    pub(crate) fn after(&mut self, millis: i64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.now + millis, self.scheduled), event);
    }

    /// What a clock without error would say.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millis(EPOCH + self.now)
    }

    pub(crate) fn at(&self, time: Timestamp) -> i64 {
        time.as_millis() - EPOCH
    }

    fn latency(&mut self) -> i64 {
        if self.is_wounded(Wound::SlowNetwork) {
            self.random.between(1, 800)
        } else {
            self.random.between(1, 6)
        }
    }

    /// Whether the newest record is so young that not all need know of it.
    pub(crate) const fn is_news(&self) -> bool {
        self.now - self.written < 1_000
    }

    pub(crate) fn violation(&self, what: impl Into<String>) -> Violation {
        Violation {
            at: Duration::from_millis(u64::try_from(self.now).unwrap_or(0)),
            revision: self.journal.head().0,
            what: what.into(),
        }
    }
}

#[expect(clippy::print_stderr, reason = "a trace is asked for")]
fn eprintln_trace(at: i64, text: &str) {
    let short: String = text.chars().take(240).collect();
    eprintln!("{at:>7} {short}");
}
