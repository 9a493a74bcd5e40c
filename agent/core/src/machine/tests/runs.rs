//! More than one run of a container: restarts in place, starts that wait for a port, and starts by somebody else.

use std::time::Duration;

use berth_model::status::{ContainerStatus, StopCode, TaskStatus};
use serde_json::json;

use super::super::testing::*;
use super::super::{Action, Input, Machine, Outcome, Step};
use crate::container::{Phase, RunState, Snapshot};
use crate::failure::FailureKind;

/// A task of one container that restarts; it runs.
fn restarting() -> Machine {
    let mut app = container("app");
    app["restartPolicy"] = json!({"enabled": true, "ignoredExitCodes": [7], "restartAttemptPeriod": 60});
    let mut machine = Machine::new(spec(&json!([app])), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    machine
}

/// What Docker shows of a run from one second to another.
fn ran(from: i64, to: i64, exit_code: i32) -> Snapshot {
    Snapshot {
        started_at: Some(at(from)),
        ..snapshot(RunState::Exited {
            exit_code,
            oom_killed: false,
            finished_at: Some(at(to)),
        })
    }
}

fn runs_since(seconds: i64) -> Snapshot {
    Snapshot {
        started_at: Some(at(seconds)),
        ..snapshot(RunState::Running)
    }
}

fn look(machine: &mut Machine, seen: Snapshot, seconds: i64) -> Step {
    machine.handle(Input::Hint(0), at(seconds));
    done(machine, 0, Outcome::Looked(Ok(Some(seen))), seconds)
}

fn starts(step: &Step) -> bool {
    matches!(step.actions.as_slice(), [Action::Start { container: 0, .. }])
}

#[test]
fn an_essential_container_that_is_started_again_does_not_end_its_task() {
    let mut machine = restarting();
    let step = look(&mut machine, ran(1, 70, 3), 70);
    assert!(starts(&step), "{step:?}");
    assert!(step.save, "the count is kept before the start is asked for");
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Running);
    assert_eq!(
        (report.containers[0].status, report.containers[0].restarts),
        (ContainerStatus::Running, 1)
    );
    assert_eq!(report.containers[0].exit_code, None);
    done(&mut machine, 0, Outcome::Started(Ok(Vec::new())), 71);
    assert_eq!(machine.record().containers[0].phase, Phase::Running);
    // The second run is shorter than the period.
    let step = look(&mut machine, ran(71, 90, 3), 90);
    assert!(step.actions.is_empty());
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(
        (report.containers[0].exit_code, report.containers[0].restarts),
        (Some(3), 1)
    );
}

#[test]
fn an_ignored_exit_code_a_short_run_and_a_stop_are_final() {
    for (seen, stopping) in [
        (ran(1, 200, 7), false),
        (ran(1, 60, 3), false),
        (ran(1, 200, 143), true),
    ] {
        let mut machine = restarting();
        if stopping {
            machine.handle(Input::Stop, at(200));
        }
        look(&mut machine, seen.clone(), 201);
        assert_eq!(machine.status(), TaskStatus::Stopped, "{seen:?}");
        assert_eq!(machine.report().containers[0].restarts, 0);
    }
}

#[test]
fn a_restart_is_not_lost_nor_repeated_when_the_agent_is_killed() {
    let mut machine = restarting();
    look(&mut machine, ran(1, 70, 3), 70);
    let saved = machine.record().clone();
    // Killed before the start reached Docker: it shows the end that was counted already.
    let mut early = Machine::restored(saved.clone(), POLICY);
    early.handle(Input::Begin, at(75));
    let step = done(&mut early, 0, Outcome::Looked(Ok(Some(ran(1, 70, 3)))), 75);
    assert!(starts(&step), "{step:?}");
    assert_eq!(early.report().containers[0].restarts, 1);
    // Killed after: the new run is there, or over too.
    let mut late = Machine::restored(saved.clone(), POLICY);
    late.handle(Input::Begin, at(75));
    done(&mut late, 0, Outcome::Looked(Ok(Some(runs_since(71)))), 75);
    assert_eq!(late.record().containers[0].phase, Phase::Running);
    let mut over = Machine::restored(saved, POLICY);
    over.handle(Input::Begin, at(75));
    done(&mut over, 0, Outcome::Looked(Ok(Some(ran(71, 72, 5)))), 75);
    assert_eq!(over.status(), TaskStatus::Stopped);
    assert_eq!(over.report().containers[0].exit_code, Some(5));
}

#[test]
fn a_stop_between_two_runs_keeps_the_exit_code_of_the_first() {
    let mut machine = restarting();
    look(&mut machine, ran(1, 70, 3), 70);
    let mut machine = Machine::restored(machine.record().clone(), POLICY);
    machine.handle(Input::Begin, at(75));
    machine.handle(Input::Stop, at(75));
    done(&mut machine, 0, Outcome::Looked(Ok(Some(ran(1, 70, 3)))), 75);
    let report = machine.report();
    assert_eq!(
        (report.status, report.containers[0].exit_code),
        (TaskStatus::Stopped, Some(3))
    );
}

