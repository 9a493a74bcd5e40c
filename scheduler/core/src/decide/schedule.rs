//! CreateSchedule, UpdateSchedule and DeleteSchedule: what a user asks of a schedule. What it does when it is due is
//! decided by [`run`].

pub mod run;

use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ScheduleName};
use berth_model::schedule::{
    ActionAfterCompletion, FlexibleTimeWindow, OverlapPolicy, RetryPolicy, RunOutcome, ScheduleState,
};
use berth_model::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, ScheduleKey};
use crate::launch::ClientToken;
use crate::schedule::{Occurrence, ScheduleSpec, Target};
use crate::state::{Schedule, State};

/// Schedules of a cluster, at most.
pub const MAX_SCHEDULES: usize = 10_000;

/// Makes a schedule. One that is there stays as it is where the same caller asks again (EventBridge Scheduler API,
/// CreateSchedule).
#[derive(Debug, Clone)]
pub struct CreateSchedule {
    /// Its cluster; the target's is the same.
    pub cluster: ClusterName,
    /// Its name.
    pub name: ScheduleName,
    /// What it is to do.
    pub spec: ScheduleSpec,
    /// The token by which the caller may ask again.
    pub client_token: Option<ClientToken>,
}

/// Changes a schedule; members that are absent stay as they are, as in ECS's UpdateService.
#[derive(Debug, Clone, Default)]
pub struct ScheduleUpdate {
    /// When it is due.
    pub expression: Option<Arc<str>>,
    /// Whose clocks.
    pub zone: Option<Arc<str>>,
    /// From when on, or that there is no such time any more.
    pub start: Option<Option<Timestamp>>,
    /// Until when, or that there is no such time any more.
    pub end: Option<Option<Timestamp>>,
    /// Whether it runs when it is due.
    pub state: Option<ScheduleState>,
    /// For how long a run may begin after it was due.
    pub window: Option<FlexibleTimeWindow>,
    /// What becomes of it once it will not be due again.
    pub after_completion: Option<ActionAfterCompletion>,
    /// What a run does while tasks of an earlier one have not stopped.
    pub overlap: Option<OverlapPolicy>,
    /// For how long and how often tasks that could not be placed are tried again.
    pub retry: Option<RetryPolicy>,
    /// In the user's words, or that there are none any more.
    pub description: Option<Option<Arc<str>>>,
    /// What a run does, all of it.
    pub target: Option<Target>,
}

/// UpdateSchedule.
#[derive(Debug, Clone)]
pub struct UpdateSchedule {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The schedule.
    pub name: ScheduleName,
    /// What is to change.
    pub update: ScheduleUpdate,
    /// The version that the caller has seen; another one is a conflict.
    pub version: Option<u64>,
}

/// Deletes a schedule with its history. Its tasks go on.
#[derive(Debug, Clone)]
pub struct DeleteSchedule {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The schedule.
    pub name: ScheduleName,
}

impl Command for CreateSchedule {
    type Outcome = ScheduleKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ScheduleKey>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let key = key_of(cluster, &self.name);
        if let Some(known) = state.schedules().get(&key) {
            return match self.client_token.is_some() && known.client_token == self.client_token {
                true => Ok(Decision::unchanged(key)),
                false => Err(conflict(known, format!("Schedule {} already exists.", self.name))),
            };
        }
        if state.schedules().count(cluster) >= MAX_SCHEDULES {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!(
                    "cluster {} has {MAX_SCHEDULES} schedules, no more are allowed.",
                    self.cluster
                ),
            ));
        }
        self.spec
            .target
            .run
            .admit(state, state.active_cluster(&self.cluster)?)?;
        // A rate without a start is due at once.
        let first = self.spec.next(&self.name, env.now(), just_before(env.now()))?;
        let created = Change::ScheduleCreated {
            cluster,
            schedule: self.name.clone(),
            spec: Arc::new(self.spec.clone()),
            next: match self.spec.state {
                ScheduleState::Enabled => Some(first.ok_or_else(|| never_due(&self.spec, env.now()))?),
                ScheduleState::Disabled => None,
            },
            client_token: self.client_token.clone(),
            at: env.now(),
        };
        Ok(Decision {
            changes: vec![created],
            outcome: key,
        })
    }
}

