//! What a schedule does when it is due, when tasks of its last run are missing, and when somebody asks.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::name::{ClusterName, ScheduleName};
use berth_model::schedule::{ActionAfterCompletion, OverlapPolicy, RetryPolicy, RunOutcome};
use berth_model::status::{DesiredStatus, StopCode};
use berth_model::time::Timestamp;

use super::{find, given_up};
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::decide::queue::obstacle;
use crate::decide::run::{Failure, Launched};
use crate::decide::stop::requested;
use crate::keys::{ScheduleKey, TaskKey};
use crate::schedule::{Occurrence, Passed, Retry, Run};
use crate::state::{Schedule, State};

/// Does what a schedule has to do now: the run that is due, or the next attempt at what is missing of the last one.
/// Nothing where neither is so, so that a time at which it is due runs once however often this is asked.
#[derive(Debug, Clone)]
pub struct FireSchedule {
    /// The schedule.
    pub key: ScheduleKey,
}

/// Runs a schedule now, whatever its state; what is due stays so. Tasks that find no room are not tried again.
#[derive(Debug, Clone)]
pub struct RunSchedule {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The schedule.
    pub name: ScheduleName,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The run's number.
    pub run: u64,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Why not all its tasks were started.
    pub reason: Option<Arc<str>>,
    /// Tasks that were started now.
    pub tasks: usize,
    /// Times at which it was due before, which passed unused.
    pub missed: u32,
}

/// What a schedule did.
struct Done {
    changes: Vec<Change>,
    ran: Ran,
    /// Whether it has nothing to do any more.
    is_over: bool,
}

/// One attempt to start tasks.
struct Attempt {
    changes: Vec<Change>,
    tasks: Vec<TaskId>,
    /// Why some are missing.
    reason: Option<Arc<str>>,
}

impl Command for FireSchedule {
    /// Nothing where there was nothing to do.
    type Outcome = Option<Ran>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Option<Ran>>, Fault> {
        let Some(schedule) = state.schedules().get(&self.key) else {
            return Ok(Decision::unchanged(None));
        };
        let now = env.now();
        let is_due = schedule.next.is_some_and(|next| next.begin <= now);
        let retry = schedule.retry.filter(|retry| retry.at <= now);
        let done = match (is_due, retry) {
            (true, _) => due(state, schedule, env),
            (false, Some(retry)) => again(state, schedule, retry, env),
            (false, None) => return Ok(Decision::unchanged(None)),
        };
        let mut changes = done.changes;
        if done.is_over && schedule.spec.after_completion == ActionAfterCompletion::Delete {
            changes.push(Change::ScheduleDeleted {
                cluster: self.key.cluster,
                schedule: self.key.schedule.clone(),
            });
        }
        Ok(Decision {
            changes,
            outcome: Some(done.ran),
        })
    }
}

impl Command for RunSchedule {
    /// The number of the run.
    type Outcome = (ScheduleKey, u64);

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Self::Outcome>, Fault> {
        let (key, schedule) = find(state, &self.cluster, &self.name)?;
        let number = schedule.last_run + 1;
        let mut run = Run {
            attempts: 1,
            ..new_run(schedule, None, env.now())
        };
        let mut changes = Vec::new();
        if !stands_back(schedule, &mut run) {
            changes.extend(stops(state, schedule, number, env.now()));
            let attempt = launch(state, schedule, schedule.spec.target.run.count, env)?;
            run.tasks.clone_from(&attempt.tasks);
            run.outcome = outcome(&attempt, None);
            run.reason = attempt.reason;
            changes.extend(attempt.changes);
        }
        changes.push(Change::ScheduleRan {
            cluster: key.cluster,
            schedule: key.schedule.clone(),
            run: Box::new(run),
            next: schedule.next,
            retry: schedule.retry,
        });
        Ok(Decision {
            changes,
            outcome: (key, number),
        })
    }
}

