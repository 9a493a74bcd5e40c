//! Keeps services going: asks the engine to reconcile each when something has happened that concerns it.
//!
//! Woken by the records that the engine publishes: for a service by what is asked of it and by its own tasks, and by its
//! instances where one comes, goes or changes. A service is woken once however much has happened, is reconciled once at
//! a time, and again where something happened meanwhile. What time alone brings about (a pause that ends, a task that
//! has been stable for long enough) has a timer. A slow look at all services finds what none of this has told.
//!
//! Decides nothing: everything is in the command, which sees the newest state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::status::TaskStatus;
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::decide::reconcile::{ReconcileService, Reconciled};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey, TaskKey};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::state::State;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::every;
use crate::clock;
use crate::engine::{Engine, Observer};
use crate::replicas::Replicas;

/// Services that are reconciled at once; their changes share records.
const AT_ONCE: usize = 64;
/// How often all services are looked at, whatever was heard.
const SWEEP: Duration = Duration::from_secs(60);
/// How often services that found no place for a task are told that there may be room now.
const ROOM: Duration = Duration::from_millis(500);
/// Services that are told so at once: looking for room in vain costs a look at every instance.
const ROOM_AT_ONCE: usize = 16;
/// For how long a service is left alone after each of its tasks was looked at.
const PAUSE_PER_TASK: Duration = Duration::from_micros(20);
/// How long a service waits whose command was refused (the engine is overloaded, say).
const RETRY: Duration = Duration::from_secs(1);

/// What has happened to services since their driver last looked.
#[derive(Debug, Default)]
pub struct Wakes {
    heard: Mutex<Heard>,
    wake: Notify,
}

/// Bounded by what there is: each service, instance and cluster stands in it once.
#[derive(Debug, Default)]
struct Heard {
    services: BTreeSet<ServiceKey>,
    instances: BTreeSet<InstanceKey>,
    /// Clusters in which a task has ended, so that there may be room.
    freed: BTreeSet<ClusterKey>,
}

impl Heard {
    fn is_empty(&self) -> bool {
        self.services.is_empty() && self.instances.is_empty() && self.freed.is_empty()
    }

    fn note(&mut self, state: &State, change: &Change) {
        match change {
            Change::ServiceCreated { cluster, service, .. }
            | Change::ServiceUpdated { cluster, service, .. }
            | Change::ServiceScaled { cluster, service, .. }
            | Change::ServiceDeleted { cluster, service, .. } => {
                self.services.insert(ServiceKey {
                    cluster: *cluster,
                    service: service.clone(),
                });
            }
            Change::TaskStopRequested { cluster, task, .. }
            | Change::TaskObserved { cluster, task, .. }
            | Change::TaskProtectionSet { cluster, task, .. }
            | Change::TargetHealthSet { cluster, task, .. } => {
                let key = TaskKey {
                    cluster: *cluster,
                    task: *task,
                };
                let Some(task) = state.task(key) else { return };
                if let Some(service) = task.launch.service_key(*cluster) {
                    self.services.insert(service);
                }
                if task.last == TaskStatus::Stopped {
                    self.freed.insert(*cluster);
                }
            }
            Change::InstanceRegistered { cluster, instance, .. }
            | Change::InstanceConnection { cluster, instance, .. }
            | Change::InstanceStatusSet { cluster, instance, .. }
            | Change::InstanceAttributesSet { cluster, instance, .. } => {
                self.instances.insert(InstanceKey {
                    cluster: *cluster,
                    instance: *instance,
                });
            }
            // That a target has gone is followed by its end.
            Change::TargetsRegistered { .. }
            | Change::TargetsDeregistered { .. }
            // Those of services themselves are the driver's own doing; the others concern none.
            | Change::ServiceStepped { .. }
            // How it is scaled is another driver's.
            | Change::ServiceScalingSet { .. }
            | Change::ServiceInactive { .. }
            | Change::ServicesForgotten { .. }
            | Change::ClusterCreated { .. }
            | Change::ClusterUpdated { .. }
            | Change::ClusterDeleted { .. }
            | Change::AccountSettingSet { .. }
            | Change::CapacityProviderSet { .. }
            | Change::CapacityProviderDeleted { .. }
            | Change::ClusterProvidersSet { .. }
            | Change::DefinitionRegistered { .. }
            | Change::DefinitionDeregistered { .. }
            | Change::DefinitionDeletionRequested { .. }
            | Change::DefinitionsForgotten { .. }
            | Change::TagsSet { .. }
            | Change::TasksPlaced { .. }
            | Change::TasksQueued { .. }
            | Change::QueuedTasksPlaced { .. }
            | Change::QueuedTaskEnded { .. }
            | Change::TasksForgotten { .. }
            | Change::ScheduleCreated { .. }
            | Change::ScheduleUpdated { .. }
            | Change::ScheduleRan { .. }
            | Change::ScheduleRetried { .. }
            | Change::ScheduleDeleted { .. }
            | Change::SessionOpened { .. }
            | Change::SessionEnded { .. }
            | Change::EventsDelivered { .. }
            | Change::JoinTokenPut { .. }
            | Change::JoinTokenDeleted { .. }
            | Change::MemberEnrolled { .. }
            | Change::MemberRemoved { .. }
            | Change::OperatorCertified { .. }
            | Change::AccessKeyPut { .. }
            | Change::AccessKeyDeleted { .. } => {}
        }
    }
}

