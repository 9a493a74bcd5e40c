//! CreateSchedule, UpdateSchedule, DeleteSchedule, DescribeSchedule, ListSchedules and RunSchedule.

mod describe;

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::name::{ClusterName, ScheduleName};
use berth_model::schedule::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, OverlapPolicy, RetryPolicy, ScheduleState, Zone,
};
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_proto::v1 as wire;
use berth_scheduler_core::decide::schedule::run::RunSchedule;
use berth_scheduler_core::decide::schedule::{CreateSchedule, DeleteSchedule, ScheduleUpdate, UpdateSchedule};
use berth_scheduler_core::keys::ScheduleKey;
use berth_scheduler_core::schedule::{ScheduleSpec, Target, Timing};
use berth_scheduler_core::state::{Schedule, State};

use self::describe::View;
use super::capacity::Capacity;
use super::page::Page;
use super::request::{fingerprint, given, one_of, required};
use super::{Api, Caller, network, tasks};

const MAX_DESCRIPTION: usize = 512;
/// Runs and due times of one answer, at most; the runs are as many as are kept.
const MOST: usize = 100;
/// Due times of an answer whose request does not say how many.
const UPCOMING: usize = 5;

pub(super) async fn create(
    api: &Api,
    request: wire::CreateScheduleRequest,
    caller: &Caller,
) -> Result<wire::CreateScheduleResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let name = ScheduleName::parse(required("name", request.name.as_ref())?)?;
    let mut rest = request.clone();
    let token = rest.client_token.take();
    let client_token = match given(token.as_ref()) {
        Some(token) => Some(tasks::token(token, fingerprint(&rest)?)?),
        None => None,
    };
    let target = request
        .target
        .ok_or_else(|| Fault::invalid("target must be given: what a run of the schedule does."))?;
    let spec = ScheduleSpec {
        timing: Timing {
            expression: required("scheduleExpression", request.schedule_expression.as_ref())?.into(),
            zone: given(request.schedule_expression_timezone.as_ref())
                .unwrap_or(Zone::DEFAULT)
                .into(),
            start: date("startDate", request.start_date)?,
            end: date("endDate", request.end_date)?,
        },
        state: state(request.state.as_ref())?.unwrap_or_default(),
        window: window(request.flexible_time_window.as_ref())?.unwrap_or_default(),
        after_completion: after_completion(request.action_after_completion.as_ref())?.unwrap_or_default(),
        overlap: overlap(request.overlap_policy.as_ref())?.unwrap_or_default(),
        retry: retry(request.retry_policy.as_ref())?.unwrap_or_default(),
        description: description(request.description)?,
        target: read_target(api, &cluster, target)?,
    };
    let command = CreateSchedule {
        cluster: cluster.clone(),
        name,
        spec,
        client_token,
    };
    let key = api.submit(command, caller).await?;
    Ok(wire::CreateScheduleResponse {
        schedule: shown(api, &cluster, &key),
    })
}