/// What a schedule does that is due.
fn due(state: &State, schedule: &Schedule, env: &mut Env<'_>) -> Done {
    let now = env.now();
    let spec = &schedule.spec;
    let passed = passed(schedule, now);
    let latest = passed.newest.due + spec.retry.patience(spec.window);
    let mut run = Run {
        missed: passed.before,
        ..new_run(schedule, Some(passed.newest.due), now)
    };
    let mut changes: Vec<Change> = given_up(schedule, "the next run was due", now).into_iter().collect();
    let mut retry = None;
    if now > latest {
        run.missed = run.missed.saturating_add(1);
        run.outcome = RunOutcome::Missed;
        let text = format!(
            "It could begin until {}, and nothing ran it by then.",
            latest.to_rfc3339()
        );
        run.reason = Some(text.into());
    } else if !stands_back(schedule, &mut run) {
        changes.extend(stops(state, schedule, run.number, now));
        let attempt = attempt(state, schedule, spec.target.run.count, env);
        let first = Retry {
            run: run.number,
            due: passed.newest.due,
            missing: spec.target.run.count,
            attempts: 0,
            at: now,
        };
        retry = first.after(schedule, &attempt, now);
        run.attempts = 1;
        run.tasks.clone_from(&attempt.tasks);
        run.outcome = outcome(&attempt, retry);
        run.reason = attempt.reason;
        changes.extend(attempt.changes);
    }
    let ran = Ran {
        run: run.number,
        outcome: run.outcome,
        reason: run.reason.clone(),
        tasks: run.tasks.len(),
        missed: run.missed,
    };
    changes.push(Change::ScheduleRan {
        cluster: schedule.cluster,
        schedule: schedule.name.clone(),
        run: Box::new(run),
        next: passed.next,
        retry,
    });
    Done {
        changes,
        ran,
        is_over: passed.next.is_none() && retry.is_none(),
    }
}

/// The next attempt at what is missing of the last run.
fn again(state: &State, schedule: &Schedule, retry: Retry, env: &mut Env<'_>) -> Done {
    let now = env.now();
    let latest = retry.due + schedule.spec.retry.patience(schedule.spec.window);
    let mut ran = Ran {
        run: retry.run,
        outcome: RunOutcome::Failed,
        reason: None,
        tasks: 0,
        missed: 0,
    };
    if now > latest {
        let changes = given_up(schedule, "its time is over", now);
        return Done {
            changes: changes.into_iter().collect(),
            ran,
            is_over: schedule.next.is_none(),
        };
    }
    let attempt = attempt(state, schedule, retry.missing, env);
    let next = retry.after(schedule, &attempt, now);
    ran.outcome = outcome(&attempt, next);
    ran.reason.clone_from(&attempt.reason);
    ran.tasks = attempt.tasks.len();
    let mut changes = attempt.changes;
    changes.push(Change::ScheduleRetried {
        cluster: schedule.cluster,
        schedule: schedule.name.clone(),
        run: retry.run,
        tasks: attempt.tasks,
        outcome: ran.outcome,
        reason: attempt.reason,
        attempts: retry.attempts + 1,
        retry: next,
        at: now,
    });
    Done {
        changes,
        ran,
        is_over: schedule.next.is_none() && next.is_none(),
    }
}

impl Retry {
    /// What is left to be tried after an attempt; nothing where all was started or its policy lets no further one.
    fn after(self, schedule: &Schedule, attempt: &Attempt, now: Timestamp) -> Option<Self> {
        let policy = &schedule.spec.retry;
        let started = u32::try_from(attempt.tasks.len()).unwrap_or(u32::MAX);
        let missing = self.missing.saturating_sub(started);
        let attempts = self.attempts + 1;
        let at = now + RetryPolicy::pause(attempts);
        let in_time = at <= self.due + policy.patience(schedule.spec.window);
        (missing > 0 && attempts <= policy.maximum_attempts && in_time).then_some(Self {
            missing,
            attempts,
            at,
            ..self
        })
    }
}

fn new_run(schedule: &Schedule, due: Option<Timestamp>, at: Timestamp) -> Run {
    Run {
        number: schedule.last_run + 1,
        due,
        at,
        outcome: RunOutcome::Started,
        reason: None,
        attempts: 0,
        tasks: Vec::new(),
        missed: 0,
        succeeded: 0,
        failed: 0,
        failure: None,
        ended: None,
    }
}

/// What has come due. Its timing was read when it was asked for; where another build of the scheduler no longer reads it,
/// the run is the last.
fn passed(schedule: &Schedule, now: Timestamp) -> Passed {
    let spec = &schedule.spec;
    let first = schedule.next.unwrap_or(Occurrence { due: now, begin: now });
    match spec.timing.recurrence(schedule.anchor) {
        Ok(recurrence) => first.passed(now, &schedule.name, &recurrence, spec.window, &spec.retry),
        Err(_) => Passed {
            newest: first,
            before: 0,
            next: None,
        },
    }
}

