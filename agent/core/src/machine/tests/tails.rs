//! What a container said last: kept where it failed by itself.

use berth_model::status::HealthStatus;
use serde_json::json;

use super::running;
use crate::container::{RunState, Snapshot};
use crate::machine::testing::*;
use crate::machine::{Action, Input, Machine, Outcome, Step};

fn saying(state: RunState, line: &str) -> Snapshot {
    Snapshot {
        tail: vec![line.to_owned()],
        ..snapshot(state)
    }
}

fn seen(machine: &mut Machine, container: usize, snapshot: Snapshot, seconds: i64) -> Step {
    machine.handle(Input::Hint(container), at(seconds));
    done(machine, container, Outcome::Looked(Ok(Some(snapshot))), seconds)
}

fn tail(machine: &Machine, container: usize) -> Vec<String> {
    machine.report().containers[container].tail.clone()
}

#[test]
fn a_container_that_fails_by_itself_is_told_with_its_last_lines_and_one_that_is_stopped_is_not() {
    let mut machine = running(&["app", "side"]);
    let step = seen(&mut machine, 0, saying(exited(3), "no configuration"), 8);
    assert_eq!(tail(&machine, 0), ["no configuration"]);
    assert!(step.save && step.report);
    // The other one is told to stop for it: how it ends is of no interest.
    assert!(
        step.actions
            .iter()
            .any(|action| matches!(action, Action::Signal { container: 1, .. }))
    );
    done(&mut machine, 1, Outcome::Signalled(Ok(())), 9);
    let look = machine.handle(Input::Hint(1), at(10));
    assert!(
        matches!(
            look.actions.as_slice(),
            [Action::Look {
                container: 1,
                tail: false,
                ..
            }]
        ),
        "{look:?}"
    );
    done(
        &mut machine,
        1,
        Outcome::Looked(Ok(Some(saying(exited(143), "goodbye")))),
        10,
    );
    assert!(tail(&machine, 1).is_empty());
    let again = Machine::restored(machine.record().clone(), POLICY);
    assert_eq!(tail(&again, 0), ["no configuration"], "it is kept with the task");
}

#[test]
fn what_an_unhealthy_container_says_is_told_as_it_turns_so_and_is_gone_when_it_recovers() {
    let mut checked = container("app");
    checked["healthCheck"] = json!({"command": ["CMD", "true"]});
    let mut machine = Machine::new(spec(&json!([checked])), POLICY);
    let step = machine.handle(Input::Begin, at(0));
    bring_up(&mut machine, step, 1);
    let looks = |health, line| Snapshot {
        health,
        ..saying(RunState::Running, line)
    };
    assert!(seen(&mut machine, 0, looks(HealthStatus::Unhealthy, "refused"), 5).report);
    assert_eq!(tail(&machine, 0), ["refused"]);
    let still = seen(&mut machine, 0, looks(HealthStatus::Unhealthy, "refused once more"), 6);
    assert!(!still.report && !still.save, "{still:?}");
    assert_eq!(tail(&machine, 0), ["refused"]);
    seen(&mut machine, 0, looks(HealthStatus::Healthy, ""), 7);
    assert!(tail(&machine, 0).is_empty());
}
