use berth_model::status::{StopCode, TaskStatus};
use serde_json::json;

use super::testing::*;
use super::{Action, Input, Machine, Outcome};
use crate::container::RunState;
use crate::failure::FailureKind;
use crate::image::ImageRequest;

mod images;
mod namespaces;
mod order;
mod recovery;
mod runs;
mod tails;

fn running(names: &[&str]) -> Machine {
    let containers: Vec<_> = names.iter().map(|name| container(name)).collect();
    let mut machine = Machine::new(spec(&json!(containers)), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    assert_eq!(machine.status(), TaskStatus::Running);
    machine
}

#[test]
fn a_task_is_pulled_created_and_started() {
    let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    assert_eq!(
        step.actions,
        [Action::Pull {
            container: 0,
            image: ImageRequest {
                reference: "busybox".to_owned(),
                pin: None,
                credentials: None,
            },
        }]
    );
    let step = done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    assert!(matches!(step.actions.as_slice(), [Action::Create { container: 0, .. }]));
    assert!(!step.save, "nothing before the start needs to be kept");
    let step = done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 2);
    assert_eq!(
        step.actions,
        [Action::Start {
            container: 0,
            id: "id".to_owned(),
            ports: false
        }]
    );
    assert!(step.save, "that a start was asked for is kept before it is");
    let step = done(&mut machine, 0, Outcome::Started(Ok(Vec::new())), 3);
    assert!(step.report && step.actions.is_empty());
    let report = machine.report();
    assert_eq!((report.status, report.started_at), (TaskStatus::Running, Some(at(3))));
    assert_eq!(
        (report.pull_started_at, report.pull_stopped_at),
        (Some(at(0)), Some(at(1)))
    );
}

#[test]
fn the_end_of_an_essential_container_ends_the_task() {
    let mut machine = running(&["app", "side"]);
    let step = machine.handle(Input::Hint(0), at(8));
    assert_eq!(
        step.actions,
        [Action::Look {
            container: 0,
            target: "id0".to_owned(),
            tail: true
        }]
    );
    let step = done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(exited(3))))), 9);
    assert_eq!(
        step.actions,
        [Action::Signal {
            container: 1,
            id: "id1".to_owned(),
            signal: "SIGTERM".to_owned()
        }]
    );
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopping);
    assert_eq!(report.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(report.stopped_reason, "Essential container in task exited");
    done(&mut machine, 1, Outcome::Signalled(Ok(())), 9);
    machine.handle(Input::Hint(1), at(10));
    done(&mut machine, 1, Outcome::Looked(Ok(Some(snapshot(exited(143))))), 10);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    let codes: Vec<_> = report.containers.iter().map(|container| container.exit_code).collect();
    assert_eq!(codes, [Some(3), Some(143)]);
    assert_eq!(report.execution_stopped_at, Some(at(9)));
}

#[test]
fn what_is_not_essential_may_end() {
    let mut machine = Machine::new(
        spec(&json!([container("app"), {"name": "once", "image": "busybox", "memory": 16, "essential": false}])),
        POLICY,
    );
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    machine.handle(Input::Hint(1), at(2));
    let step = done(&mut machine, 1, Outcome::Looked(Ok(Some(snapshot(exited(0))))), 2);
    assert!(step.actions.is_empty());
    assert_eq!(machine.status(), TaskStatus::Running);
}

#[test]
fn kill_follows_when_the_stop_timeout_is_over() {
    let mut machine = Machine::new(
        spec(&json!([{"name": "app", "image": "a", "memory": 8, "stopTimeout": 5}])),
        POLICY,
    );
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    let step = machine.handle(Input::Stop, at(10));
    assert!(step.save && matches!(step.actions.as_slice(), [Action::Signal { .. }]));
    done(&mut machine, 0, Outcome::Signalled(Ok(())), 10);
    assert_eq!(machine.wake_at(at(10)), Some(at(15)));
    assert!(machine.handle(Input::Tick, at(14)).actions.is_empty());
    assert_eq!(
        machine.handle(Input::Tick, at(15)).actions,
        [Action::Kill {
            container: 0,
            id: "id0".to_owned()
        }]
    );
    // Killed twice where the first had no effect.
    done(&mut machine, 0, Outcome::Killed(Ok(())), 15);
    assert_eq!(machine.wake_at(at(15)), Some(at(16)));
    let step = machine.handle(Input::Tick, at(16));
    assert_eq!(
        step.actions,
        [Action::Kill {
            container: 0,
            id: "id0".to_owned()
        }]
    );
    let step = done(
        &mut machine,
        0,
        Outcome::Killed(Err(failure(FailureKind::Refused, "is not running"))),
        16,
    );
    assert!(matches!(step.actions.as_slice(), [Action::Look { .. }]));
    done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(exited(137))))), 16);
    let report = machine.report();
    assert_eq!((report.status, report.stop_code), (TaskStatus::Stopped, None));
}

#[test]
fn links_set_the_order_both_ways() {
    let mut machine = Machine::new(
        spec(&json!([{"name": "app", "image": "a", "memory": 8, "links": ["db"]}, container("db")])),
        POLICY,
    );
    machine.handle(Input::Begin, at(0));
    assert!(
        done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1)
            .actions
            .is_empty()
    );
    let step = done(&mut machine, 1, Outcome::Pulled(Ok(image())), 1);
    assert!(matches!(step.actions.as_slice(), [Action::Create { container: 1, .. }]));
    done(&mut machine, 1, Outcome::Created(Ok("id1".to_owned())), 2);
    let step = done(&mut machine, 1, Outcome::Started(Ok(Vec::new())), 3);
    assert!(matches!(step.actions.as_slice(), [Action::Create { container: 0, .. }]));
    bring_up(&mut machine, step, 4);
    let step = machine.handle(Input::Stop, at(5));
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 0, .. }]),
        "{step:?}"
    );
    done(&mut machine, 0, Outcome::Signalled(Ok(())), 5);
    machine.handle(Input::Hint(0), at(6));
    let step = done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(exited(143))))), 6);
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 1, .. }]),
        "{step:?}"
    );
}