#[test]
fn a_start_waits_for_its_port_and_says_so() {
    let mut app = container("app");
    app["portMappings"] =
        json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}]);
    let mut machine = Machine::new(spec(&json!([app])), POLICY);
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 0);
    done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 0);
    let taken = || {
        let words = "Bind for 0.0.0.0:8080 failed: port is already allocated";
        Outcome::Started(Err(failure(FailureKind::PortTaken, words)))
    };
    let mut now = 0;
    for pause in [1, 2, 4, 8, 15, 15] {
        assert!(done(&mut machine, 0, taken(), now).actions.is_empty());
        let report = machine.report();
        assert_eq!(report.status, TaskStatus::Pending);
        assert_eq!(
            report.containers[0].reason.as_deref(),
            Some("waits for host port 8080/tcp: Bind for 0.0.0.0:8080 failed: port is already allocated")
        );
        assert_eq!(machine.wake_at(at(now)), Some(at(now + pause)));
        now += pause;
        let step = machine.handle(Input::Tick, at(now));
        assert!(starts(&step), "{step:?}");
    }
    done(&mut machine, 0, Outcome::Started(Ok(Vec::new())), now);
    let report = machine.report();
    assert_eq!(
        (report.status, &report.containers[0].reason),
        (TaskStatus::Running, &None)
    );
}

#[test]
fn a_task_that_waits_for_a_port_can_be_stopped() {
    let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 0);
    done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 0);
    let taken = failure(FailureKind::PortTaken, "address already in use");
    done(&mut machine, 0, Outcome::Started(Err(taken)), 0);
    let step = machine.handle(Input::Stop, at(1));
    assert!(matches!(step.actions.as_slice(), [Action::Look { .. }]), "{step:?}");
    let mut seen = snapshot(RunState::Created);
    seen.started_at = None;
    done(&mut machine, 0, Outcome::Looked(Ok(Some(seen))), 1);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(
        report.containers[0].reason.as_deref(),
        Some("waits for a host port: address already in use")
    );
}

#[test]
fn a_run_that_somebody_else_began_is_ended_in_good_order() {
    // Whether the run before was looked at or not.
    for looked in [false, true] {
        let mut machine = super::running(&["app", "side"]);
        if looked {
            look(&mut machine, runs_since(1), 5);
        }
        let step = look(&mut machine, runs_since(30), 31);
        let signalled: Vec<_> = step
            .actions
            .iter()
            .map(|action| matches!(action, Action::Signal { .. }))
            .collect();
        assert_eq!(signalled, [true, true], "{step:?}");
        let report = machine.report();
        assert_eq!(report.stop_code, Some(StopCode::EssentialContainerExited));
        let reason = report.containers[0].reason.clone().unwrap();
        assert!(
            reason.starts_with("DockerStateError: it ended and was started again"),
            "{reason}"
        );
        done(&mut machine, 0, Outcome::Signalled(Ok(())), 31);
        look(&mut machine, ran(30, 32, 143), 32);
        assert_eq!(machine.report().containers[0].exit_code, Some(143));
    }
}

#[test]
fn a_container_that_is_not_essential_ends_alone_when_somebody_else_started_it() {
    let mut app = container("app");
    app["essential"] = json!(false);
    app["restartPolicy"] = json!({"enabled": true, "restartAttemptPeriod": 60});
    let mut needs_it = container("web");
    needs_it["dependsOn"] = json!([{"containerName": "app", "condition": "START"}]);
    let mut machine = Machine::new(spec(&json!([app, needs_it])), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    let step = look(&mut machine, runs_since(90), 91);
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 0, .. }]),
        "{step:?}"
    );
    done(&mut machine, 0, Outcome::Signalled(Ok(())), 91);
    // It ran long enough to be started again, and is not.
    look(&mut machine, ran(90, 190, 143), 190);
    assert_eq!(machine.status(), TaskStatus::Running);
    assert_eq!(machine.report().containers[0].status, ContainerStatus::Stopped);
}

#[test]
fn a_restart_of_docker_that_keeps_containers_alive_is_no_new_run() {
    let mut machine = super::running(&["app"]);
    for _ in 0..3 {
        let step = look(&mut machine, runs_since(1), 30);
        assert!(step.actions.is_empty());
    }
    assert_eq!(machine.status(), TaskStatus::Running);
}

#[test]
fn a_pause_is_told_and_a_stop_goes_on() {
    let mut machine = super::running(&["app"]);
    let paused = Snapshot {
        paused: true,
        ..runs_since(1)
    };
    look(&mut machine, paused, 5);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Running);
    assert!(report.containers[0].reason.clone().unwrap().starts_with("is paused"));
    look(&mut machine, runs_since(1), 6);
    assert_eq!(machine.report().containers[0].reason, None);
}

#[test]
fn a_task_that_ran_and_left_nothing_is_over_and_not_started() {
    let mut machine = Machine::vanished(spec(&json!([container("app")])), at(5), POLICY);
    assert!(machine.handle(Input::Begin, at(5)).actions.is_empty());
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.stop_code, Some(StopCode::EssentialContainerExited));
    let reason = report.containers[0].reason.clone().unwrap();
    assert!(reason.starts_with("ContainerVanishedError: "), "{reason}");
    machine.handle(Input::Acknowledged, at(6));
    let later = at(6) + Duration::from_secs(3600);
    assert_eq!(machine.handle(Input::Tick, later).actions, [Action::Forget]);
}

#[test]
fn a_run_that_is_over_before_its_start_was_answered_waits_for_the_answer() {
    let mut app = container("app");
    app["restartPolicy"] = json!({"enabled": true, "restartAttemptPeriod": 60});
    let mut machine = Machine::new(spec(&json!([app])), POLICY);
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 0);
    assert!(starts(&done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 0)));
    let step = look(&mut machine, ran(1, 90, 3), 90);
    assert!(step.actions.is_empty(), "{step:?}");
    let step = done(&mut machine, 0, Outcome::Started(Ok(Vec::new())), 91);
    assert!(matches!(step.actions.as_slice(), [Action::Look { .. }]), "{step:?}");
    let step = done(&mut machine, 0, Outcome::Looked(Ok(Some(ran(1, 90, 3)))), 92);
    assert!(starts(&step), "{step:?}");
}