pub(super) async fn update(
    api: &Api,
    request: wire::UpdateScheduleRequest,
    caller: &Caller,
) -> Result<wire::UpdateScheduleResponse, Fault> {
    let (cluster, name) = named(api, request.cluster.as_ref(), request.name.as_ref())?;
    let target = request.target.map(|target| read_target(api, &cluster, target));
    let removed = Removed::read(&request.remove)?;
    let text = |member: Option<&String>| given(member).map(Arc::from);
    let update = ScheduleUpdate {
        expression: text(request.schedule_expression.as_ref()),
        zone: text(request.schedule_expression_timezone.as_ref()),
        start: removed.or("startDate", date("startDate", request.start_date)?)?,
        end: removed.or("endDate", date("endDate", request.end_date)?)?,
        state: state(request.state.as_ref())?,
        window: window(request.flexible_time_window.as_ref())?,
        after_completion: after_completion(request.action_after_completion.as_ref())?,
        overlap: overlap(request.overlap_policy.as_ref())?,
        retry: retry(request.retry_policy.as_ref())?,
        description: removed.or("description", description(request.description)?)?,
        target: target.transpose()?,
    };
    let command = UpdateSchedule {
        cluster: cluster.clone(),
        name,
        update,
        version: request.version,
    };
    let key = api.submit(command, caller).await?;
    Ok(wire::UpdateScheduleResponse {
        schedule: shown(api, &cluster, &key),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: wire::DeleteScheduleRequest,
    caller: &Caller,
) -> Result<wire::DeleteScheduleResponse, Fault> {
    let (cluster, name) = named(api, request.cluster.as_ref(), request.name.as_ref())?;
    api.submit(DeleteSchedule { cluster, name }, caller).await?;
    Ok(wire::DeleteScheduleResponse {})
}

pub(super) fn describe(
    api: &Api,
    request: &wire::DescribeScheduleRequest,
) -> Result<wire::DescribeScheduleResponse, Fault> {
    let (cluster, name) = named(api, request.cluster.as_ref(), request.name.as_ref())?;
    let runs = at_most("maxRuns", request.max_runs, MOST)?;
    let upcoming = at_most("maxUpcoming", request.max_upcoming, UPCOMING)?;
    let state = api.view();
    let schedule = find(&state, &cluster, &name)?;
    let view = View::new(&api.namespace, &cluster);
    Ok(wire::DescribeScheduleResponse {
        schedule: Some(view.schedule(schedule)),
        runs: schedule.runs.iter().take(runs).map(|run| view.run(run)).collect(),
        upcoming: describe::upcoming(schedule, upcoming),
    })
}

pub(super) fn list(api: &Api, request: &wire::ListSchedulesRequest) -> Result<wire::ListSchedulesResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let wanted = state(request.state.as_ref())?;
    let prefix = given(request.name_prefix.as_ref()).unwrap_or_default();
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let after = page.after.as_deref().map(ScheduleName::parse).transpose()?;
    let state = api.view();
    let key = state.active_cluster(&cluster)?.key;
    let schedules = state.schedules().of(key, after.as_ref()).filter(|schedule| {
        let is_wanted = wanted.is_none_or(|wanted| schedule.spec.state == wanted);
        is_wanted && schedule.name.as_str().starts_with(prefix)
    });
    let (schedules, next_token) = page.take(schedules, |schedule| schedule.name.to_string());
    let view = View::new(&api.namespace, &cluster);
    Ok(wire::ListSchedulesResponse {
        schedules: schedules.into_iter().map(|schedule| view.schedule(schedule)).collect(),
        next_token,
    })
}

pub(super) async fn run(
    api: &Api,
    request: wire::RunScheduleRequest,
    caller: &Caller,
) -> Result<wire::RunScheduleResponse, Fault> {
    let (cluster, name) = named(api, request.cluster.as_ref(), request.name.as_ref())?;
    let command = RunSchedule {
        cluster: cluster.clone(),
        name,
    };
    let (key, number) = api.submit(command, caller).await?;
    let state = api.view();
    let run = state.schedules().get(&key).and_then(|schedule| schedule.run(number));
    Ok(wire::RunScheduleResponse {
        run: run.map(|run| View::new(&api.namespace, &cluster).run(run)),
    })
}

/// The schedule as it is now; nothing where it was deleted meanwhile.
fn shown(api: &Api, cluster: &ClusterName, key: &ScheduleKey) -> Option<wire::Schedule> {
    let state = api.view();
    let schedule = state.schedules().get(key)?;
    Some(View::new(&api.namespace, cluster).schedule(schedule))
}

fn find<'s>(state: &'s State, cluster: &ClusterName, name: &ScheduleName) -> Result<&'s Schedule, Fault> {
    let key = ScheduleKey {
        cluster: state.active_cluster(cluster)?.key,
        schedule: name.clone(),
    };
    let schedule = state.schedules().get(&key);
    schedule.ok_or_else(|| Fault::schedule_not_found(name))
}

/// The cluster and the schedule that a request names.
fn named(api: &Api, cluster: Option<&String>, schedule: Option<&String>) -> Result<(ClusterName, ScheduleName), Fault> {
    let cluster = api.cluster(given(cluster))?;
    let name = api.namespace.parse_schedule(&cluster, required("name", schedule)?)?;
    Ok((cluster, name))
}

/// What a run does: a RunTask in the schedule's cluster.
fn read_target(api: &Api, cluster: &ClusterName, mut request: ecs::RunTaskRequest) -> Result<Target, Fault> {
    let in_target = |fault: Fault| Fault::new(fault.class, format!("target: {}", fault.message));
    for (member, is_given, whose) in [
        (
            "startedBy",
            request.started_by.is_some(),
            "it says which schedule started a task",
        ),
        (
            "clientToken",
            request.client_token.is_some(),
            "each run of a schedule starts its tasks once",
        ),
    ] {
        if is_given {
            return Err(Fault::invalid(format!("target.{member} must not be given: {whose}.")));
        }
    }
    if let Some(other) = given(request.cluster.as_ref()) {
        let other = api.cluster(Some(other)).map_err(in_target)?;
        if other != *cluster {
            return Err(Fault::invalid(format!(
                "target.cluster is '{other}'; a schedule runs its tasks in its own cluster, '{cluster}'."
            )));
        }
    }
    request.cluster = Some(cluster.to_string());
    let (launch, items) = (given(request.launch_type.as_ref()), &request.capacity_provider_strategy);
    let capacity = Capacity::read(api, request.cluster.as_ref(), launch, items).map_err(in_target)?;
    let network = network::kept(request.network_configuration.as_ref(), capacity.is_fargate).map_err(in_target)?;
    Ok(Target {
        run: tasks::command(api, request, tasks::MAX_COUNT).map_err(in_target)?,
        network,
    })
}

