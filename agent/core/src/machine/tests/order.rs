//! `dependsOn`: what containers wait for, and what becomes of them when it never comes.

use berth_model::status::{HealthStatus, StopCode, TaskStatus};
use serde_json::{Value, json};

use super::super::testing::*;
use super::super::{Action, Input, Machine, Outcome, Step};
use crate::container::RunState;

/// `app` depends on `dep`, which has `more` members; both are pulled, `dep` runs.
fn waiting(condition: &str, more: &Value) -> (Machine, Step) {
    let mut dep = container("dep");
    for (member, value) in more.as_object().into_iter().flatten() {
        dep[member] = value.clone();
    }
    let mut app = container("app");
    app["dependsOn"] = json!([{"containerName": "dep", "condition": condition}]);
    let mut machine = Machine::new(spec(&json!([app, dep])), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    assert_eq!(step.actions.len(), 2, "all images are pulled at once");
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    let step = done(&mut machine, 1, Outcome::Pulled(Ok(image())), 1);
    assert!(matches!(step.actions.as_slice(), [Action::Create { container: 1, .. }]));
    done(&mut machine, 1, Outcome::Created(Ok("id1".to_owned())), 2);
    let step = done(&mut machine, 1, Outcome::Started(Ok(Vec::new())), 3);
    (machine, step)
}

fn ends(machine: &mut Machine, container: usize, code: i32, seconds: i64) -> Step {
    machine.handle(Input::Hint(container), at(seconds));
    done(
        machine,
        container,
        Outcome::Looked(Ok(Some(snapshot(exited(code))))),
        seconds,
    )
}

fn is_created(step: &Step) -> bool {
    matches!(step.actions.as_slice(), [Action::Create { container: 0, .. }])
}

#[test]
fn start_is_met_when_the_dependency_was_started() {
    let (_, step) = waiting("START", &json!({}));
    assert!(is_created(&step), "{step:?}");
}

#[test]
fn complete_is_met_by_any_end_and_the_task_runs_on_without_it() {
    let (mut machine, step) = waiting("COMPLETE", &json!({"essential": false}));
    assert!(step.actions.is_empty(), "{step:?}");
    assert_eq!(machine.status(), TaskStatus::Pending);
    let step = ends(&mut machine, 1, 7, 5);
    assert!(is_created(&step), "{step:?}");
    bring_up(&mut machine, step, 6);
    assert_eq!(machine.status(), TaskStatus::Running);
}

#[test]
fn success_is_met_by_exit_code_0_alone() {
    let (mut machine, _) = waiting("SUCCESS", &json!({"essential": false}));
    assert!(is_created(&ends(&mut machine, 1, 0, 5)));

    let (mut machine, _) = waiting("SUCCESS", &json!({"essential": false}));
    let step = ends(&mut machine, 1, 3, 5);
    assert!(step.actions.is_empty(), "{step:?}");
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopped);
    assert_eq!(report.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(report.containers[0].exit_code, Some(143));
    assert_eq!(
        report.stopped_reason,
        "TaskDependencyError: container 'dep', which it needs, ended with exit code 3 and can no longer reach the condition SUCCESS"
    );
}

#[test]
fn healthy_is_met_when_the_check_passes() {
    let checked = json!({"healthCheck": {"command": ["CMD", "true"]}});
    let (mut machine, step) = waiting("HEALTHY", &checked);
    assert!(step.actions.is_empty(), "{step:?}");
    let look = |machine: &mut Machine, health| {
        machine.handle(Input::Hint(1), at(5));
        let mut seen = snapshot(RunState::Running);
        seen.health = health;
        done(machine, 1, Outcome::Looked(Ok(Some(seen))), 5)
    };
    assert!(look(&mut machine, HealthStatus::Unhealthy).actions.is_empty());
    assert_eq!(machine.report().containers[1].health, Some(HealthStatus::Unhealthy));
    assert!(is_created(&look(&mut machine, HealthStatus::Healthy)));
    assert_eq!(machine.report().containers[1].health, Some(HealthStatus::Healthy));
}

#[test]
fn a_check_that_only_the_image_has_does_not_count() {
    let mut machine = super::running(&["app"]);
    machine.handle(Input::Hint(0), at(5));
    let mut seen = snapshot(RunState::Running);
    seen.health = HealthStatus::Healthy;
    done(&mut machine, 0, Outcome::Looked(Ok(Some(seen))), 5);
    assert_eq!(machine.report().containers[0].health, None);
}

#[test]
fn the_patience_with_a_dependency_counts_from_its_start() {
    let slow = json!({"essential": false, "startTimeout": 5});
    let (mut machine, _) = waiting("SUCCESS", &slow);
    assert_eq!(machine.wake_at(at(3)), Some(at(3 + 5)));
    assert!(machine.handle(Input::Tick, at(7)).actions.is_empty());
    let step = machine.handle(Input::Tick, at(8));
    let report = machine.report();
    assert_eq!(report.containers[0].exit_code, Some(143));
    assert_eq!(
        report.containers[0].reason.as_deref(),
        Some(
            "TaskDependencyError: container 'dep', which it needs, did not reach the condition SUCCESS within its startTimeout of 5 seconds"
        )
    );
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 1, .. }]),
        "{step:?}"
    );
    assert_eq!(report.stop_code, Some(StopCode::TaskFailedToStart));
}

#[test]
fn a_clock_that_goes_back_makes_no_wait_longer() {
    let slow = json!({"essential": false, "startTimeout": 5});
    let (mut machine, _) = waiting("COMPLETE", &slow);
    let hour = 3600;
    machine.handle(Input::Tick, at(4 - hour));
    assert_eq!(machine.wake_at(at(4 - hour)), Some(at(4 - hour + 5)));
    machine.handle(Input::Tick, at(9 - hour));
    assert_eq!(machine.status(), TaskStatus::Stopping);
    // The time until SIGKILL is measured anew too.
    done(&mut machine, 1, Outcome::Signalled(Ok(())), 9 - hour);
    machine.handle(Input::Tick, at(1 - 2 * hour));
    assert_eq!(machine.wake_at(at(1 - 2 * hour)), Some(at(1 - 2 * hour + 30)));
}

#[test]
fn stops_go_against_the_order_of_starts_each_with_its_own_time() {
    let (mut machine, step) = waiting("START", &json!({"stopTimeout": 2}));
    bring_up(&mut machine, step, 4);
    let step = machine.handle(Input::Stop, at(10));
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 0, .. }]),
        "{step:?}"
    );
    done(&mut machine, 0, Outcome::Signalled(Ok(())), 10);
    assert_eq!(machine.wake_at(at(10)), Some(at(40)));
    let step = ends(&mut machine, 0, 143, 12);
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 1, .. }]),
        "{step:?}"
    );
    done(&mut machine, 1, Outcome::Signalled(Ok(())), 12);
    assert_eq!(machine.wake_at(at(12)), Some(at(14)));
}
