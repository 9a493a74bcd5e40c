//! A scheduler's process: group commit, the agents' streams and the loops of `berth-scheduler-core`, with what the
//! scheduler's shell does around them, and nothing of journal and network. What leaves it is a list of [`Effect`]s.

mod loops;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::time::Timestamp;
use berth_scheduler_core::assign::{Sent, touched};
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::commit::{GroupCommit, Next};
use berth_scheduler_core::decide::reconcile::Reconciled;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, Revision};
use berth_scheduler_core::observation::InstanceFacts;
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;

use crate::ask::{Answer, Ask, Early, Waits};
use crate::journal::{AppendId, Stored};
use crate::message::ToAgent;
use crate::mutant::Mutant;
use crate::world::StreamId;
use loops::Agenda;
use streams::{Guest, Session};

/// What a scheduler wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    Append {
        after: Revision,
        stored: Stored,
    },
    /// All records from there on.
    Read(Revision),
    /// The journal's newest revision.
    Head,
    Send(StreamId, ToAgent),
    Close(StreamId),
    Answer(u64, Answer),
}

#[derive(Debug)]
pub(crate) struct Replica {
    index: usize,
    epoch: u64,
    commit: GroupCommit<Ask>,
    queue: VecDeque<Ask>,
    appending: Option<(Revision, Stored)>,
    appends: u64,
    reading: bool,
    /// What waits is answered when this revision is published; none while the journal has not said which.
    confirming: Option<Option<Revision>>,
    guests: BTreeMap<StreamId, (InstanceId, Arc<InstanceFacts>, Guest)>,
    sessions: BTreeMap<InstanceKey, Session>,
    /// What ended streams were sent, for [`Mutant::NoCompleteSet`].
    left: BTreeMap<InstanceKey, Sent>,
    agenda: Agenda,
    hints: Hints,
    placing: usize,
    namespace: Namespace,
    cluster: ClusterName,
    effects: Vec<Effect>,
    mutant: Option<Mutant>,
    /// Answers before their time, for [`Mutant::AnswerBeforeDurable`].
    early: Early,
}

impl Replica {
    pub(crate) fn start(
        (index, epoch): (usize, u64),
        state: State,
        namespace: &Namespace,
        cluster: &ClusterName,
        mutant: Option<Mutant>,
    ) -> Self {
        let seed = u64::try_from(index).unwrap_or(0) << 32 | epoch;
        Self {
            index,
            epoch,
            hints: Hints::everywhere(&state),
            commit: GroupCommit::new(state, seed),
            queue: VecDeque::new(),
            appending: None,
            appends: 0,
            reading: false,
            confirming: None,
            guests: BTreeMap::new(),
            sessions: BTreeMap::new(),
            left: BTreeMap::new(),
            agenda: Agenda::default(),
            placing: 0,
            namespace: namespace.clone(),
            cluster: cluster.clone(),
            effects: Vec::new(),
            mutant,
            early: Early::default(),
        }
    }

    pub(crate) fn state(&self) -> &State {
        self.commit.published()
    }

    pub(crate) fn take_effects(&mut self, now: Timestamp) -> Vec<Effect> {
        self.keep_services(now);
        self.place_queued();
        self.proceed(now);
        self.assign();
        mem::take(&mut self.effects)
    }