#[test]
fn a_failed_pull_fails_the_task_and_what_waited_for_it() {
    let mut machine = Machine::new(
        spec(
            &json!([{"name": "app", "image": "a", "memory": 8, "links": ["db"], "essential": false}, container("db")]),
        ),
        POLICY,
    );
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    done(
        &mut machine,
        1,
        Outcome::Pulled(Err(failure(FailureKind::Refused, "manifest for db not found"))),
        1,
    );
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(
        report.stopped_reason,
        "CannotPullContainerError: image 'busybox': manifest for db not found"
    );
    assert_eq!(report.execution_stopped_at, None);
}

#[test]
fn what_waits_for_a_container_that_never_started_never_starts() {
    let mut machine = Machine::new(
        spec(&json!([{"name": "app", "image": "a", "memory": 8, "links": ["db"]},
            {"name": "db", "image": "a", "memory": 8, "essential": false}])),
        POLICY,
    );
    machine.handle(Input::Begin, at(0));
    done(
        &mut machine,
        1,
        Outcome::Pulled(Err(failure(FailureKind::Refused, "no"))),
        1,
    );
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.containers[0].exit_code, Some(143));
    assert_eq!(
        report.stopped_reason,
        "TaskDependencyError: container 'db', which it needs, was never started"
    );
}

#[test]
fn a_registry_that_falters_is_asked_again_but_not_for_ever() {
    let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
    machine.handle(Input::Begin, at(0));
    let falter = || Outcome::Pulled(Err(failure(FailureKind::Faltered, "no route")));
    done(&mut machine, 0, falter(), 0);
    assert!(matches!(
        machine.handle(Input::Tick, at(1)).actions.as_slice(),
        [Action::Pull { .. }]
    ));
    done(&mut machine, 0, falter(), 1);
    assert!(matches!(
        machine.handle(Input::Tick, at(3)).actions.as_slice(),
        [Action::Pull { .. }]
    ));
    done(&mut machine, 0, falter(), 3);
    assert_eq!(machine.status(), TaskStatus::Stopped);
}

#[test]
fn a_start_that_failed_is_looked_at_before_it_counts() {
    let fails = |state: RunState| {
        let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
        machine.handle(Input::Begin, at(0));
        done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
        done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 2);
        let refused = failure(FailureKind::Faltered, "port is already allocated");
        let step = done(&mut machine, 0, Outcome::Started(Err(refused)), 3);
        assert_eq!(
            step.actions,
            [Action::Look {
                container: 0,
                target: "id".to_owned(),
                tail: true
            }]
        );
        let mut seen = snapshot(state);
        seen.started_at = None;
        done(&mut machine, 0, Outcome::Looked(Ok(Some(seen))), 3);
        machine.report()
    };
    let report = fails(RunState::Created);
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(
        report.stopped_reason,
        "CannotStartContainerError: port is already allocated"
    );
    assert_eq!(fails(RunState::Running).status, TaskStatus::Running);
}

#[test]
fn docker_out_of_reach_ends_nothing() {
    let mut machine = running(&["app"]);
    machine.handle(Input::Hint(0), at(5));
    let lost = || failure(FailureKind::Lost, "connection refused");
    done(&mut machine, 0, Outcome::Looked(Err(lost())), 5);
    assert_eq!(machine.status(), TaskStatus::Running);
    let retry = machine.wake_at(at(5)).unwrap();
    let step = machine.handle(Input::Tick, retry);
    assert!(matches!(step.actions.as_slice(), [Action::Look { .. }]));
    done(
        &mut machine,
        0,
        Outcome::Looked(Ok(Some(snapshot(RunState::Running)))),
        7,
    );
    assert_eq!(machine.status(), TaskStatus::Running);
}

#[test]
fn a_stop_before_the_start_starts_nothing() {
    let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    machine.handle(Input::Stop, at(2));
    assert_eq!(machine.status(), TaskStatus::Stopping);
    let step = done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 3);
    assert!(step.actions.is_empty());
    assert_eq!(machine.status(), TaskStatus::Stopped);
    machine.handle(Input::Acknowledged, at(4));
    let step = machine.handle(Input::Tick, at(4 + 3600));
    assert_eq!(
        step.actions,
        [Action::Remove {
            container: 0,
            id: "id".to_owned()
        }]
    );
}

#[test]
fn a_container_removed_behind_our_back_is_noticed() {
    let mut machine = running(&["app"]);
    let step = machine.handle(Input::Listing(Vec::new()), at(30));
    assert!(matches!(step.actions.as_slice(), [Action::Look { .. }]));
    done(&mut machine, 0, Outcome::Looked(Ok(None)), 30);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    let reason = report.containers[0].reason.clone().unwrap();
    assert!(reason.starts_with("ContainerVanishedError: "), "{reason}");
}

#[test]
fn memory_is_named_as_the_reason_only_when_the_container_is_over() {
    let mut machine = running(&["app"]);
    machine.handle(Input::Hint(0), at(8));
    let killed = RunState::Exited {
        exit_code: 137,
        oom_killed: true,
        finished_at: Some(at(8)),
    };
    done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(killed)))), 8);
    let reason = machine.report().containers[0].reason.clone();
    assert_eq!(
        reason.as_deref(),
        Some("OutOfMemoryError: Container killed due to memory usage")
    );
}
