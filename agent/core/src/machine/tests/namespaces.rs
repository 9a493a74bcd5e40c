//! A task whose containers share namespaces: its pause container comes first, goes last and is nobody else's business.

use super::*;
use crate::container::Address;
use crate::create::TASK_NETWORK;
use crate::machine::Step;
use crate::pause;

const APP: usize = 0;
const PAUSE: usize = 1;

/// A task with an address of its own: `app`, and behind it the pause container.
fn machine() -> Machine {
    let definition = json!({"family": "web", "networkMode": "awsvpc", "containerDefinitions": [container("app")]});
    Machine::new(spec_of(definition), POLICY)
}

fn look(address: Option<&str>) -> Outcome {
    let mut snapshot = snapshot(RunState::Running);
    snapshot.detail.addresses.extend(address.map(|ipv4| Address {
        network: TASK_NETWORK.to_owned(),
        ipv4: ipv4.to_owned(),
        ..Address::default()
    }));
    Outcome::Looked(Ok(Some(snapshot)))
}

/// Up to the running pause container; what the machine asks for then.
fn paused(machine: &mut Machine) -> Step {
    machine.handle(Input::Begin, at(0));
    done(machine, APP, Outcome::Pulled(Ok(image())), 0);
    let step = done(machine, PAUSE, Outcome::Pulled(Ok(image())), 0);
    assert!(
        matches!(&step.actions[..], [Action::Create { container: PAUSE, .. }]),
        "{step:?}"
    );
    done(machine, PAUSE, Outcome::Created(Ok("id1".to_owned())), 0);
    done(machine, PAUSE, Outcome::Started(Ok(Vec::new())), 1)
}

fn running() -> Machine {
    let mut machine = machine();
    paused(&mut machine);
    let step = done(&mut machine, PAUSE, look(Some("172.18.0.2")), 1);
    bring_up(&mut machine, step, 2);
    assert_eq!(machine.status(), TaskStatus::Running);
    machine
}

#[test]
fn the_others_wait_until_the_tasks_address_is_known() {
    let mut machine = machine();
    let step = paused(&mut machine);
    assert!(
        matches!(&step.actions[..], [Action::Look { container: PAUSE, .. }]),
        "{step:?}"
    );
    let step = done(&mut machine, PAUSE, look(Some("172.18.0.2")), 1);
    assert!(
        matches!(&step.actions[..], [Action::Create { container: APP, .. }]),
        "{step:?}"
    );
    assert!(step.save, "the address must outlive the agent");
}

#[test]
fn a_report_has_the_address_and_not_the_pause_container() {
    let report = running().report();
    let names: Vec<_> = report
        .containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    assert_eq!(names, ["app"]);
    assert_eq!(report.containers[0].address.as_deref(), Some("172.18.0.2"));
}

#[test]
fn the_pause_container_is_stopped_when_the_others_have_ended() {
    let mut machine = running();
    let step = machine.handle(Input::Stop, at(5));
    assert!(
        matches!(&step.actions[..], [Action::Signal { container: APP, .. }]),
        "{step:?}"
    );
    machine.handle(Input::Hint(APP), at(6));
    let step = done(&mut machine, APP, Outcome::Signalled(Ok(())), 6);
    assert!(step.actions.is_empty(), "{step:?}");
    let step = done(&mut machine, APP, Outcome::Looked(Ok(Some(snapshot(exited(143))))), 6);
    assert!(
        matches!(&step.actions[..], [Action::Signal { container: PAUSE, .. }]),
        "{step:?}"
    );
}

#[test]
fn the_end_of_the_pause_container_ends_the_task_and_says_so() {
    let mut machine = running();
    machine.handle(Input::Hint(PAUSE), at(5));
    done(&mut machine, PAUSE, Outcome::Looked(Ok(Some(snapshot(exited(137))))), 5);
    let report = machine.report();
    assert_eq!(report.status, TaskStatus::Stopping);
    assert_eq!(report.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(
        report.stopped_reason,
        "The pause container, which holds the network and namespaces of the task, ended: exit code 137"
    );
}

#[test]
fn a_task_without_its_namespaces_fails_to_start() {
    let mut machine = machine();
    machine.handle(Input::Begin, at(0));
    done(&mut machine, APP, Outcome::Pulled(Ok(image())), 0);
    done(&mut machine, PAUSE, Outcome::Pulled(Ok(image())), 0);
    let refused = failure(FailureKind::Unprepared, "Docker cannot make the network 'berth'");
    done(&mut machine, PAUSE, Outcome::Created(Err(refused)), 1);
    let report = machine.report();
    assert_eq!(
        (report.status, report.stop_code),
        (TaskStatus::Stopped, Some(StopCode::TaskFailedToStart))
    );
    assert!(
        report.stopped_reason.starts_with("ResourceInitializationError: "),
        "{}",
        report.stopped_reason
    );
    assert!(
        report.stopped_reason.contains("cannot make the network 'berth'"),
        "{}",
        report.stopped_reason
    );
}

#[test]
fn a_task_that_docker_gives_no_address_fails_to_start() {
    let mut machine = machine();
    paused(&mut machine);
    done(&mut machine, PAUSE, look(None), 1);
    let report = machine.report();
    assert_eq!(report.stop_code, Some(StopCode::TaskFailedToStart));
    assert!(
        report.stopped_reason.contains("no address"),
        "{}",
        report.stopped_reason
    );
}

#[test]
fn a_restart_keeps_the_address_and_the_one_pause_container() {
    let machine = running();
    let mut again = Machine::restored(machine.record().clone(), POLICY);
    let step = again.handle(Input::Begin, at(9));
    assert!(
        step.actions.iter().all(|action| matches!(action, Action::Look { .. })),
        "{step:?}"
    );
    done(&mut again, PAUSE, look(Some("172.18.0.2")), 9);
    done(&mut again, APP, look(None), 9);
    assert_eq!(again.status(), TaskStatus::Running);
    assert_eq!(again.report().containers[0].address.as_deref(), Some("172.18.0.2"));
    assert_eq!(again.record().containers[PAUSE].name, pause::NAME);
}
