//! What goes wrong, for how long, and the peace in which all must come right.

use super::{Event, Stream, StreamId, World, Wound};
use crate::check::Violation;
use crate::workload::Request;

impl World {
    /// Something goes wrong.
    pub(super) fn trouble(&mut self) -> Result<(), Violation> {
        if self.peaceful {
            return Ok(());
        }
        let pause = self.random.between(300, 5_000);
        self.after(pause, Event::Trouble);
        let replica = self.random.below(self.seats.len());
        let host = self.random.below(self.hosts.len());
        let wound = match self.random.below(13) {
            0 | 1 => return self.kill_replica(replica),
            2 | 3 => return self.kill_agent(host),
            4 => return self.reboot(host),
            5 => {
                self.snapshot(replica);
                return Ok(());
            }
            6 | 7 => Wound::Cut { host, replica },
            8 => Wound::NoJournal(replica),
            9 => Wound::Frozen(replica),
            10 => Wound::BadDocker(host),
            11 => match self.random.below(3) {
                0 => Wound::SlowJournal,
                1 => Wound::SlowNetwork,
                _ => Wound::SlowSpool(host),
            },
            _ => {
                for replica in 0..self.seats.len() {
                    self.wound(Wound::Cut { host, replica })?;
                }
                return Ok(());
            }
        };
        self.wound(wound)
    }

    pub(super) fn wound(&mut self, wound: Wound) -> Result<(), Violation> {
        if self.wounds.insert(wound) {
            let length = self.random.between(200, 20_000);
            self.after(length, Event::Heals(wound));
            if let Wound::Cut { host, replica } = wound {
                self.break_streams(|stream| stream.host.0 == host && stream.replica.0 == replica);
            }
        }
        Ok(())
    }

    /// Nothing that is sent on them arrives any more; both sides notice by the silence.
    pub(super) fn break_streams(&mut self, which: impl Fn(&Stream) -> bool) {
        let broken: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.broken && which(stream))
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.broken = true;
            }
            let (agent, replica) = (self.random.between(4_000, 12_000), self.random.between(8_000, 13_000));
            self.after(agent, Event::LostByAgent(id));
            self.after(replica, Event::LostByReplica(id));
        }
    }

    pub(super) fn heal(&mut self, wound: Wound) -> Result<(), Violation> {
        self.wounds.remove(&wound);
        if let Wound::Frozen(replica) = wound {
            for event in std::mem::take(&mut self.seats[replica].deferred) {
                self.happen(event)?;
            }
        }
        Ok(())
    }

    /// From here on nothing goes wrong, and nobody asks for anything but the end of what was run.
    pub(super) fn peace(&mut self) -> Result<(), Violation> {
        self.peaceful = true;
        for wound in self.wounds.clone() {
            self.heal(wound)?;
        }
        self.workload.give_up();
        self.after(0, Event::CleansUp);
        // What was on its way may have started more.
        self.after(30_000, Event::CleansUp);
        Ok(())
    }

    /// Somebody stops what belongs to no service, so that there is room for those.
    pub(super) fn clean_up(&mut self) {
        for task in self.truth.standalone() {
            let request = Request::Stop(task);
            let number = self.workload.add(request.clone());
            self.ask(number, &request);
        }
    }
}
