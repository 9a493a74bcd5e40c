//! What a simulated scheduler does by itself: keeps services, places what waits, notices who is away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::decide::instance::SetConnection;
use berth_scheduler_core::decide::queue::{EndOverdue, PlaceQueued};
use berth_scheduler_core::decide::reconcile::{ReconcileService, Reconciled};
use berth_scheduler_core::decide::schedule::run::FireSchedule;
use berth_scheduler_core::decide::upkeep::ForgetStoppedTasks;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, ScheduleKey, ServiceKey};
use berth_scheduler_core::presence::{Correction, correction};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::shed::surplus;
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;

use super::{Effect, Replica};
use crate::ask::{Answer, Ask, Waits};
use crate::mutant::Mutant;

/// How often all services are looked at, whatever was heard.
const SWEEP: Duration = Duration::from_secs(60);
/// How long a stopped task is kept.
const RETENTION: Duration = Duration::from_secs(40);
const TIMING: Timing = Timing {
    stability: Duration::from_secs(10),
    lost_grace: Duration::from_secs(20),
};

#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) ready: BTreeSet<ServiceKey>,
    pub(super) running: BTreeMap<ServiceKey, bool>,
    pub(super) timers: BTreeMap<ServiceKey, Timestamp>,
    pub(super) swept: Option<Timestamp>,
}

impl Replica {
    /// Once a second: brings what the state says of connections to what is the case, and drops what is old. `is_away` says
    /// whether a stream that is not here has been away for long, `is_gone` whether another scheduler has been silent, `others`
    /// which live.
    pub(crate) fn tick(
        &mut self,
        is_away: impl Fn(InstanceKey) -> bool,
        is_gone: impl Fn(ReplicaId) -> bool,
        others: &[ReplicaId],
        now: Timestamp,
    ) {
        self.let_go(others);
        let mut wrong = Vec::new();
        for (key, instance) in self.commit.published().instances() {
            let is_here = match self.sessions.contains_key(&key) {
                true => Some(true),
                false => is_away(key).then_some(false),
            };
            let known = (instance.connected, instance.via);
            match correction(self.own(), known, is_here, &is_gone) {
                Correction::Say(connected, via) if instance.status != InstanceStatus::Inactive => {
                    wrong.push(SetConnection { key, connected, via });
                }
                Correction::EndStream => {
                    let stream = self.sessions.get(&key).map(|session| session.stream);
                    self.effects.extend(stream.map(Effect::Close));
                }
                Correction::Say(..) | Correction::Nothing => {}
            }
        }
        for set in wrong {
            self.ask(set, Waits::Nobody, |()| Answer::Done);
        }
        self.fire_schedules(now);
        if self.agenda.swept.is_none_or(|at| at + SWEEP <= now) {
            self.agenda.swept = Some(now);
            self.agenda
                .ready
                .extend(self.commit.published().services().map(|service| service.key()));
            self.ask(EndOverdue, Waits::Nobody, |_| Answer::Done);
            let forget = ForgetStoppedTasks {
                retention: RETENTION,
                limit: 20,
            };
            self.ask(forget, Waits::Nobody, |_| Answer::Done);
        }
    }

    /// Every scheduler fires what it takes to be due: that only one comes to it is the command's matter.
    fn fire_schedules(&mut self, now: Timestamp) {
        let due = self.commit.published().schedules().due();
        let due: Vec<ScheduleKey> = due
            .take_while(|(at, _)| *at <= now)
            .map(|(_, key)| key.clone())
            .collect();
        for key in due {
            let mut ask = Ask::new(FireSchedule { key }, Waits::Nobody, self.mutant, |_| Answer::Done);
            if self.mutant == Some(Mutant::FireStale) {
                ask.believe(self.state().clone());
            }
            self.submit(ask);
        }
    }

    /// Lets agents go that are far more than its share, for others to have.
    fn let_go(&mut self, others: &[ReplicaId]) {
        let mut counts: BTreeMap<ReplicaId, u32> = others.iter().map(|other| (*other, 0)).collect();
        let connected = self
            .commit
            .published()
            .instances()
            .filter(|(_, instance)| instance.connected);
        for via in connected.filter_map(|(_, instance)| instance.via) {
            counts.entry(via).and_modify(|count| *count += 1);
        }
        let own = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let counts: Vec<u32> = counts.into_values().collect();
        let count = usize::try_from(surplus(own, &counts)).unwrap_or(usize::MAX);
        let streams = self.sessions.values().map(|session| session.stream);
        self.effects.extend(streams.take(count).map(Effect::Close));
    }

    /// Wakes the services that the change may concern.
    pub(super) fn note(&mut self, state: &State, change: &Change) {
        let concerns = !matches!(
            change,
            Change::ServiceStepped { .. }
                | Change::ServiceInactive { .. }
                | Change::ServicesForgotten { .. }
                | Change::TasksPlaced { .. }
                | Change::TasksForgotten { .. }
        );
        if concerns {
            for service in state.services() {
                self.agenda.wake(service.key());
            }
        }
    }

    pub(super) fn keep_services(&mut self, now: Timestamp) {
        let due: Vec<ServiceKey> = self
            .agenda
            .timers
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.agenda.timers.remove(&key);
            self.agenda.wake(key);
        }
        while let Some(key) = self.agenda.ready.pop_first() {
            self.agenda.timers.remove(&key);
            self.agenda.running.insert(key.clone(), false);
            let command = ReconcileService {
                key: key.clone(),
                timing: TIMING,
            };
            self.ask(command, Waits::Service(key), Answer::Reconciled);
        }
    }

    pub(super) fn place_queued(&mut self) {
        if self.placing > 0 || self.hints.is_empty() {
            return;
        }
        let woken = self.hints.woken(self.state());
        if woken.is_empty() {
            self.hints = Hints::default();
        }
        self.placing = woken.len();
        for (shape, count) in woken {
            self.ask(PlaceQueued { shape, count }, Waits::Queue, |_| Answer::Done);
        }
    }
}

impl Agenda {
    pub(super) fn wake(&mut self, key: ServiceKey) {
        match self.running.get_mut(&key) {
            Some(again) => *again = true,
            None => {
                self.ready.insert(key);
            }
        }
    }

    pub(super) fn finish(&mut self, key: ServiceKey, outcome: &Reconciled, now: Timestamp) {
        let again = self.running.remove(&key).unwrap_or(false) || outcome.unfinished;
        let wake = if again { Some(now) } else { outcome.wake };
        if let Some(at) = wake {
            self.timers.insert(key, at);
        }
    }
}
