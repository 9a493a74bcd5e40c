//! Runs schedules when they are due: asks the engine to fire each that the published state says has something to do.
//!
//! One timer, on the first of them. A sleep ends early when a schedule is made or changed, and never lasts longer than a
//! few seconds, since a clock may be set. Decides nothing: the command looks at the newest state, so that a time runs
//! once however many schedulers ask for it.

use std::sync::Arc;
use std::time::Duration;

use berth_model::schedule::RunOutcome;
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::decide::schedule::run::{FireSchedule, Ran};
use berth_scheduler_core::keys::ScheduleKey;
use berth_scheduler_core::state::State;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock;
use crate::engine::{Engine, Observer};
use crate::replicas::Replicas;

/// Schedules that are fired at once; their changes share records.
const AT_ONCE: usize = 64;
/// The longest sleep: a clock that is set forward is noticed after it.
const SLEEP: Duration = Duration::from_secs(5);
/// How long to wait after a command was refused (the engine is overloaded, say).
const RETRY: Duration = Duration::from_secs(1);

/// Wakes the driver when a schedule may have something to do earlier than was known.
#[derive(Debug, Default)]
pub struct Alarm {
    wake: Notify,
}

impl Observer for Alarm {
    fn published(&self, _state: &State, record: &Record, _bytes: usize) {
        let mut changes = record.entries.iter().flat_map(|entry| &entry.changes);
        // What runs of schedules change is the driver's own doing.
        if changes.any(|change| matches!(change, Change::ScheduleCreated { .. } | Change::ScheduleUpdated { .. })) {
            self.wake.notify_one();
        }
    }
}

/// Fires schedules until the engine is gone.
pub async fn run_schedules(engine: Engine, alarm: Arc<Alarm>, replicas: Arc<Replicas>) {
    loop {
        let state = engine.view();
        let now = clock::now();
        let own = || state.schedules().due().filter(|(_, key)| replicas.owns(key));
        let due = own().take_while(|(at, _)| *at <= now);
        let due: Vec<ScheduleKey> = due.take(AT_ONCE).map(|(_, key)| key.clone()).collect();
        let first = own().next().map(|(at, _)| at);
        drop(state);
        let sleep = match (due.is_empty(), first) {
            (false, _) => match fire(&engine, due).await {
                true => continue,
                false => RETRY,
            },
            (true, Some(at)) => at.since(now).min(SLEEP),
            (true, None) => SLEEP,
        };
        // Either way there is another look.
        drop(timeout(sleep, alarm.wake.notified()).await);
    }
}

/// Fires the schedules; tells whether each could be.
async fn fire(engine: &Engine, due: Vec<ScheduleKey>) -> bool {
    let mut fires = JoinSet::new();
    for key in due {
        let engine = engine.clone();
        fires.spawn(async move {
            let command = FireSchedule { key: key.clone() };
            (key, engine.submit(command, "scheduler".into()).await)
        });
    }
    let mut all = true;
    while let Some(done) = fires.join_next().await {
        match done {
            Ok((key, Ok(ran))) => ran.iter().for_each(|ran| tell(&key, ran)),
            Ok((key, Err(fault))) => {
                tracing::warn!(schedule = %key.schedule, error = %fault, "schedule not run");
                all = false;
            }
            Err(error) => {
                tracing::error!(%error, "a run of a schedule ended");
                all = false;
            }
        }
    }
    all
}

fn tell(key: &ScheduleKey, ran: &Ran) {
    let Ran {
        run,
        outcome,
        reason,
        tasks,
        missed,
    } = ran;
    let reason = reason.as_deref().unwrap_or_default();
    let schedule = &key.schedule;
    match outcome {
        RunOutcome::Started | RunOutcome::Skipped => {
            tracing::info!(%schedule, run, %outcome, tasks, missed, reason, "schedule run");
        }
        RunOutcome::Retrying | RunOutcome::Failed | RunOutcome::Missed => {
            tracing::warn!(%schedule, run, %outcome, tasks, missed, reason, "schedule run without all its tasks");
        }
    }
}
