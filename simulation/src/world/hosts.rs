//! What happens to hosts: their agents, their Docker daemons, their disks, their way to the schedulers.

use berth_agent_core::failure::FailureKind;
use berth_agent_core::machine::Action;
use berth_agent_core::record::Record;
use berth_model::id::TaskId;
use berth_model::time::Timestamp;

use super::{Event, Stream, StreamId, World, Wound};
use crate::agent::{Agent, Effect};
use crate::check::Violation;
use crate::docker::{Call, Fate, failed};
use crate::message::{ToAgent, ToScheduler};

impl World {
    /// Lets the agent of the epoch do something, if it is there, and sees to what follows.
    pub(super) fn with_agent(
        &mut self,
        (index, epoch): (usize, u64),
        act: impl FnOnce(&mut Agent, Timestamp),
    ) -> Result<(), Violation> {
        let time = self.time();
        let Some(host) = self.hosts.get_mut(index).filter(|host| host.epoch == epoch) else {
            return Ok(());
        };
        let now = Timestamp::from_millis(time.as_millis() + host.skew);
        let skew = host.skew;
        let Some(agent) = host.agent.as_mut() else {
            return Ok(());
        };
        act(agent, now);
        let effects = agent.take_effects(now);
        let wake = agent.wake_at(now);
        for effect in effects {
            self.agent_effect((index, epoch), effect);
        }
        if let Some(at) = wake.map(|at| (self.at(at) - skew).max(self.now + 1)) {
            let host = &mut self.hosts[index];
            if host.alarm.is_none_or(|alarm| at < alarm) {
                host.alarm = Some(at);
                let host = (index, epoch);
                self.after(at - self.now, Event::AgentWakes { host });
            }
        }
        Ok(())
    }

    fn agent_effect(&mut self, host: (usize, u64), effect: Effect) {
        match effect {
            Effect::Docker(call) => {
                let delay = self.docker_delay(host.0);
                let boot = self.hosts[host.0].boot;
                self.after(delay, Event::DockerActs { host, boot, call });
            }
            Effect::RemoveVolumes(task) => self.after(1, Event::VolumesRemoved { host, task }),
            Effect::Write(records) => {
                let delay = if self.is_wounded(Wound::SlowSpool(host.0)) {
                    self.random.between(50, 3_000)
                } else {
                    self.random.between(1, 5)
                };
                self.after(delay, Event::Spooled { host, records });
            }
            Effect::Send(stream, message) => self.send_up(stream, message),
            Effect::Close(stream) => {
                self.after(0, Event::LostByAgent(stream));
                let latency = self.latency();
                self.after(latency, Event::LostByReplica(stream));
            }
        }
    }

    fn docker_delay(&mut self, host: usize) -> i64 {
        if self.is_wounded(Wound::BadDocker(host)) {
            self.random.between(10, 5_000)
        } else {
            self.random.between(2, 80)
        }
    }

    /// A call has reached Docker, which does it whether or not the agent that called is there still.
    pub(super) fn docker_acts(&mut self, from: (usize, u64), boot: u64, call: &Call) -> Result<(), Violation> {
        let now = self.time();
        let host = &self.hosts[from.0];
        // A call of an agent that was killed happens before the next agent asks for anything, or never.
        let orphaned = host.epoch != from.1;
        if host.boot != boot || orphaned {
            return Ok(());
        }
        let bad = self.is_wounded(Wound::BadDocker(from.0));
        let (fails, hides) = (bad && self.random.one_in(6), bad && self.random.one_in(8));
        let harmless = matches!(call.action, Action::Pull { .. } | Action::Look { .. });
        let outcome = if fails {
            let kind = if harmless || self.random.one_in(2) {
                FailureKind::Lost
            } else {
                FailureKind::TimedOut
            };
            failed(&call.action, kind)
        } else {
            let started = matches!(call.action, Action::Start { .. });
            if matches!(call.action, Action::Signal { .. }) {
                self.check_stop(from.0, call.task)?;
            }
            let (outcome, fate) = self.hosts[from.0].docker.perform(call, now);
            if let Some(fate) = fate {
                self.live_out(from.0, fate);
            }
            if started {
                self.check_host(from.0)?;
            }
            // It was done, and the answer is lost.
            if hides {
                failed(&call.action, FailureKind::Lost)
            } else {
                outcome
            }
        };
        let delay = self.random.between(1, 10);
        let (task, container) = (call.task, call.container);
        let answer = Event::DockerAnswers {
            host: from,
            task,
            container,
            outcome,
        };
        self.after(delay, answer);
        Ok(())
    }

    /// What becomes of a process.
    fn live_out(&mut self, host: usize, fate: Fate) {
        let (id, run, delay, exit_code) = match fate {
            Fate::Started { id, run, family } => {
                let short = family == "batch";
                let crashes = self.random.one_in(40);
                if !short && !crashes {
                    return;
                }
                let code = i32::from(self.random.one_in(3) || !short);
                (id, run, self.random.between(20, 20_000), code)
            }
            // It does not listen: only SIGKILL ends it.
            Fate::Asked { .. } if self.random.one_in(10) => return,
            Fate::Asked { id, run } => (id, run, self.random.between(5, 3_000), 143),
        };
        let ends = Event::ProcessEnds {
            host,
            id,
            run,
            exit_code,
        };
        self.after(delay, ends);
    }