/// Members of which a request says that they are to be there no longer.
struct Removed<'r>(&'r [String]);

impl<'r> Removed<'r> {
    fn read(names: &'r [String]) -> Result<Self, Fault> {
        for name in names {
            one_of("remove", name, &["startDate", "endDate", "description"])?;
        }
        Ok(Self(names))
    }

    /// What becomes of a member: another value, none, or nothing changes.
    fn or<T>(&self, name: &str, value: Option<T>) -> Result<Option<Option<T>>, Fault> {
        match (value, self.0.iter().any(|removed| removed == name)) {
            (Some(_), true) => Err(Fault::invalid(format!(
                "{name} is given and stands in remove: one of both."
            ))),
            (Some(value), false) => Ok(Some(Some(value))),
            (None, true) => Ok(Some(None)),
            (None, false) => Ok(None),
        }
    }
}

fn date(name: &str, seconds: Option<f64>) -> Result<Option<Timestamp>, Fault> {
    /// The end of the year 9999, which no time zone's clocks show.
    const END: f64 = 253_402_300_800.0;
    match seconds {
        None => Ok(None),
        Some(seconds) if (0.0..END).contains(&seconds) => Ok(Some(Timestamp::from_epoch_seconds(seconds))),
        Some(seconds) => Err(Fault::invalid(format!(
            "{name} is {seconds}; it must be seconds since 1970-01-01T00:00:00Z, before the year 10000."
        ))),
    }
}

fn state(text: Option<&String>) -> Result<Option<ScheduleState>, Fault> {
    known(
        "state",
        text,
        ScheduleState::from_name,
        ScheduleState::ALL.iter().map(|state| state.name()),
    )
}

fn after_completion(text: Option<&String>) -> Result<Option<ActionAfterCompletion>, Fault> {
    let names = ActionAfterCompletion::ALL.iter().map(|action| action.name());
    known("actionAfterCompletion", text, ActionAfterCompletion::from_name, names)
}

fn overlap(text: Option<&String>) -> Result<Option<OverlapPolicy>, Fault> {
    let names = OverlapPolicy::ALL.iter().map(|policy| policy.name());
    known("overlapPolicy", text, OverlapPolicy::from_name, names)
}

fn window(given_one: Option<&wire::FlexibleTimeWindow>) -> Result<Option<FlexibleTimeWindow>, Fault> {
    let Some(window) = given_one else { return Ok(None) };
    required("flexibleTimeWindow.mode", window.mode.as_ref())?;
    let names = FlexibleTimeWindowMode::ALL.iter().map(|mode| mode.name());
    let mode = known(
        "flexibleTimeWindow.mode",
        window.mode.as_ref(),
        FlexibleTimeWindowMode::from_name,
        names,
    )?;
    let minutes = window.maximum_window_in_minutes.map(i64::from);
    FlexibleTimeWindow::checked(mode.unwrap_or_default(), minutes).map(Some)
}

fn retry(given_one: Option<&wire::RetryPolicy>) -> Result<Option<RetryPolicy>, Fault> {
    let Some(policy) = given_one else { return Ok(None) };
    RetryPolicy::checked(
        policy.maximum_event_age_in_seconds.map(i64::from),
        policy.maximum_retry_attempts.map(i64::from),
    )
    .map(Some)
}

fn description(text: Option<String>) -> Result<Option<Arc<str>>, Fault> {
    tasks::short("description", text, MAX_DESCRIPTION)
}

/// The value of a name that is one of these.
fn known<T>(
    member: &str,
    text: Option<&String>,
    read: impl Fn(&str) -> Option<T>,
    names: impl Iterator<Item = &'static str>,
) -> Result<Option<T>, Fault> {
    let Some(text) = given(text) else { return Ok(None) };
    one_of(member, text, &names.collect::<Vec<_>>())?;
    Ok(read(text))
}

/// How many of a list are asked for.
fn at_most(name: &str, asked: Option<i32>, default: usize) -> Result<usize, Fault> {
    let Some(asked) = asked else { return Ok(default) };
    usize::try_from(asked)
        .ok()
        .filter(|count| *count <= MOST)
        .ok_or_else(|| Fault::invalid(format!("{name} {asked} should be between 0 and {MOST}.")))
}
