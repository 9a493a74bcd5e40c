//! What happens to schedulers and to the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::time::Timestamp;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, Revision};

use super::{Event, StreamId, World, Wound};
use crate::check::Violation;
use crate::journal::Stored;
use crate::message::{ToAgent, ToScheduler};
use crate::mutant::Mutant;
use crate::replica::{Effect, Replica, number};

/// How long a closed stream may take to come back, in milliseconds.
const RETURN: i64 = 2_000;
/// Silence after which an agent, or a scheduler, counts as gone.
const SILENCE: i64 = 12_000;

impl World {
    /// Lets the replica of the epoch do something, if it is there, and sees to what follows.
    pub(super) fn with_replica(
        &mut self,
        (index, epoch): (usize, u64),
        act: impl FnOnce(&mut Replica, Timestamp),
    ) -> Result<(), Violation> {
        let now = self.time();
        let Some(seat) = self.seats.get_mut(index).filter(|seat| seat.epoch == epoch) else {
            return Ok(());
        };
        let Some(replica) = seat.process.as_mut() else {
            return Ok(());
        };
        act(replica, now);
        let effects = replica.take_effects(now);
        let wake = replica.wake_at();
        self.check_published(index)?;
        for effect in effects {
            self.effect(index, epoch, effect);
        }
        if let Some(at) = wake.map(|at| self.at(at).max(self.now + 1)) {
            let seat = &mut self.seats[index];
            if seat.alarm.is_none_or(|alarm| at < alarm) {
                seat.alarm = Some(at);
                let replica = (index, epoch);
                self.after(at - self.now, Event::ReplicaWakes { replica });
            }
        }
        Ok(())
    }

    fn effect(&mut self, index: usize, epoch: u64, effect: Effect) {
        match effect {
            Effect::Append { after, stored } => {
                let doubt = Event::AppendDoubted(stored.id);
                let delay = self.journal_delay();
                self.after(delay, Event::AppendArrives { after, stored });
                self.after(5_000, doubt);
            }
            Effect::Read(from) => {
                let replica = (index, epoch);
                let delay = self.journal_delay();
                self.after(delay, Event::ReadAnswered { replica, from });
            }
            Effect::Head => {
                let replica = (index, epoch);
                let delay = self.journal_delay();
                self.after(delay, Event::HeadAnswered { replica });
            }
            Effect::Send(stream, message) => self.send_down(stream, message),
            Effect::Close(stream) => {
                self.after(0, Event::LostByReplica(stream));
                let latency = self.latency();
                self.after(latency, Event::LostByAgent(stream));
            }
            Effect::Answer(request, answer) => {
                let latency = self.latency();
                self.after(latency, Event::AnswerArrives { request, answer });
            }
        }
    }

    fn journal_delay(&mut self) -> i64 {
        if self.is_wounded(Wound::SlowJournal) {
            self.random.between(20, 2_000)
        } else {
            self.random.between(1, 8)
        }
    }

    pub(super) fn append_arrives(&mut self, after: Revision, stored: Stored) -> Result<(), Violation> {
        let id = stored.id;
        // What a client of the journal has sent arrives, or not, whether or not it is there still.
        if self.is_wounded(Wound::NoJournal(id.replica)) {
            return Ok(());
        }
        let record = Arc::clone(&stored.record);
        let durable = self.journal.append(after, stored);
        if durable {
            self.written = self.now;
            self.truth.add(&record).map_err(|what| self.violation(what))?;
            for replica in 0..self.seats.len() {
                if replica != id.replica {
                    // A watch may lag far behind.
                    let lags = !self.peaceful && self.random.one_in(3);
                    let longest = if lags { 6_000 } else { 30 };
                    let (delay, epoch) = (self.random.between(1, longest), self.seats[replica].epoch);
                    let replica = (replica, epoch);
                    self.after(delay, Event::Followed { replica });
                }
            }
        } else if self
            .journal
            .read(after.next())
            .is_some_and(|records| records[0].id == id)
        {
            // The same append twice: it is known by its name.
        } else {
            self.conflicts += 1;
        }
        let known = self.journal.read(after.next()).and_then(<[Stored]>::first);
        let durable = durable || known.is_some_and(|first| first.id == id);
        let delay = self.journal_delay();
        self.after(delay, Event::AppendAnswered { id, durable });
        Ok(())
    }

    pub(super) fn read_answered(&mut self, replica: (usize, u64), from: Revision) -> Result<(), Violation> {
        if self.is_wounded(Wound::NoJournal(replica.0)) {
            self.after(1_000, Event::ReadAnswered { replica, from });
            return Ok(());
        }
        match self.journal.read(from).map(<[Stored]>::to_vec) {
            Some(records) => self.with_replica(replica, |process, now| process.read(from, &records, true, now)),
            // It has fallen behind what is kept: it begins anew.
            None => self.kill_replica(replica.0),
        }
    }

    pub(super) fn head_answered(&mut self, replica: (usize, u64)) -> Result<(), Violation> {
        if self.is_wounded(Wound::NoJournal(replica.0)) {
            self.after(1_000, Event::HeadAnswered { replica });
            return Ok(());
        }
        let head = self.journal.head();
        self.with_replica(replica, |process, now| process.head(head, now))
    }