impl Observer for Wakes {
    fn published(&self, state: &State, record: &Record, _bytes: usize) {
        // A scheduler without services pays nothing for them.
        if !state.has_services() {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = record.entries.iter().flat_map(|entry| &entry.changes);
        changes.for_each(|change| heard.note(state, change));
        if !heard.is_empty() {
            self.wake.notify_one();
        }
    }
}

impl Wakes {
    fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which services are to be reconciled, which are being, and when others will be.
#[derive(Debug, Default)]
struct Agenda {
    ready: BTreeSet<ServiceKey>,
    /// Being reconciled, and whether something has happened since that began.
    running: BTreeMap<ServiceKey, bool>,
    timers: BTreeMap<ServiceKey, Instant>,
    due: BTreeSet<(Instant, ServiceKey)>,
    /// Services that want tasks for which there was no place; those that were told of room last come last.
    waiting: VecDeque<ServiceKey>,
    /// Clusters where there may be room since that was last told.
    freed: BTreeSet<ClusterKey>,
}

impl Agenda {
    fn wake(&mut self, key: ServiceKey) {
        match self.running.get_mut(&key) {
            Some(again) => *again = true,
            None => {
                self.ready.insert(key);
            }
        }
    }

    /// The next service to be reconciled, which counts as being so from now on.
    fn start(&mut self, owns: impl Fn(&ServiceKey) -> bool) -> Option<ServiceKey> {
        if self.running.len() >= AT_ONCE {
            return None;
        }
        // Another scheduler looks after the others.
        let key = std::iter::from_fn(|| self.ready.pop_first()).find(|key| owns(key))?;
        self.set_timer(&key, None);
        self.running.insert(key.clone(), false);
        Some(key)
    }

    fn finish(&mut self, key: &ServiceKey, outcome: &Reconciled, now: Instant) {
        let again = self.running.remove(key).unwrap_or(false) || outcome.unfinished;
        match (outcome.waits_for_room, self.waiting.contains(key)) {
            (true, false) => self.waiting.push_back(key.clone()),
            (false, true) => self.waiting.retain(|waiting| waiting != key),
            (true, true) | (false, false) => {}
        }
        // What happens to a large service while it grows is looked at in batches.
        let pause = PAUSE_PER_TASK * u32::try_from(outcome.tasks).unwrap_or(u32::MAX);
        let wake = outcome.wake.map(|at| now + at.since(clock::now()).max(pause));
        self.set_timer(key, if again { Some(now + pause) } else { wake });
    }

