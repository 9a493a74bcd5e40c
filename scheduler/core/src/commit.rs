//! Group commit: which commands share the next record, and what follows when it is durable or when another came first.
//!
//! One record is on its way at a time. What comes meanwhile is decided on the state that it will make, so that the
//! next can leave at once. Where another writer's record took its place, everything that waits is decided again on what
//! the journal says: the same rules, the new state. The caller appends, publishes and answers, in this order; nothing
//! here touches a journal or a caller.

pub mod pace;

use std::mem;

use berth_model::time::Timestamp;

use crate::change::{Change, Entry, Record};
use crate::command::{Env, Memory, Principal, nth_draw};
use crate::fold::{fold, fold_record};
use crate::keys::Revision;
use crate::state::State;

/// Commands that share a record, at most.
pub const BATCH: usize = 256;

/// A command that waits for its record, whatever its type.
pub trait Pending {
    /// Decides the command against the state; forgets what was decided before. A refusal has no changes.
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change>;

    /// Who asked.
    fn by(&self) -> Principal;
}

/// The commands that wait, and the record that is on its way.
///
/// Invariant: what is on its way was decided on the published state alone, and what waits on the state that it makes.
#[derive(Debug)]
pub struct GroupCommit<P> {
    published: State,
    flying: Option<Batch<P>>,
    next: Batch<P>,
    seed: u64,
    decisions: u64,
    memory: Memory,
    /// All that waits is decided on a state that was the journal's newest after it was asked.
    confirmed: bool,
}

/// Commands that were decided together, and what they lead to once their record is durable.
#[derive(Debug)]
struct Batch<P> {
    commands: Vec<P>,
    state: State,
    record: Record,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Next<'a, P> {
    /// Append the record, then say what became of it.
    Append {
        /// The published revision, which it must follow.
        after: Revision,
        /// What to append.
        record: &'a Record,
        /// Whose record it is.
        commands: &'a [P],
    },
    /// What waits changes nothing: see that the published state is the journal's newest ([`GroupCommit::confirmed`]). A
    /// state that others have gone beyond may say that all is as asked for when it is not so any more.
    Confirm,
    /// Answer these: they change nothing, and what they were told is true of the published state.
    Answer(Vec<P>),
    /// Nothing waits, or a record is on its way.
    Nothing,
}

/// What a durable record leads to: publish, then answer.
#[derive(Debug)]
pub struct Committed<P> {
    /// The state that the record makes, which is the published one from now on.
    pub state: State,
    /// The record.
    pub record: Record,
    /// The commands whose record it is.
    pub answers: Vec<P>,
}

impl<P> Batch<P> {
    /// An empty batch on a state.
    fn on(base: &State) -> Self {
        let record = Record {
            v: Record::FORMAT,
            revision: base.revision().next(),
            entries: Vec::new(),
        };
        let mut state = base.clone();
        state.revision = record.revision;
        Self {
            commands: Vec::new(),
            state,
            record,
        }
    }
}

impl<P: Pending> GroupCommit<P> {
    /// Nothing waits. Ids that decisions draw follow from the seed.
    #[must_use]
    pub fn new(published: State, seed: u64) -> Self {
        Self {
            next: Batch::on(&published),
            published,
            flying: None,
            seed,
            decisions: 0,
            memory: Memory::default(),
            confirmed: false,
        }
    }

    /// The newest durable state.
    #[must_use]
    pub const fn published(&self) -> &State {
        &self.published
    }

    /// How many more commands can be taken until a record has left.
    #[must_use]
    pub fn room(&self) -> usize {
        BATCH.saturating_sub(self.next.commands.len())
    }

    /// Takes commands in, in this order: each meets the state that those before it have made.
    pub fn take(&mut self, commands: impl IntoIterator<Item = P>, now: Timestamp) {
        let before = self.next.commands.len();
        self.decide(commands, now);
        self.confirmed &= self.next.commands.len() == before;
    }

    fn decide(&mut self, commands: impl IntoIterator<Item = P>, now: Timestamp) {
        for mut command in commands {
            self.decisions += 1;
            let seed = nth_draw(self.seed, self.decisions);
            let mut env = Env::new(now, seed, &mut self.memory);
            let changes = command.decide(&self.next.state, &mut env);
            if !changes.is_empty() {
                changes.iter().for_each(|change| fold(&mut self.next.state, change));
                self.next.record.entries.push(Entry {
                    at: now,
                    by: command.by(),
                    changes,
                });
            }
            self.next.commands.push(command);
        }
    }

    /// What waits leaves, if nothing is on its way.
    pub fn proceed(&mut self) -> Next<'_, P> {
        if self.flying.is_some() || self.next.commands.is_empty() {
            return Next::Nothing;
        }
        if self.next.record.entries.is_empty() {
            if !mem::take(&mut self.confirmed) {
                return Next::Confirm;
            }
            return Next::Answer(mem::take(&mut self.next.commands));
        }
        // What it follows on is confirmed by the append.
        self.confirmed = false;
        let after = Batch::on(&self.next.state);
        let batch = mem::replace(&mut self.next, after);
        let Batch { record, commands, .. } = self.flying.insert(batch);
        Next::Append {
            after: self.published.revision(),
            record,
            commands,
        }
    }

    /// The published state has all that the journal had at a moment after the last command was taken.
    pub const fn confirmed(&mut self) {
        self.confirmed = true;
    }

    /// The record that was on its way is durable. None where none was.
    pub fn committed(&mut self) -> Option<Committed<P>> {
        let Batch {
            commands,
            state,
            record,
        } = self.flying.take()?;
        self.published = state.clone();
        Some(Committed {
            state,
            record,
            answers: commands,
        })
    }

    /// The record that was on its way cannot be written: gives back its commands, and then all others that wait. Nothing
    /// of them has been decided any more.
    pub fn withdraw(&mut self) -> Vec<P> {
        self.memory = Memory::default();
        let flown = self.flying.take().map(|batch| batch.commands);
        let waiting = mem::replace(&mut self.next, Batch::on(&self.published));
        flown.into_iter().flatten().chain(waiting.commands).collect()
    }

    /// Other writers' records came first: adds them, in order, gives each state with its record to `publish`, and decides
    /// all that waits again. A record of ours that was on its way must be known not to have become durable.
    ///
    /// Each record comes with whatever `publish` is to know of it.
    pub fn overtaken<T>(
        &mut self,
        missed: impl IntoIterator<Item = (Record, T)>,
        now: Timestamp,
        mut publish: impl FnMut(&State, &Record, T),
    ) {
        for (record, of) in missed {
            fold_record(&mut self.published, &record);
            publish(&self.published, &record, of);
        }
        if self.flying.is_some() || !self.next.record.entries.is_empty() {
            // What is remembered was true of states that will never be.
            self.memory = Memory::default();
        }
        let flown = self.flying.take().map(|batch| batch.commands);
        let waiting = mem::replace(&mut self.next, Batch::on(&self.published));
        let again = flown.into_iter().flatten().chain(waiting.commands);
        self.decide(again, now);
    }
}

#[cfg(test)]
mod tests;
