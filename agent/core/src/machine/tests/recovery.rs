//! What Docker's list shows, and restarts of the agent.

use berth_model::status::TaskStatus;
use serde_json::json;

use super::super::testing::*;
use super::super::{Action, Input, Machine, Outcome};
use super::running;
use crate::container::{ListedContainer, Phase, RunState};
use crate::recovery::{Found, Listing};

#[test]
fn an_ended_container_that_runs_again_is_killed() {
    let mut machine = running(&["app"]);
    machine.handle(Input::Hint(0), at(8));
    done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(exited(0))))), 8);
    let again = ListedContainer {
        name: "app".to_owned(),
        id: "id".to_owned(),
        running: true,
        paused: false,
    };
    let step = machine.handle(Input::Listing(vec![again]), at(60));
    assert_eq!(
        step.actions,
        [Action::Kill {
            container: 0,
            id: "id".to_owned()
        }]
    );
    assert_eq!(machine.status(), TaskStatus::Stopped);
}

#[test]
fn after_a_restart_nothing_starts_twice() {
    let mut machine = Machine::new(spec(&json!([container("app")])), POLICY);
    machine.handle(Input::Begin, at(0));
    done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    // Killed before the create was asked for, or after: both begin again, and Docker's answer adopts.
    let mut early = Machine::restored(machine.record().clone(), POLICY);
    assert!(matches!(
        early.handle(Input::Begin, at(5)).actions.as_slice(),
        [Action::Pull { .. }]
    ));
    done(&mut machine, 0, Outcome::Created(Ok("id".to_owned())), 2);
    assert_eq!(machine.record().containers[0].phase, Phase::Starting);
    let mut late = Machine::restored(machine.record().clone(), POLICY);
    let step = late.handle(Input::Begin, at(5));
    assert_eq!(
        step.actions,
        [Action::Look {
            container: 0,
            target: "id".to_owned(),
            tail: true
        }]
    );
    let step = done(&mut late, 0, Outcome::Looked(Ok(None)), 5);
    assert!(
        step.actions.is_empty(),
        "a container that may have run is not made again"
    );
    assert_eq!(late.status(), TaskStatus::Stopped);
}

#[test]
fn a_stop_signal_that_may_not_have_been_sent_is_sent_again() {
    let mut machine = running(&["app"]);
    machine.handle(Input::Stop, at(10));
    let mut machine = Machine::restored(machine.record().clone(), POLICY);
    machine.handle(Input::Begin, at(60));
    let step = done(
        &mut machine,
        0,
        Outcome::Looked(Ok(Some(snapshot(RunState::Running)))),
        60,
    );
    assert!(
        matches!(step.actions.as_slice(), [Action::Signal { container: 0, .. }]),
        "{step:?}"
    );
    done(&mut machine, 0, Outcome::Signalled(Ok(())), 60);
    assert_eq!(machine.wake_at(at(60)), Some(at(90)), "it has all of its time");
}

#[test]
fn a_stray_is_observed_until_it_is_assigned_or_stopped() {
    let full = spec(&json!([container("app"), container("db")]));
    let mut labels = crate::name::labels(&full);
    labels.insert(crate::name::CONTAINER_NAME.to_owned(), "db".to_owned());
    let listing = Listing::of(vec![Found {
        id: "id1".to_owned(),
        running: true,
        paused: false,
        labels,
    }]);
    let record = listing.strays(full.instance, |_| false).remove(0);
    let mut machine = Machine::restored(record, POLICY);
    let step = machine.handle(Input::Begin, at(0));
    assert_eq!(
        step.actions,
        [Action::Look {
            container: 0,
            target: "id1".to_owned(),
            tail: true
        }]
    );
    // The answer to the look names the place in the old record: the adoption waits for it.
    assert!(
        machine
            .handle(Input::Assigned(Box::new(full)), at(0))
            .actions
            .is_empty()
    );
    let mut seen = snapshot(RunState::Running);
    seen.id = "id1".to_owned();
    let step = done(&mut machine, 0, Outcome::Looked(Ok(Some(seen))), 1);
    assert!(step.save);
    // `app` may have run before, so it is not started; it is essential, so the task ends.
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopping);
    assert_eq!(
        report.containers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["app", "db"]
    );
}

#[test]
fn an_ended_container_does_not_end_a_stray_of_which_nobody_knows_what_is_essential() {
    let mut once = container("once");
    once["essential"] = json!(false);
    let full = spec(&json!([once, container("app")]));
    let found = |name: &str, running| {
        let mut labels = crate::name::labels(&full);
        labels.insert(crate::name::CONTAINER_NAME.to_owned(), name.to_owned());
        Found {
            id: name.to_owned(),
            running,
            paused: false,
            labels,
        }
    };
    let listing = Listing::of(vec![found("once", false), found("app", true)]);
    let mut machine = Machine::restored(listing.strays(full.instance, |_| false).remove(0), POLICY);
    machine.handle(Input::Begin, at(0));
    for (place, state) in [(0, exited(0)), (1, RunState::Running)] {
        done(&mut machine, place, Outcome::Looked(Ok(Some(snapshot(state)))), 1);
    }
    assert_eq!(machine.status(), TaskStatus::Running);
    machine.handle(Input::Assigned(Box::new(full)), at(2));
    assert_eq!(machine.status(), TaskStatus::Running);
}
