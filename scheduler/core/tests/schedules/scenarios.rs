//! What a schedule does, case by case.

use berth_model::arn::DefinitionReference;
use berth_model::fault::FaultClass;
use berth_model::id::{DefinitionRevision, InstanceId};
use berth_model::name::Family;
use berth_model::schedule::{ActionAfterCompletion, FlexibleTimeWindow, OverlapPolicy, RunOutcome, ScheduleState};
use berth_model::status::{DesiredStatus, StopCode};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::decide::cluster::DeleteCluster;
use berth_scheduler_core::decide::definition::DeregisterDefinition;
use berth_scheduler_core::decide::instance::DeregisterInstance;
use berth_scheduler_core::decide::queue::EndOverdue;
use berth_scheduler_core::decide::schedule::run::{FireSchedule, RunSchedule};
use berth_scheduler_core::decide::schedule::{CreateSchedule, DeleteSchedule, ScheduleUpdate, UpdateSchedule};
use berth_scheduler_core::keys::{ClusterKey, TaskKey};
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::schedule::ScheduleSpec;

use super::world::{MINUTE, World, cluster, key, name, run_task, seconds, spec};

fn time(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

fn with_overlap(overlap: OverlapPolicy) -> ScheduleSpec {
    ScheduleSpec {
        overlap,
        ..spec("rate(1 minute)")
    }
}

#[test]
fn a_rate_runs_at_once_and_then_after_each_interval() {
    let mut world = World::with_room_for(10);
    world.create("a", spec("rate(5 minutes)")).unwrap();
    assert_eq!(world.fire_after(0, "a").map(|ran| ran.run), Some(1));
    assert_eq!(world.fire_after(5 * MINUTE - 1, "a"), None);
    assert_eq!(world.fire_after(1, "a").map(|ran| ran.run), Some(2));
    assert_eq!(world.fire_after(0, "a"), None, "what has run does not run again");
}

#[test]
fn cron_runs_when_clocks_of_its_zone_show_it() {
    let mut world = World::with_room_for(10);
    let mut spec = spec("cron(0 3 * * ? *)");
    spec.timing.zone = "Europe/Berlin".into();
    world.create("a", spec).unwrap();
    let next = world.schedule("a").next.unwrap();
    assert_eq!(next.due, time("2026-11-22T02:00:00Z"));
}

#[test]
fn the_tasks_of_a_run_say_whose_they_are_and_stand_in_one_entry_with_it() {
    let mut world = World::with_room_for(10);
    world.create("a", spec("rate(1 minute)")).unwrap();
    world.fire_after(0, "a");
    let changes = world.last_changes();
    assert!(matches!(
        changes.as_slice(),
        [Change::TasksPlaced { .. }, Change::ScheduleRan { .. }]
    ));
    let task = world.last_run("a").tasks[0];
    let launch = world.state.launch_of(TaskKey {
        cluster: ClusterKey(1),
        task,
    });
    assert_eq!(launch.unwrap().started_by.as_deref(), Some("schedule/a"));
}

#[test]
fn a_run_is_over_when_its_tasks_are_and_tells_how_they_ended() {
    let mut world = World::with_room_for(10);
    let mut spec = spec("rate(1 minute)");
    spec.target.run = run_task(3);
    world.create("a", spec).unwrap();
    world.fire_after(0, "a");
    let tasks = world.last_run("a").tasks.clone();
    world.end(tasks[0], [Some(0), Some(143)]);
    world.end(tasks[1], [Some(3), Some(0)]);
    assert_eq!(world.last_run("a").ended, None);
    world.now += 7000;
    world.end(tasks[2], [None, None]);
    let run = world.last_run("a");
    assert_eq!((run.succeeded, run.failed), (1, 2));
    assert_eq!(run.failure.as_deref(), Some("container 'app' ended with 3"));
    assert_eq!(run.ended, Some(Timestamp::from_millis(world.now)));
    assert!(world.schedule("a").live.is_empty());
}

#[test]
fn under_skip_a_run_starts_nothing_while_tasks_of_another_have_not_stopped() {
    let mut world = World::with_room_for(10);
    world.create("a", with_overlap(OverlapPolicy::Skip)).unwrap();
    world.fire_after(0, "a");
    let first = world.last_run("a").tasks[0];
    let ran = world.fire_after(MINUTE, "a").unwrap();
    assert_eq!((ran.outcome, ran.tasks), (RunOutcome::Skipped, 0));
    assert_eq!(
        ran.reason.as_deref(),
        Some("A task of run 1 has not stopped, and its overlap policy is SKIP.")
    );
    assert!(world.last_run("a").ended.is_some());
    world.end(first, [Some(0), None]);
    assert_eq!(world.fire_after(MINUTE, "a").unwrap().outcome, RunOutcome::Started);
}

#[test]
fn under_allow_runs_stand_beside_each_other() {
    let mut world = World::with_room_for(10);
    world.create("a", with_overlap(OverlapPolicy::Allow)).unwrap();
    world.fire_after(0, "a");
    world.fire_after(MINUTE, "a");
    assert_eq!(world.schedule("a").live.len(), 2);
}

#[test]
fn under_replace_tasks_of_earlier_runs_are_told_to_stop() {
    let mut world = World::with_room_for(1);
    world.create("a", with_overlap(OverlapPolicy::Replace)).unwrap();
    world.fire_after(0, "a");
    let first = world.last_run("a").tasks[0];
    let ran = world.fire_after(MINUTE, "a").unwrap();
    // It has its room until it has stopped.
    assert_eq!(ran.outcome, RunOutcome::Retrying);
    let key_of = |task| TaskKey {
        cluster: ClusterKey(1),
        task,
    };
    let task = world.state.task(key_of(first)).unwrap();
    assert_eq!(task.desired, DesiredStatus::Stopped);
    let stop = task.stop.as_ref().unwrap();
    assert_eq!(
        (stop.code, &*stop.reason),
        (Some(StopCode::UserInitiated), "Replaced by run 2 of schedule a.")
    );
    world.end(first, [Some(143), None]);
    assert_eq!(world.fire_after(1000, "a").unwrap().outcome, RunOutcome::Started);
    assert_eq!(world.schedule("a").runs.get(1).unwrap().failed, 1);
}

#[test]
fn under_replace_tasks_that_wait_for_room_wait_no_longer() {
    let mut world = World::with_room_for(0);
    let mut spec = with_overlap(OverlapPolicy::Replace);
    spec.target.run.patience = Some(seconds(3600));
    world.create("a", spec).unwrap();
    assert_eq!(world.fire_after(0, "a").unwrap().outcome, RunOutcome::Started);
    world.fire_after(MINUTE, "a");
    assert_eq!(
        world
            .state
            .queue()
            .tasks()
            .filter(|(_, task)| task.is_waiting())
            .count(),
        1
    );
    let replaced = world.schedule("a").run(1).unwrap();
    assert_eq!((replaced.failed, replaced.ended.is_some()), (1, true));
}

#[test]
fn what_waits_for_room_in_vain_is_a_failure_of_its_run() {
    let mut world = World::with_room_for(0);
    let mut spec = spec("rate(1 minute)");
    spec.target.run.patience = Some(seconds(10));
    world.create("a", spec).unwrap();
    world.fire_after(0, "a");
    world.now += 10_000;
    world.must(&EndOverdue);
    let run = world.last_run("a");
    assert_eq!(run.failed, 1);
    assert!(run.failure.as_ref().unwrap().starts_with("TaskFailedToStart: "));
}

#[test]
fn a_run_without_room_is_tried_again_until_there_is() {
    let mut world = World::with_room_for(1);
    let mut spec = spec("rate(60 minutes)");
    spec.target.run = run_task(3);
    world.create("a", spec).unwrap();
    let ran = world.fire_after(0, "a").unwrap();
    assert_eq!((ran.outcome, ran.tasks), (RunOutcome::Retrying, 1));
    let reason = ran.reason.unwrap();
    assert!(reason.starts_with("No room for 2 tasks: RESOURCE:MEMORY: "), "{reason}");
    assert_eq!(world.fire_after(999, "a"), None);
    assert_eq!(world.fire_after(1, "a").unwrap().tasks, 0);
    world.connect(2, 8);
    assert_eq!(world.fire_after(1999, "a"), None, "the pause doubles");
    let ran = world.fire_after(1, "a").unwrap();
    assert_eq!((ran.outcome, ran.tasks), (RunOutcome::Started, 2));
    let run = world.last_run("a");
    assert_eq!((run.attempts, run.tasks.len(), run.reason.as_deref()), (3, 3, None));
    assert_eq!(world.schedule("a").retry, None);
}

#[test]
fn attempts_end_with_their_number_and_with_the_next_run() {
    let mut world = World::with_room_for(0);
    let mut spec = spec("rate(1 minute)");
    spec.retry.maximum_attempts = 1;
    world.create("a", spec).unwrap();
    assert_eq!(world.fire_after(0, "a").unwrap().outcome, RunOutcome::Retrying);
    assert_eq!(world.fire_after(1000, "a").unwrap().outcome, RunOutcome::Failed);
    assert_eq!(world.schedule("a").retry, None);
    assert_eq!(world.fire_after(59_000, "a").unwrap().outcome, RunOutcome::Retrying);
    // The scheduler comes back late: the attempt is overtaken.
    assert_eq!(world.fire_after(MINUTE, "a").unwrap().run, 3);
    let overtaken = world.schedule("a").run(2).unwrap();
    assert_eq!(overtaken.outcome, RunOutcome::Failed);
    let reason = overtaken.reason.as_ref().unwrap();
    assert!(reason.ends_with("Given up: the next run was due."), "{reason}");
}

#[test]
fn a_definition_that_is_gone_is_a_reason_and_no_end() {
    let mut world = World::with_room_for(5);
    world.create("a", spec("rate(5 minutes)")).unwrap();
    let reference = DefinitionReference {
        revision: Some(DefinitionRevision(1)),
        ..run_task(1).call.definition
    };
    world.must(&DeregisterDefinition { reference });
    let ran = world.fire_after(0, "a").unwrap();
    assert_eq!(ran.outcome, RunOutcome::Retrying);
    assert_eq!(ran.reason.as_deref(), Some("TaskDefinition not found."));
}

#[test]
fn after_a_pause_only_the_newest_time_runs_and_the_others_are_counted() {
    let mut world = World::with_room_for(10);
    world.create("a", spec("rate(10 minutes)")).unwrap();
    world.fire_after(0, "a");
    let ran = world.fire_after(45 * MINUTE, "a").unwrap();
    assert_eq!((ran.outcome, ran.missed), (RunOutcome::Started, 3));
    let due = world.last_run("a").due.unwrap();
    assert_eq!(due.as_millis(), world.now - 5 * MINUTE);
    assert_eq!(world.schedule("a").missed, 3);
}

#[test]
fn what_is_older_than_the_retry_policy_allows_does_not_run() {
    let mut world = World::with_room_for(10);
    let mut spec = spec("rate(1 hour)");
    spec.retry.maximum_event_age = 600;
    world.create("a", spec).unwrap();
    world.fire_after(0, "a");
    let ran = world.fire_after(60 * MINUTE + 600_001, "a").unwrap();
    assert_eq!((ran.outcome, ran.tasks, ran.missed), (RunOutcome::Missed, 0, 1));
    assert!(ran.reason.unwrap().starts_with("It could begin until "));
    assert!(world.schedule("a").next.is_some());
}

#[test]
fn a_clock_that_goes_back_runs_nothing_twice() {
    let mut world = World::with_room_for(10);
    world.create("a", spec("rate(1 minute)")).unwrap();
    world.fire_after(0, "a");
    world.fire_after(MINUTE, "a");
    world.now -= 10 * MINUTE;
    for _ in 0..11 {
        assert_eq!(world.fire_after(MINUTE - 1, "a"), None);
    }
}

#[test]
fn in_a_window_a_run_begins_within_it_or_not_at_all() {
    let mut world = World::with_room_for(10);
    let mut spec = spec("cron(0 13 * * ? *)");
    spec.window = FlexibleTimeWindow::Minutes(10);
    world.create("a", spec).unwrap();
    let next = world.schedule("a").next.unwrap();
    assert_eq!(next.due, time("2026-11-21T13:00:00Z"));
    assert!(next.begin >= next.due && next.begin <= time("2026-11-21T13:09:00Z"));
    world.now = next.begin.as_millis() - 1;
    assert_eq!(world.fire_after(0, "a"), None);
    world.now = time("2026-11-21T13:10:00.001Z").as_millis();
    assert_eq!(world.fire_after(0, "a").unwrap().outcome, RunOutcome::Missed);
}

#[test]
fn a_disabled_schedule_runs_nothing_and_makes_up_for_nothing() {
    let mut world = World::with_room_for(0);
    world.create("a", spec("rate(10 minutes)")).unwrap();
    world.fire_after(0, "a");
    let state = |state| ScheduleUpdate {
        state: Some(state),
        ..ScheduleUpdate::default()
    };
    world.update("a", state(ScheduleState::Disabled)).unwrap();
    assert_eq!(
        world.last_run("a").outcome,
        RunOutcome::Failed,
        "nothing is tried again"
    );
    assert_eq!(world.fire_after(60 * MINUTE, "a"), None);
    world.update("a", state(ScheduleState::Enabled)).unwrap();
    assert_eq!(world.fire_after(0, "a"), None);
    assert_eq!(world.fire_after(10 * MINUTE, "a").unwrap().missed, 0);
}

#[test]
fn a_change_that_is_not_of_its_timing_leaves_what_is_due() {
    let mut world = World::with_room_for(5);
    world.create("a", spec("rate(10 minutes)")).unwrap();
    world.fire_after(0, "a");
    let due = world.schedule("a").next;
    world.now += 3 * MINUTE;
    let update = ScheduleUpdate {
        description: Some(Some("sweeps".into())),
        ..ScheduleUpdate::default()
    };
    world.update("a", update).unwrap();
    assert_eq!(world.schedule("a").next, due);
    let update = ScheduleUpdate {
        expression: Some("rate(20 minutes)".into()),
        ..ScheduleUpdate::default()
    };
    world.update("a", update).unwrap();
    let next = world.schedule("a").next.unwrap();
    assert_eq!(next.due.as_millis(), world.now + 20 * MINUTE);
}

#[test]
fn an_update_of_a_version_that_is_no_longer_is_a_conflict() {
    let mut world = World::with_room_for(5);
    world.create("a", spec("rate(10 minutes)")).unwrap();
    let update = |minutes: u32, version| UpdateSchedule {
        cluster: cluster(),
        name: name("a"),
        update: ScheduleUpdate {
            expression: Some(format!("rate({minutes} minutes)").into()),
            ..ScheduleUpdate::default()
        },
        version: Some(version),
    };
    world.must(&update(20, 1));
    let fault = world.submit(&update(30, 1)).unwrap_err();
    assert_eq!(fault.class, FaultClass::Conflict);
    assert_eq!(
        fault.message,
        "Schedule a is at version 2, not 1: it was changed meanwhile."
    );
}

#[test]
fn once_it_is_not_due_again_a_schedule_stays_or_goes_as_it_says() {
    for (action, stays) in [
        (ActionAfterCompletion::None, true),
        (ActionAfterCompletion::Delete, false),
    ] {
        let mut world = World::with_room_for(5);
        let mut spec = spec("at(2026-11-21T12:05:00)");
        spec.after_completion = action;
        world.create("a", spec).unwrap();
        let ran = world.fire_after(5 * MINUTE, "a").unwrap();
        assert_eq!(ran.outcome, RunOutcome::Started);
        assert_eq!(world.state.schedules().get(&key("a")).is_some(), stays);
        assert_eq!(world.fire_after(60 * MINUTE, "a"), None);
    }
}

#[test]
fn a_schedule_that_goes_is_kept_while_its_last_run_is_tried_again() {
    let mut world = World::with_room_for(0);
    let mut spec = spec("at(2026-11-21T12:05:00)");
    spec.after_completion = ActionAfterCompletion::Delete;
    world.create("a", spec).unwrap();
    assert_eq!(world.fire_after(5 * MINUTE, "a").unwrap().outcome, RunOutcome::Retrying);
    world.connect(2, 1);
    assert_eq!(world.fire_after(1000, "a").unwrap().outcome, RunOutcome::Started);
    assert!(world.state.schedules().get(&key("a")).is_none());
}

#[test]
fn a_run_that_is_asked_for_leaves_what_is_due() {
    let mut world = World::with_room_for(1);
    world.create("a", spec("rate(10 minutes)")).unwrap();
    world.fire_after(0, "a");
    let next = world.schedule("a").next;
    world.must(&RunSchedule {
        cluster: cluster(),
        name: name("a"),
    });
    let run = world.last_run("a");
    assert_eq!((run.number, run.due, run.outcome), (2, None, RunOutcome::Failed));
    assert_eq!((world.schedule("a").next, world.schedule("a").retry), (next, None));
}

#[test]
fn one_of_a_name_that_was_deleted_does_not_know_the_tasks_of_the_other() {
    let mut world = World::with_room_for(5);
    world.create("a", with_overlap(OverlapPolicy::Skip)).unwrap();
    world.fire_after(0, "a");
    let task = world.last_run("a").tasks[0];
    world.must(&DeleteSchedule {
        cluster: cluster(),
        name: name("a"),
    });
    world.create("a", with_overlap(OverlapPolicy::Skip)).unwrap();
    assert_eq!(world.fire_after(0, "a").unwrap().outcome, RunOutcome::Started);
    world.end(task, [Some(1), None]);
    assert_eq!((world.last_run("a").failed, world.schedule("a").live.len()), (0, 1));
}

#[test]
fn a_hundred_runs_are_kept() {
    let mut world = World::with_room_for(0);
    let mut spec = spec("rate(1 minute)");
    spec.retry.maximum_attempts = 0;
    world.create("a", spec).unwrap();
    for _ in 0..120 {
        world.fire_after(MINUTE, "a");
    }
    let runs = &world.schedule("a").runs;
    assert_eq!((runs.len(), runs.back().unwrap().number), (100, 21));
}

#[test]
fn what_could_never_run_is_refused_when_it_is_made() {
    let refused = |spec: ScheduleSpec| {
        let fault = World::with_room_for(1).create("a", spec).unwrap_err();
        assert!(
            matches!(fault.class, FaultClass::InvalidParameter | FaultClass::Client),
            "{fault}"
        );
        fault.message
    };
    assert_eq!(
        refused(spec("at(2020-01-01T00:00:00)")),
        "scheduleExpression 'at(2020-01-01T00:00:00)' in UTC is never due after 2026-11-21T12:00:30.000Z: it would never run."
    );
    assert_eq!(
        refused(spec("cron(99 * * * ? *)")),
        "scheduleExpression is invalid: character 6, field minutes, '99': minutes is 0 to 59."
    );
    let mut elsewhere = spec("rate(1 minute)");
    elsewhere.timing.zone = "Europe/Berln".into();
    assert!(refused(elsewhere).contains("did you mean 'Europe/Berlin'?"));
    let mut ended = spec("rate(1 minute)");
    ended.timing.start = Some(Timestamp::from_millis(5));
    ended.timing.end = Some(Timestamp::from_millis(5));
    assert!(refused(ended).starts_with("endDate 1970-01-01T00:00:00.005Z must be after startDate"));
    let mut unknown = spec("rate(1 minute)");
    unknown.target.run.call.definition.family = Family::parse("nothing").unwrap();
    assert_eq!(refused(unknown), "TaskDefinition not found.");
}

#[test]
fn a_name_is_taken_once_and_a_token_makes_the_request_repeatable() {
    let mut world = World::with_room_for(1);
    let create = |fingerprint| CreateSchedule {
        cluster: cluster(),
        name: name("a"),
        spec: spec("rate(1 minute)"),
        client_token: Some(ClientToken {
            token: "t".into(),
            fingerprint,
        }),
    };
    world.must(&create(1));
    let records = world.records.len();
    world.must(&create(1));
    assert_eq!(world.records.len(), records);
    let fault = world.submit(&create(2)).unwrap_err();
    assert_eq!(
        (fault.class, fault.message.as_str()),
        (FaultClass::Conflict, "Schedule a already exists.")
    );
}

#[test]
fn a_cluster_with_schedules_is_not_deleted() {
    let mut world = World::with_room_for(1);
    world.create("a", spec("rate(1 minute)")).unwrap();
    let instance = InstanceId::from_bits(1);
    world.must(&DeregisterInstance {
        cluster: cluster(),
        instance,
        force: true,
    });
    let fault = world.submit(&DeleteCluster { name: cluster() }).unwrap_err();
    assert_eq!(
        fault.message,
        "The Cluster cannot be deleted while it has Schedules: it has 1."
    );
}

#[test]
fn what_is_not_there_is_named() {
    let mut world = World::with_room_for(1);
    let fault = world
        .submit(&DeleteSchedule {
            cluster: cluster(),
            name: name("a"),
        })
        .unwrap_err();
    assert_eq!(
        (fault.class, fault.message.as_str()),
        (FaultClass::ResourceNotFound, "Schedule a does not exist.")
    );
    assert_eq!(world.must(&FireSchedule { key: key("a") }), None);
}