    /// When a service is due.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.agenda.timers.values().min().copied()
    }

    pub(crate) fn submit(&mut self, mut ask: Ask) {
        if self.mutant == Some(Mutant::AnswerBeforeDurable) {
            ask.answer_early(&self.early);
        }
        self.queue.push_back(ask);
    }

    /// What became of the append: durable, or another record came first.
    pub(crate) fn appended(&mut self, id: AppendId, durable: bool, now: Timestamp) {
        if self.appending.as_ref().is_none_or(|(_, stored)| stored.id != id) {
            return;
        }
        if durable {
            self.committed();
        } else if !self.reading {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
        self.proceed(now);
    }

    /// The append has had no answer for long: only the journal knows.
    pub(crate) fn doubt(&mut self, id: AppendId, now: Timestamp) {
        if self.appending.as_ref().is_none_or(|(_, stored)| stored.id != id) {
            return;
        }
        if self.mutant == Some(Mutant::RetryUnknown) {
            self.commit.overtaken(Vec::<(Record, ())>::new(), now, |_, _, ()| {});
            self.appending = None;
            self.proceed(now);
        } else {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
    }

    /// The records from there on that the journal has, by a read or shown to those that follow it.
    pub(crate) fn read(&mut self, from: Revision, records: &[Stored], asked: bool, now: Timestamp) {
        if asked {
            self.reading = false;
        } else if self.appending.is_some() || self.reading {
            // The answer to the append, or the read, comes to the same.
            return;
        }
        let known = self.state().revision().next().0.saturating_sub(from.0);
        let mut records = records
            .get(usize::try_from(known).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        if let Some((after, stored)) = &self.appending {
            match records.first() {
                Some(first) if first.id == stored.id => {
                    self.committed();
                    records = &records[1..];
                }
                Some(_) => self.appending = None,
                // It may still arrive: the same append again comes to the same.
                None => self.effects.push(Effect::Append {
                    after: *after,
                    stored: stored.clone(),
                }),
            }
        }
        let skipped = (self.mutant == Some(Mutant::SkipRecord) && records.len() > 2).then_some(1);
        let missed: Vec<(Record, ())> = records
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != skipped)
            .map(|(_, stored)| (Record::clone(&stored.record), ()))
            .collect();
        if !missed.is_empty() {
            let mut published = Vec::new();
            self.commit.overtaken(missed, now, |state, record, ()| {
                published.push((state.clone(), record.clone()));
            });
            for (state, record) in published {
                self.published(&state, &record);
            }
        }
        self.proceed(now);
    }

    /// The journal's newest revision, as of some moment since it was asked for.
    pub(crate) fn head(&mut self, head: Revision, now: Timestamp) {
        self.confirming = self.confirming.map(|_| Some(head));
        if self.state().revision() < head && !self.reading {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
        self.proceed(now);
    }

    /// The number of this start of it.
    fn own(&self) -> Option<ReplicaId> {
        Some(number(self.index, self.epoch))
    }

    fn ask<C>(&mut self, command: C, waits: Waits, told: impl Fn(C::Outcome) -> Answer + 'static)
    where
        C: berth_scheduler_core::command::Command + 'static,
    {
        let ask = Ask::new(command, waits, self.mutant, told);
        self.queue.push_back(ask);
    }

    /// Decides what has come, and lets go what can leave.
    fn proceed(&mut self, now: Timestamp) {
        loop {
            match self.confirming {
                Some(Some(head)) if self.state().revision() >= head => {
                    self.confirming = None;
                    self.commit.confirmed();
                }
                Some(_) => return,
                None => {
                    let room = self.commit.room().min(self.queue.len());
                    self.commit.take(self.queue.drain(..room), now);
                }
            }
            if self.appending.is_some() {
                return;
            }
            match self.commit.proceed() {
                Next::Confirm if self.mutant == Some(Mutant::AnswerStale) => self.commit.confirmed(),
                Next::Confirm => {
                    self.confirming = Some(None);
                    self.effects.push(Effect::Head);
                    return;
                }
                Next::Append { after, record, .. } => {
                    self.appends += 1;
                    let id = AppendId {
                        replica: self.index,
                        epoch: self.epoch,
                        number: self.appends,
                    };
                    let record = Arc::new(record.clone());
                    let stored = Stored { id, record };
                    let early = self.early.take();
                    let early = early
                        .into_iter()
                        .map(|(request, answer)| Effect::Answer(request, answer));
                    self.effects.extend(early);
                    self.appending = Some((after, stored.clone()));
                    self.effects.push(Effect::Append { after, stored });
                }
                Next::Answer(asks) => asks.into_iter().for_each(|ask| self.answer(ask, now)),
                Next::Nothing => return,
            }
        }
    }

    fn committed(&mut self) {
        self.appending = None;
        if let Some(committed) = self.commit.committed() {
            self.published(&committed.state, &committed.record);
            let at = committed.record.entries.first().map(|entry| entry.at);
            for ask in committed.answers {
                self.answer(ask, at.unwrap_or(Timestamp::from_millis(0)));
            }
        }
    }

    fn published(&mut self, state: &State, record: &Record) {
        for change in record.entries.iter().flat_map(|entry| &entry.changes) {
            self.hints.note(state, change);
            self.note(state, change);
            if self.mutant == Some(Mutant::ForgetStop) && matches!(change, Change::TaskStopRequested { .. }) {
                continue;
            }
            for (key, touch) in touched(state, change) {
                self.touch(key, touch);
            }
        }
    }

    fn answer(&mut self, ask: Ask, now: Timestamp) {
        let Some(answer) = ask.answer else { return };
        match ask.waits {
            Waits::Client(request) => self.effects.push(Effect::Answer(request, answer)),
            Waits::Connect(stream) => self.received(stream, &answer),
            Waits::Hello(stream, ended) => {
                let recorded = ToAgent::Recorded { sequence: 0, ended };
                self.effects.push(Effect::Send(stream, recorded));
                if let Some(key) = self.known(stream)
                    && let Some(session) = self.sessions.get_mut(&key)
                {
                    session.introduced = true;
                    session.dirty = true;
                }
            }
            Waits::Reports(stream, sequence) => {
                let ended = Vec::new();
                self.effects
                    .push(Effect::Send(stream, ToAgent::Recorded { sequence, ended }));
            }
            Waits::Service(key) => {
                let outcome = match answer {
                    Answer::Reconciled(outcome) => outcome,
                    Answer::Refused | Answer::Tasks(_) | Answer::TaskSet(_) | Answer::Received(_) | Answer::Done => {
                        Reconciled::default()
                    }
                };
                self.agenda.finish(key, &outcome, now);
            }
            Waits::Proposal(stream) => {
                if let Answer::Tasks(foreign) = answer {
                    self.effects.push(Effect::Send(stream, ToAgent::Confirm(foreign)));
                }
            }
            Waits::Queue => self.placing -= 1,
            Waits::Nobody => {}
        }
    }
}

/// The number of a start of a scheduler.
pub(crate) fn number(index: usize, epoch: u64) -> ReplicaId {
    ReplicaId(u64::try_from(index).unwrap_or(0) << 32 | epoch)
}