    pub(super) fn process_ends(&mut self, index: usize, id: &str, run: u64, exit_code: i32) {
        let now = self.time();
        let host = &mut self.hosts[index];
        let Some((task, container)) = host.docker.end(id, run, exit_code, now) else {
            return;
        };
        self.truth.ended(task, container.clone(), exit_code);
        // Docker's events are hints, and may be missed.
        if !self.random.one_in(10) {
            let host = (index, self.hosts[index].epoch);
            let delay = self.random.between(1, 50);
            self.after(delay, Event::Hinted { host, task, container });
        }
    }

    pub(super) fn spooled(
        &mut self,
        host: (usize, u64),
        records: Vec<(TaskId, Option<Box<Record>>)>,
    ) -> Result<(), Violation> {
        let known = &mut self.hosts[host.0];
        // The agent that was writing is gone: its write was lost with it.
        if known.epoch != host.1 || known.agent.is_none() {
            return Ok(());
        }
        for (task, record) in records {
            match record {
                Some(record) => known.spool.insert(task, *record),
                None => known.spool.remove(&task),
            };
        }
        self.with_agent(host, Agent::spooled)
    }

    pub(super) fn lists(&mut self, host: (usize, u64)) -> Result<(), Violation> {
        let known = &self.hosts[host.0];
        if known.epoch != host.1 || known.agent.is_none() {
            return Ok(());
        }
        let found = known.docker.list();
        self.after(30_000, Event::Lists { host });
        self.with_agent(host, |agent, now| agent.listed(found, now))
    }

    pub(super) fn agent_starts(&mut self, index: usize) -> Result<(), Violation> {
        let time = self.time();
        let host = &mut self.hosts[index];
        if host.agent.is_some() {
            return Ok(());
        }
        host.epoch += 1;
        host.alarm = None;
        let now = Timestamp::from_millis(time.as_millis() + host.skew);
        let agent = Agent::start(host.id, &host.spool, host.docker.list(), self.mutant, now);
        host.agent = Some(agent);
        let host = (index, host.epoch);
        self.after(30_000, Event::Lists { host });
        self.after(1, Event::Dials { host });
        self.with_agent(host, |_, _| {})
    }

    /// `kill -9` of the agent; containers go on.
    pub(super) fn kill_agent(&mut self, index: usize) -> Result<(), Violation> {
        let host = &mut self.hosts[index];
        if host.agent.take().is_none() {
            return Ok(());
        }
        let epoch = host.epoch;
        self.end_streams(|stream| stream.host == (index, epoch));
        let pause = if self.peaceful {
            200
        } else {
            self.random.between(100, 6_000)
        };
        self.after(pause, Event::AgentStarts(index));
        Ok(())
    }

    /// The host goes down with all its processes, and comes back with its disk.
    pub(super) fn reboot(&mut self, index: usize) -> Result<(), Violation> {
        let now = self.time();
        self.kill_agent(index)?;
        let host = &mut self.hosts[index];
        host.boot += 1;
        host.docker.power_off(now);
        Ok(())
    }

    pub(super) fn dials(&mut self, host: (usize, u64)) -> Result<(), Violation> {
        let known = &self.hosts[host.0];
        let idle = known.agent.as_ref().is_some_and(|agent| agent.stream().is_none());
        if known.epoch != host.1 || !idle {
            return Ok(());
        }
        let replica = self.random.below(self.seats.len());
        let seat = &self.seats[replica];
        let cut = Wound::Cut { host: host.0, replica };
        if seat.process.is_none() || self.is_wounded(cut) {
            let pause = self.random.between(200, 2_000);
            self.after(pause, Event::Dials { host });
            return Ok(());
        }
        self.stream_count += 1;
        let id = self.stream_count;
        let stream = Stream {
            host,
            replica: (replica, seat.epoch),
            broken: false,
            up_at: self.now,
            down_at: self.now,
        };
        self.streams.insert(id, stream);
        self.with_agent(host, |agent, _| agent.link_up(id))
    }

    pub(super) fn reaches_agent(&mut self, id: StreamId, message: ToAgent) -> Result<(), Violation> {
        let Some(stream) = self.streams.get(&id).filter(|stream| !stream.broken) else {
            return Ok(());
        };
        self.with_agent(stream.host, |agent, now| agent.hear(id, message, now))
    }

    pub(super) fn lost_by_agent(&mut self, id: StreamId) -> Result<(), Violation> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.broken = true;
        let host = stream.host;
        let pause = self.random.between(100, 2_000);
        self.after(pause, Event::Dials { host });
        self.with_agent(host, |agent, _| agent.link_down(id))
    }

    fn send_up(&mut self, id: StreamId, message: ToScheduler) {
        let latency = self.latency();
        let now = self.now;
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.broken) {
            stream.up_at = stream.up_at.max(now + latency);
            let delay = stream.up_at - now;
            self.after(delay, Event::ToReplica(id, message));
        }
    }
}