impl Command for UpdateSchedule {
    type Outcome = ScheduleKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ScheduleKey>, Fault> {
        let (key, schedule) = find(state, &self.cluster, &self.name)?;
        let version = schedule.version;
        if let Some(seen) = self.version.filter(|seen| *seen != version) {
            let text = format!(
                "Schedule {} is at version {version}, not {seen}: it was changed meanwhile.",
                self.name
            );
            return Err(conflict(schedule, text));
        }
        let before = &schedule.spec;
        let spec = self.update.applied(before);
        if spec == **before {
            return Ok(Decision::unchanged(key));
        }
        if spec.target != before.target {
            spec.target.run.admit(state, state.active_cluster(&self.cluster)?)?;
        }
        let now = env.now();
        let retimed = spec.timing != before.timing;
        let anchor = if retimed { now } else { schedule.anchor };
        let resumes = spec.state == ScheduleState::Enabled && before.state == ScheduleState::Disabled;
        let next = match (spec.state, schedule.next) {
            // What its expression breaks is told although it is not due now.
            (ScheduleState::Disabled, _) => spec.next(&self.name, anchor, now)?.and(None),
            (ScheduleState::Enabled, _) if retimed || resumes => {
                let next = spec.next(&self.name, anchor, now)?;
                Some(next.ok_or_else(|| never_due(&spec, now))?)
            }
            // The window may be another.
            (ScheduleState::Enabled, Some(next)) => spec.next(&self.name, anchor, just_before(next.due))?,
            (ScheduleState::Enabled, None) => None,
        };
        let mut changes = Vec::new();
        if spec.state == ScheduleState::Disabled {
            changes.extend(given_up(schedule, "the schedule was disabled", now));
        }
        changes.push(Change::ScheduleUpdated {
            cluster: key.cluster,
            schedule: key.schedule.clone(),
            spec: Arc::new(spec),
            anchor,
            next,
            at: now,
        });
        Ok(Decision { changes, outcome: key })
    }
}

impl Command for DeleteSchedule {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let (key, _) = find(state, &self.cluster, &self.name)?;
        Ok(Decision {
            changes: vec![Change::ScheduleDeleted {
                cluster: key.cluster,
                schedule: key.schedule,
            }],
            outcome: (),
        })
    }
}

impl ScheduleUpdate {
    /// What the schedule is told to do from now on.
    fn applied(&self, before: &ScheduleSpec) -> ScheduleSpec {
        let mut next = before.clone();
        let timing = &mut next.timing;
        if let Some(expression) = &self.expression {
            timing.expression.clone_from(expression);
        }
        if let Some(zone) = &self.zone {
            timing.zone.clone_from(zone);
        }
        timing.start = self.start.unwrap_or(timing.start);
        timing.end = self.end.unwrap_or(timing.end);
        next.state = self.state.unwrap_or(next.state);
        next.window = self.window.unwrap_or(next.window);
        next.after_completion = self.after_completion.unwrap_or(next.after_completion);
        next.overlap = self.overlap.unwrap_or(next.overlap);
        next.retry = self.retry.unwrap_or(next.retry);
        if let Some(description) = &self.description {
            next.description.clone_from(description);
        }
        if let Some(target) = &self.target {
            next.target.clone_from(target);
        }
        next
    }
}

impl ScheduleSpec {
    /// The first time after the instant at which a schedule of the name is due whose rate begins at `anchor`.
    ///
    /// # Errors
    /// `InvalidParameterException` where its timing cannot be read.
    fn next(&self, name: &ScheduleName, anchor: Timestamp, after: Timestamp) -> Result<Option<Occurrence>, Fault> {
        let recurrence = self.timing.recurrence(anchor)?;
        Ok(Occurrence::after(after, name, &recurrence, self.window, &self.retry))
    }
}

/// The last instant before this one.
fn just_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_millis(instant.as_millis().saturating_sub(1))
}

fn key_of(cluster: ClusterKey, name: &ScheduleName) -> ScheduleKey {
    ScheduleKey {
        cluster,
        schedule: name.clone(),
    }
}

fn find<'s>(
    state: &'s State,
    cluster: &ClusterName,
    name: &ScheduleName,
) -> Result<(ScheduleKey, &'s Schedule), Fault> {
    let key = key_of(state.active_cluster(cluster)?.key, name);
    let schedule = state.schedules().get(&key);
    Ok((key, schedule.ok_or_else(|| Fault::schedule_not_found(name))?))
}

fn conflict(schedule: &Schedule, message: String) -> Fault {
    let mut fault = Fault::new(FaultClass::Conflict, message);
    fault.resource_ids = vec![schedule.name.to_string()];
    fault
}

fn never_due(spec: &ScheduleSpec, now: Timestamp) -> Fault {
    let timing = &spec.timing;
    let mut rule = format!(
        "scheduleExpression '{}' in {} is never due after {}",
        timing.expression,
        timing.zone,
        now.to_rfc3339()
    );
    if let Some(end) = timing.end {
        rule.push_str(&format!(" and until endDate {}", end.to_rfc3339()));
    }
    Fault::invalid(format!("{rule}: it would never run."))
}

/// That what is missing of the schedule's last run is not tried again.
fn given_up(schedule: &Schedule, why: &str, now: Timestamp) -> Option<Change> {
    let retry = schedule.retry?;
    let last = schedule.run(retry.run).and_then(|run| run.reason.as_deref());
    let reason = match last {
        Some(last) => format!("{last} Given up: {why}."),
        None => format!("Given up: {why}."),
    };
    Some(Change::ScheduleRetried {
        cluster: schedule.cluster,
        schedule: schedule.name.clone(),
        run: retry.run,
        tasks: Vec::new(),
        outcome: RunOutcome::Failed,
        reason: Some(reason.into()),
        attempts: retry.attempts,
        retry: None,
        at: now,
    })
}