    pub(super) fn followed(&mut self, replica: (usize, u64)) -> Result<(), Violation> {
        if self.is_wounded(Wound::NoJournal(replica.0)) {
            // The watch is taken up again where it was.
            self.after(1_000, Event::Followed { replica });
            return Ok(());
        }
        let seat = &self.seats[replica.0];
        let Some(process) = seat.process.as_ref().filter(|_| seat.epoch == replica.1) else {
            return Ok(());
        };
        let from = process.state().revision().next();
        match self.journal.read(from).map(<[Stored]>::to_vec) {
            Some(records) => self.with_replica(replica, |process, now| process.read(from, &records, false, now)),
            None => self.kill_replica(replica.0),
        }
    }

    pub(super) fn replica_ticks(&mut self, replica: (usize, u64)) -> Result<(), Violation> {
        let (now, started) = (self.now, self.seats[replica.0].started);
        let away = self.hosts.iter().map(|host| {
            let ended = self.ended.get(&(replica.0, host.id)).copied();
            // After a start every agent gets the time to come back.
            let is_away = match ended.filter(|ended| *ended >= started) {
                Some(ended) => now - ended >= RETURN,
                None => now - started >= SILENCE,
            };
            (host.id, is_away)
        });
        let away: BTreeMap<_, _> = away.collect();
        let gone: BTreeSet<ReplicaId> = self
            .killed
            .iter()
            .filter(|(_, at)| now - **at >= SILENCE)
            .map(|(id, _)| *id)
            .collect();
        let seats = self.seats.iter().enumerate();
        let living = seats.filter(|(index, seat)| *index != replica.0 && seat.process.is_some());
        let others: Vec<ReplicaId> = living.map(|(index, seat)| number(index, seat.epoch)).collect();
        let is_away = move |key: InstanceKey| away.get(&key.instance).copied().unwrap_or(false);
        self.with_replica(replica, |process, now| {
            process.tick(is_away, |other| gone.contains(&other), &others, now);
        })?;
        if self.seats[replica.0].epoch == replica.1 {
            self.after(1_000, Event::ReplicaTicks { replica });
            self.after(500, Event::Followed { replica });
        }
        Ok(())
    }

    pub(super) fn replica_starts(&mut self, index: usize) -> Result<(), Violation> {
        if self.seats[index].process.is_some() {
            return Ok(());
        }
        let (mut state, tail) = self.journal.recover();
        for stored in tail {
            fold_record(&mut state, &stored.record);
        }
        let seat = &mut self.seats[index];
        seat.epoch += 1;
        seat.started = self.now;
        seat.alarm = None;
        let epoch = seat.epoch;
        let process = Replica::start((index, epoch), state, &self.namespace, &self.cluster, self.mutant);
        seat.process = Some(process);
        let replica = (index, epoch);
        self.after(1_000, Event::ReplicaTicks { replica });
        self.with_replica(replica, |_, _| {})
    }

    /// `kill -9`: what it has sent may still arrive, all else is gone. It starts again soon.
    pub(super) fn kill_replica(&mut self, index: usize) -> Result<(), Violation> {
        let seat = &mut self.seats[index];
        seat.deferred.clear();
        if seat.process.take().is_none() {
            return Ok(());
        }
        let epoch = seat.epoch;
        self.killed.insert(number(index, epoch), self.now);
        let lost = self.mutant == Some(Mutant::LostWrite);
        let newest = self.journal.read(self.journal.head()).and_then(<[Stored]>::first);
        if lost && newest.is_some_and(|stored| stored.id.replica == index && stored.id.epoch == epoch) {
            self.journal.lose_last();
            self.truth.replace(&self.journal);
        }
        self.end_streams(|stream| stream.replica == (index, epoch));
        let pause = if self.peaceful {
            200
        } else {
            self.random.between(200, 8_000)
        };
        self.after(pause, Event::ReplicaStarts(index));
        Ok(())
    }

    /// A process is gone: the other sides of its streams are told by the kernel, unless the network is cut.
    pub(super) fn end_streams(&mut self, which: impl Fn(&super::Stream) -> bool) {
        let ended: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.broken && which(stream))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let latency = self.latency();
            self.after(latency, Event::LostByAgent(id));
            self.after(latency, Event::LostByReplica(id));
        }
    }

    pub(super) fn snapshot(&mut self, index: usize) {
        let Some(process) = &self.seats[index].process else {
            return;
        };
        let state = process.state();
        let ahead = u64::from(self.mutant == Some(Mutant::SnapshotAhead));
        let at = Revision(state.revision().0 + ahead);
        self.journal.put_snapshot(at, state);
        let keep = self.random.below(40);
        self.journal.truncate(keep);
    }

    pub(super) fn reaches_replica(&mut self, id: StreamId, message: ToScheduler) -> Result<(), Violation> {
        let Some(stream) = self.streams.get(&id).filter(|stream| !stream.broken) else {
            return Ok(());
        };
        let (replica, host) = (stream.replica, &self.hosts[stream.host.0]);
        let (instance, facts) = (host.id, Arc::clone(&host.facts));
        self.with_replica(replica, |process, _| process.hear(id, (instance, &facts), message))
    }

    pub(super) fn lost_by_replica(&mut self, id: StreamId) -> Result<(), Violation> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.broken = true;
        let (replica, host) = (stream.replica, stream.host.0);
        let now = self.now;
        self.ended.insert((replica.0, self.hosts[host].id), now);
        self.with_replica(replica, |process, _| process.stream_ended(id))
    }

    fn send_down(&mut self, id: StreamId, message: ToAgent) {
        let latency = self.latency();
        let now = self.now;
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.broken) {
            stream.down_at = stream.down_at.max(now + latency);
            let delay = stream.down_at - now;
            self.after(delay, Event::ToAgent(id, message));
        }
    }
}
