//! From the state to the shapes of schedules and their runs.

use berth_model::arn::{DefinitionReference, Namespace};
use berth_model::name::ClusterName;
use berth_model::placement::{Constraint, PackBy, SpreadKey, Strategy};
use berth_model::schedule::{FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy};
use berth_model::status::LaunchType;
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_proto::v1 as wire;
use berth_scheduler_core::schedule::{Run, Target};
use berth_scheduler_core::state::Schedule;

use super::super::request::convert;
use super::super::{capacity, describe, network, tasks};

/// How schedules of a cluster look to a client.
pub(super) struct View<'v> {
    namespace: &'v Namespace,
    cluster: &'v ClusterName,
}

impl<'v> View<'v> {
    pub(super) const fn new(namespace: &'v Namespace, cluster: &'v ClusterName) -> Self {
        Self { namespace, cluster }
    }

    pub(super) fn schedule(&self, schedule: &Schedule) -> wire::Schedule {
        let spec = &schedule.spec;
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_epoch_seconds);
        wire::Schedule {
            arn: self.namespace.schedule(self.cluster, &schedule.name),
            name: schedule.name.to_string(),
            cluster_arn: self.namespace.cluster(self.cluster),
            schedule_expression: spec.timing.expression.to_string(),
            schedule_expression_timezone: spec.timing.zone.to_string(),
            start_date: seconds(spec.timing.start),
            end_date: seconds(spec.timing.end),
            state: spec.state.name().to_owned(),
            flexible_time_window: Some(window(spec.window)),
            action_after_completion: spec.after_completion.name().to_owned(),
            overlap_policy: spec.overlap.name().to_owned(),
            retry_policy: Some(retry(spec.retry)),
            description: spec.description.as_ref().map(ToString::to_string),
            target: Some(self.target(&spec.target)),
            creation_date: schedule.created_at.as_epoch_seconds(),
            last_modification_date: schedule.updated_at.as_epoch_seconds(),
            version: schedule.version,
            next_due: seconds(schedule.next.map(|next| next.due)),
            next_begin: seconds(schedule.next.map(|next| next.begin)),
            next_retry: seconds(schedule.retry.map(|retry| retry.at)),
            running: u32::try_from(schedule.live.len()).unwrap_or(u32::MAX),
            missed: schedule.missed,
            last_run: schedule.runs.front().map(|run| self.run(run)),
        }
    }

    pub(super) fn run(&self, run: &Run) -> wire::ScheduleRun {
        wire::ScheduleRun {
            number: run.number,
            due: run.due.map(Timestamp::as_epoch_seconds),
            at: run.at.as_epoch_seconds(),
            outcome: run.outcome.name().to_owned(),
            reason: run.reason.as_ref().map(ToString::to_string),
            attempts: run.attempts,
            task_arns: run
                .tasks
                .iter()
                .map(|task| self.namespace.task(self.cluster, *task))
                .collect(),
            missed: run.missed,
            succeeded: run.succeeded,
            failed: run.failed,
            failure: run.failure.as_ref().map(ToString::to_string),
            ended: run.ended.map(Timestamp::as_epoch_seconds),
        }
    }

    /// As it was asked for, so that it can be asked for again.
    fn target(&self, target: &Target) -> ecs::RunTaskRequest {
        let run = &target.run;
        let call = &run.call;
        let propagate = if call.propagate_definition_tags {
            "TASK_DEFINITION"
        } else {
            "NONE"
        };
        let (managed, own): (Vec<_>, Vec<_>) = call.tags.iter().cloned().partition(tasks::is_managed);
        ecs::RunTaskRequest {
            cluster: Some(self.cluster.to_string()),
            count: i32::try_from(run.count).ok(),
            enable_ecs_managed_tags: Some(!managed.is_empty()),
            group: call.group.as_ref().map(ToString::to_string),
            capacity_provider_strategy: capacity::shown(&call.capacity.strategy),
            launch_type: (call.launch_type != LaunchType::default()).then(|| call.launch_type.name().to_owned()),
            network_configuration: target.network.as_ref().map(network::shown),
            overrides: (!call.overrides.is_empty())
                .then(|| convert(&call.overrides).ok())
                .flatten(),
            placement_constraints: run.constraints.iter().map(constraint).collect(),
            placement_strategy: run.strategies.iter().map(strategy).collect(),
            propagate_tags: Some(propagate.to_owned()),
            tags: describe::tags(&own),
            task_definition: Some(reference(&call.definition)),
            ..ecs::RunTaskRequest::default()
        }
    }
}

/// The next times at which a schedule is due; none where it is DISABLED.
pub(super) fn upcoming(schedule: &Schedule, count: usize) -> Vec<f64> {
    let Some(next) = schedule.next.filter(|_| count > 0) else {
        return Vec::new();
    };
    let first = std::iter::once(next.due);
    let timing = schedule.spec.timing.recurrence(schedule.anchor);
    let later = timing.iter().flat_map(|recurrence| recurrence.occurrences(next.due));
    first
        .chain(later)
        .take(count)
        .map(Timestamp::as_epoch_seconds)
        .collect()
}

fn reference(definition: &DefinitionReference) -> String {
    match definition.revision {
        Some(revision) => format!("{}:{revision}", definition.family),
        None => definition.family.to_string(),
    }
}

fn window(window: FlexibleTimeWindow) -> wire::FlexibleTimeWindow {
    let (mode, minutes) = match window {
        FlexibleTimeWindow::Off => (FlexibleTimeWindowMode::Off, None),
        FlexibleTimeWindow::Minutes(minutes) => (FlexibleTimeWindowMode::Flexible, i32::try_from(minutes).ok()),
    };
    wire::FlexibleTimeWindow {
        mode: Some(mode.name().to_owned()),
        maximum_window_in_minutes: minutes,
    }
}

fn retry(policy: RetryPolicy) -> wire::RetryPolicy {
    wire::RetryPolicy {
        maximum_event_age_in_seconds: i32::try_from(policy.maximum_event_age).ok(),
        maximum_retry_attempts: i32::try_from(policy.maximum_attempts).ok(),
    }
}

fn constraint(constraint: &Constraint) -> ecs::PlacementConstraint {
    let (kind, expression) = match constraint {
        Constraint::DistinctInstance => ("distinctInstance", None),
        Constraint::MemberOf(expression) => ("memberOf", Some(expression.source().to_owned())),
    };
    ecs::PlacementConstraint {
        r#type: Some(kind.to_owned()),
        expression,
    }
}

fn strategy(strategy: &Strategy) -> ecs::PlacementStrategy {
    let (kind, field) = match strategy {
        Strategy::Random => ("random", None),
        Strategy::Spread(SpreadKey::Instance) => ("spread", Some("instanceId".to_owned())),
        Strategy::Spread(SpreadKey::Attribute(name)) => ("spread", Some(format!("attribute:{name}"))),
        Strategy::Binpack(PackBy::Cpu) => ("binpack", Some("cpu".to_owned())),
        Strategy::Binpack(PackBy::Memory) => ("binpack", Some("memory".to_owned())),
    };
    ecs::PlacementStrategy {
        r#type: Some(kind.to_owned()),
        field,
    }
}