    fn set_timer(&mut self, key: &ServiceKey, at: Option<Instant>) {
        if let Some(before) = self.timers.remove(key) {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.timers.insert(key.clone(), at);
            self.due.insert((at, key.clone()));
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some((at, key)) = self.due.first().cloned()
            && at <= now
        {
            self.set_timer(&key, None);
            self.wake(key);
        }
    }

    /// Wakes the services that what was heard concerns.
    fn hear(&mut self, heard: Heard, state: &State) {
        for key in heard.services {
            self.wake(key);
        }
        let mut changed: BTreeSet<ClusterKey> = BTreeSet::new();
        for key in heard.instances {
            for task in state.live_tasks_on(key) {
                if let Some(service) = task.launch.service_key(key.cluster) {
                    self.wake(service);
                }
            }
            if changed.insert(key.cluster) {
                let daemons = state.services_of(key.cluster).filter(|service| service.is_daemon());
                daemons.for_each(|service| self.wake(service.key()));
            }
        }
        self.freed.extend(heard.freed);
        self.freed.extend(changed);
    }

    /// Tells some of those that wait for it that there may be room.
    fn tell_room(&mut self) {
        let (concerned, others): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|key| self.freed.contains(&key.cluster));
        let mut untold = concerned;
        let told: Vec<ServiceKey> = untold.drain(..untold.len().min(ROOM_AT_ONCE)).collect();
        self.freed = untold.iter().map(|key| key.cluster).collect();
        for key in &told {
            self.wake(key.clone());
        }
        self.waiting = untold.into_iter().chain(others).chain(told).collect();
    }

    fn is_room_to_tell(&self) -> bool {
        !self.freed.is_empty() && !self.waiting.is_empty()
    }

    fn sweep(&mut self, state: &State) {
        state.services().for_each(|service| self.wake(service.key()));
    }
}

/// Reconciles services until the engine is gone.
pub async fn keep_services(engine: Engine, wakes: Arc<Wakes>, timing: Timing, replicas: Arc<Replicas>) {
    let mut moves = replicas.moves();
    let mut agenda = Agenda::default();
    let mut steps: JoinSet<(ServiceKey, Result<Reconciled, Fault>)> = JoinSet::new();
    let mut sweep = every(SWEEP);
    let mut room = every(ROOM);
    loop {
        while let Some(key) = agenda.start(|key| replicas.owns(key)) {
            let engine = engine.clone();
            steps.spawn(async move {
                let command = ReconcileService {
                    key: key.clone(),
                    timing,
                };
                let outcome = engine.submit(command, "scheduler".into()).await;
                (key, outcome)
            });
        }
        let timer = agenda.next_timer();
        tokio::select! {
            () = wakes.wake.notified() => agenda.hear(wakes.take(), &engine.view()),
            Some(done) = steps.join_next() => match done {
                Ok((key, outcome)) => finish(&mut agenda, &key, outcome),
                Err(error) => tracing::error!(%error, "a step of a service ended"),
            },
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => agenda.wake_due(Instant::now()),
            _ = room.tick(), if agenda.is_room_to_tell() => agenda.tell_room(),
            Ok(()) = moves.changed() => agenda.sweep(&engine.view()),
            _ = sweep.tick() => agenda.sweep(&engine.view()),
        }
    }
}

fn finish(agenda: &mut Agenda, key: &ServiceKey, outcome: Result<Reconciled, Fault>) {
    let outcome = outcome.unwrap_or_else(|fault| {
        tracing::warn!(service = %key.service, error = %fault, "service not reconciled");
        Reconciled {
            wake: Some(clock::now() + RETRY),
            ..Reconciled::default()
        }
    });
    agenda.finish(key, &outcome, Instant::now());
}