/// Whether the run starts nothing, as tasks of earlier ones have not stopped.
fn stands_back(schedule: &Schedule, run: &mut Run) -> bool {
    if schedule.spec.overlap != OverlapPolicy::Skip || schedule.live.is_empty() {
        return false;
    }
    let newest = schedule.live.values().max().copied().unwrap_or_default();
    let text = match schedule.live.len() {
        1 => format!("A task of run {newest} has not stopped, and its overlap policy is SKIP."),
        count => format!(
            "{count} tasks of earlier runs have not stopped, the last of run {newest}, and its overlap policy is SKIP."
        ),
    };
    run.outcome = RunOutcome::Skipped;
    run.attempts = 0;
    run.reason = Some(text.into());
    true
}

/// The ends of tasks of earlier runs, where the run takes their place.
fn stops(state: &State, schedule: &Schedule, run: u64, at: Timestamp) -> Vec<Change> {
    if schedule.spec.overlap != OverlapPolicy::Replace {
        return Vec::new();
    }
    let reason: Arc<str> = format!("Replaced by run {run} of schedule {}.", schedule.name).into();
    let cluster = schedule.cluster;
    let stop = |task: &TaskId| {
        let key = TaskKey { cluster, task: *task };
        if state.queue().task(key).is_some() {
            return Some(Change::QueuedTaskEnded {
                cluster,
                task: *task,
                code: StopCode::UserInitiated,
                reason: Arc::clone(&reason),
                at,
            });
        }
        let running = state.task(key)?.desired == DesiredStatus::Running;
        running.then(|| requested(state, key, StopCode::UserInitiated, Arc::clone(&reason), at))
    };
    schedule.live.keys().filter_map(stop).collect()
}

/// Starts tasks; what refuses them is a reason as much as a lack of room.
fn attempt(state: &State, schedule: &Schedule, count: u32, env: &mut Env<'_>) -> Attempt {
    launch(state, schedule, count, env).unwrap_or_else(|fault| Attempt {
        changes: Vec::new(),
        tasks: Vec::new(),
        reason: Some(fault.message.into()),
    })
}

fn launch(state: &State, schedule: &Schedule, count: u32, env: &mut Env<'_>) -> Result<Attempt, Fault> {
    let mut run = schedule.spec.target.run.clone();
    run.count = count;
    run.call.started_by = Some(format!("schedule/{}", schedule.name).into());
    run.call.schedule = Some(schedule.name.clone());
    let Decision { changes, outcome } = run.decide(state, env)?;
    let missing = usize::try_from(count).unwrap_or(usize::MAX) - outcome.tasks.len();
    Ok(Attempt {
        changes,
        reason: (missing > 0).then(|| why(&outcome, missing)),
        tasks: outcome.tasks,
    })
}

/// Why tasks are missing: in ECS's words, and in full.
fn why(launched: &Launched, missing: usize) -> Arc<str> {
    let (reason, detail) = match (&launched.explanation, launched.failures.first()) {
        (Some(explanation), _) => obstacle(Some(explanation)),
        (None, Some(Failure::Refused(refusal))) => {
            let texts: Vec<String> = refusal.misfits.iter().map(ToString::to_string).collect();
            let first = refusal.misfits.first().map_or("RESOURCE", |misfit| misfit.reason());
            (first.into(), texts.join("; ").into())
        }
        (None, Some(Failure::Missing(_) | Failure::Changed { .. }) | None) => obstacle(None),
    };
    let tasks = if missing == 1 { "task" } else { "tasks" };
    match detail.is_empty() {
        true => format!("No room for {missing} {tasks}: {reason}."),
        false => format!("No room for {missing} {tasks}: {reason}: {detail}."),
    }
    .into()
}

fn outcome(attempt: &Attempt, retry: Option<Retry>) -> RunOutcome {
    match (&attempt.reason, retry) {
        (None, _) => RunOutcome::Started,
        (Some(_), Some(_)) => RunOutcome::Retrying,
        (Some(_), None) => RunOutcome::Failed,
    }
}
