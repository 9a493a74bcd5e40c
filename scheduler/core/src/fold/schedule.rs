//! What happens to schedules, and to the records of their runs.

use std::sync::Arc;

use berth_model::name::ScheduleName;
use berth_model::schedule::ScheduleState;
use berth_model::status::StopCode;
use berth_model::task_definition::ContainerDefinition;
use berth_model::time::Timestamp;
use imbl::{OrdMap, Vector};

use crate::change::Change;
use crate::keys::{ClusterKey, ScheduleKey, TaskKey};
use crate::launch::Launch;
use crate::state::{Schedule, State, Stop, Task};

/// Exit codes of containers that were told to stop: SIGKILL's and SIGTERM's.
const TOLD_TO_STOP: [i32; 2] = [137, 143];

/// Adds a change that is about a schedule; others are not its own.
pub(super) fn fold(state: &mut State, change: &Change) {
    let key = |cluster: &ClusterKey, schedule: &ScheduleName| ScheduleKey {
        cluster: *cluster,
        schedule: schedule.clone(),
    };
    match change {
        Change::ScheduleCreated {
            cluster,
            schedule,
            spec,
            next,
            client_token,
            at,
        } => state.schedules.put(Schedule {
            cluster: *cluster,
            name: schedule.clone(),
            spec: Arc::clone(spec),
            version: 1,
            anchor: *at,
            next: *next,
            retry: None,
            last_run: 0,
            runs: Vector::new(),
            live: OrdMap::new(),
            missed: 0,
            client_token: client_token.clone(),
            created_at: *at,
            updated_at: *at,
        }),
        Change::ScheduleUpdated {
            cluster,
            schedule,
            spec,
            anchor,
            next,
            at,
        } => state.schedules.edit(&key(cluster, schedule), |schedule| {
            schedule.spec = Arc::clone(spec);
            schedule.version += 1;
            schedule.anchor = *anchor;
            schedule.next = *next;
            schedule.updated_at = *at;
            if spec.state == ScheduleState::Disabled {
                schedule.retry = None;
            }
        }),
        Change::ScheduleRan {
            cluster,
            schedule,
            run,
            next,
            retry,
        } => state.schedules.edit(&key(cluster, schedule), |schedule| {
            schedule.begin(run);
            schedule.with_run(run.number, |run| run.settle(run.at));
            schedule.next = *next;
            schedule.retry = *retry;
        }),
        Change::ScheduleRetried {
            cluster,
            schedule,
            run,
            tasks,
            outcome,
            reason,
            attempts,
            retry,
            at,
        } => state.schedules.edit(&key(cluster, schedule), |schedule| {
            schedule.live.extend(tasks.iter().map(|task| (*task, *run)));
            schedule.retry = *retry;
            schedule.with_run(*run, |run| {
                run.tasks.extend(tasks);
                run.outcome = *outcome;
                run.reason.clone_from(reason);
                run.attempts = *attempts;
                run.settle(*at);
            });
        }),
        Change::ScheduleDeleted { cluster, schedule } => state.schedules.remove(&key(cluster, schedule)),
        Change::EventsDelivered { .. }
        | Change::JoinTokenPut { .. }
        | Change::JoinTokenDeleted { .. }
        | Change::MemberEnrolled { .. }
        | Change::MemberRemoved { .. }
        | Change::OperatorCertified { .. }
        | Change::SessionOpened { .. }
        | Change::SessionEnded { .. }
        | Change::AccessKeyPut { .. }
        | Change::AccessKeyDeleted { .. }
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
        | Change::InstanceRegistered { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceStatusSet { .. }
        | Change::InstanceAttributesSet { .. }
        | Change::TasksPlaced { .. }
        | Change::TasksQueued { .. }
        | Change::QueuedTasksPlaced { .. }
        | Change::QueuedTaskEnded { .. }
        | Change::TaskStopRequested { .. }
        | Change::TaskObserved { .. }
        | Change::TaskProtectionSet { .. }
        | Change::TasksForgotten { .. }
        | Change::TargetsRegistered { .. }
        | Change::TargetHealthSet { .. }
        | Change::TargetsDeregistered { .. }
        | Change::ServiceCreated { .. }
        | Change::ServiceUpdated { .. }
        | Change::ServiceStepped { .. }
        | Change::ServiceScalingSet { .. }
        | Change::ServiceScaled { .. }
        | Change::ServiceDeleted { .. }
        | Change::ServiceInactive { .. }
        | Change::ServicesForgotten { .. } => {}
    }
}

/// Notes that a task has stopped.
pub(super) fn ended(state: &mut State, key: TaskKey, task: &Task) {
    if task.launch.schedule.is_some() {
        let failure = failure(state, task);
        note_end(
            state,
            key,
            &task.launch,
            failure,
            task.stopped_at.unwrap_or(task.launch.created_at),
        );
    }
}

/// Notes that a task ended before it had an instance.
pub(super) fn ended_waiting(state: &mut State, key: TaskKey, launch: &Launch, stop: &Stop, at: Timestamp) {
    note_end(state, key, launch, Some(Arc::clone(&stop.reason)), at);
}

fn note_end(state: &mut State, key: TaskKey, launch: &Launch, failure: Option<Arc<str>>, at: Timestamp) {
    let Some(schedule) = &launch.schedule else { return };
    let key_of_schedule = ScheduleKey {
        cluster: key.cluster,
        schedule: schedule.clone(),
    };
    // One of the name that was made after the task's was deleted does not know it.
    state.schedules.edit(&key_of_schedule, |schedule| {
        if let Some(run) = schedule.live.remove(&key.task) {
            schedule.with_run(run, |run| run.note_end(failure, at));
        }
    });
}

/// How a task has failed; nothing where it did what it was to do: an essential container has ended with 0, and the
/// others did too or were told to stop for it.
fn failure(state: &State, task: &Task) -> Option<Arc<str>> {
    let stop = task.stop.as_deref();
    let registered = state.definition(&task.launch.definition);
    let is_essential = |name: &str| {
        let container = registered.and_then(|registered| registered.definition.container(name));
        container.is_some_and(ContainerDefinition::is_essential)
    };
    let essential = || task.containers.iter().filter(|container| is_essential(&container.name));
    let bad = essential().find_map(|container| {
        let code = container.exit_code?;
        (code != 0 && !TOLD_TO_STOP.contains(&code)).then_some((&container.name, code))
    });
    if let Some((name, code)) = bad {
        return Some(format!("container '{name}' ended with {code}").into());
    }
    let by_itself = stop.and_then(|stop| stop.code) == Some(StopCode::EssentialContainerExited);
    if by_itself && essential().any(|container| container.exit_code == Some(0)) {
        return None;
    }
    let reason = stop.map(|stop| Arc::clone(&stop.reason));
    Some(
        reason
            .filter(|reason| !reason.is_empty())
            .unwrap_or_else(|| "it ended without an exit code".into()),
    )
}
