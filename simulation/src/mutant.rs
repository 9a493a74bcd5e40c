//! Deliberate bugs, each of a kind that has been made in systems like this one. The simulation must find every one: a
//! check that finds none of them checks nothing.

use clap::ValueEnum;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// A record that another came before is appended as it was decided, under the next number.
    SkipRebase,
    /// Callers are answered when the record has left, not when it is durable.
    AnswerBeforeDurable,
    /// The journal says that a record is durable before it is: what was said last is lost with the process.
    LostWrite,
    /// An append whose fate is unknown counts as failed, and is made again under a new name.
    RetryUnknown,
    /// The agent takes a report for recorded when it has sent it.
    ForgetAck,
    /// The agent acts before its record of the task is durable.
    ActBeforeSpool,
    /// A new stream goes on with the assignments of the last one.
    NoCompleteSet,
    /// What an agent says of its tasks when it comes is acknowledged, and not recorded.
    ForgetHello,
    /// The scheduler forgets to tell agents of tasks that are to stop.
    ForgetStop,
    /// A follower leaves out a record that it was shown among others.
    SkipRecord,
    /// A snapshot is labelled with the revision after the one whose state it has.
    SnapshotAhead,
    /// Room is given away when a task is told to stop, not when it has stopped.
    FreeEarly,
    /// Answers that change nothing are given without asking whether the state that they are true of is the newest.
    AnswerStale,
    /// A schedule is fired by what a scheduler knew when it asked, not by the state that its run is added to.
    FireStale,
}
