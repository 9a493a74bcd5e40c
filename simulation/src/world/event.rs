//! What can happen in the simulated world.

use berth_agent_core::machine::Outcome;
use berth_agent_core::record::Record;
use berth_model::id::TaskId;
use berth_scheduler_core::keys::Revision;

use super::StreamId;
use crate::ask::Answer;
use crate::docker::Call;
use crate::journal::{AppendId, Stored};
use crate::message::{ToAgent, ToScheduler};

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    AppendArrives {
        after: Revision,
        stored: Stored,
    },
    AppendAnswered {
        id: AppendId,
        durable: bool,
    },
    AppendDoubted(AppendId),
    ReadAnswered {
        replica: (usize, u64),
        from: Revision,
    },
    HeadAnswered {
        replica: (usize, u64),
    },
    Followed {
        replica: (usize, u64),
    },
    ReplicaTicks {
        replica: (usize, u64),
    },
    ReplicaWakes {
        replica: (usize, u64),
    },
    ReplicaStarts(usize),
    ToReplica(StreamId, ToScheduler),
    ToAgent(StreamId, ToAgent),
    /// The end of a stream is noticed at the agent.
    LostByAgent(StreamId),
    /// And at the replica.
    LostByReplica(StreamId),
    Dials {
        host: (usize, u64),
    },
    DockerActs {
        host: (usize, u64),
        boot: u64,
        call: Call,
    },
    DockerAnswers {
        host: (usize, u64),
        task: TaskId,
        container: usize,
        outcome: Outcome,
    },
    VolumesRemoved {
        host: (usize, u64),
        task: TaskId,
    },
    ProcessEnds {
        host: usize,
        id: String,
        run: u64,
        exit_code: i32,
    },
    Hinted {
        host: (usize, u64),
        task: TaskId,
        container: String,
    },
    Spooled {
        host: (usize, u64),
        records: Vec<(TaskId, Option<Box<Record>>)>,
    },
    AgentStarts(usize),
    AgentWakes {
        host: (usize, u64),
    },
    Lists {
        host: (usize, u64),
    },
    ClientAsks,
    RequestArrives {
        replica: usize,
        request: u64,
    },
    AnswerArrives {
        request: u64,
        answer: Answer,
    },
    RequestDoubted(u64),
    Trouble,
    Heals(Wound),
    Peace,
    CleansUp,
}

/// What is wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wound {
    /// A host does not reach a replica.
    Cut { host: usize, replica: usize },
    /// A replica does not reach the journal.
    NoJournal(usize),
    /// A replica stands still (SIGSTOP).
    Frozen(usize),
    /// Docker on the host fails often.
    BadDocker(usize),
    /// The journal's disk is slow.
    SlowJournal,
    /// The network is slow, and streams overtake each other.
    SlowNetwork,
    /// The spool's disk on the host is slow.
    SlowSpool(usize),
}
