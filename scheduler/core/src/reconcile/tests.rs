use berth_model::id::{DefinitionId, DefinitionRevision, ServiceRevisionId};
use berth_model::name::Family;
use berth_model::quantity::{CpuUnits, MemoryMib};

use super::*;

fn name() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn deployment(number: u64, now: Timestamp) -> Deployment {
    let definition = DefinitionId {
        family: Family::parse("web").unwrap(),
        revision: DefinitionRevision(1),
    };
    let revision = ServiceRevisionId::from_random(number);
    Deployment::new(
        DeploymentId::from_random(number),
        revision,
        definition,
        Arc::new([]),
        now,
    )
}

fn running(number: u128, of: &Deployment, since: Timestamp) -> TaskView {
    TaskView {
        id: TaskId::from_bits(number),
        deployment: of.id,
        host: Host {
            id: InstanceId::from_bits(number),
            zone: None,
            free_cpu: CpuUnits(0),
            free_memory: MemoryMib(0),
            draining: false,
            has_replicas: true,
            disconnected_since: None,
        },
        cpu: CpuUnits(0),
        memory: MemoryMib(0),
        phase: Phase::Running,
        wanted: true,
        health: HealthStatus::Unknown,
        has_check: false,
        created_at: since,
        running_since: Some(since),
        ended_at: None,
        protected_until: None,
        target: None,
        stop_code: None,
        cause: None,
    }
}

fn view<'a>(
    name: &'a ServiceName,
    spec: &'a ServiceSpec,
    deployments: &'a [Deployment],
    tasks: Vec<TaskView>,
) -> View<'a> {
    View {
        name,
        spec,
        strategies: Vec::new(),
        status: ServiceStatus::Active,
        deployments,
        tasks,
        places: Vec::new(),
        zones: Vec::new(),
        presence: Presence::default(),
        room_since: None,
        timing: Timing::default(),
    }
}

#[test]
fn what_is_missing_is_started_and_what_is_too_much_is_stopped() {
    let (name, deployments) = (name(), [deployment(1, at(0))]);
    let tasks = |count: u128| {
        (0..count)
            .map(|number| running(number, &deployments[0], at(0)))
            .collect()
    };

    let missing = step(&view(&name, &ServiceSpec::replicas(5), &deployments, tasks(2)), at(100));
    assert_eq!(missing.launches.len(), 1);
    assert_eq!(missing.launches[0].place, Place::Anywhere(3));
    assert_eq!(missing.stops, []);

    let surplus = step(&view(&name, &ServiceSpec::replicas(2), &deployments, tasks(5)), at(100));
    assert_eq!(surplus.launches, []);
    assert_eq!(surplus.stops.len(), 3);
    assert_eq!(
        surplus.stops[0].reason.as_ref(),
        format!("Scaling activity initiated by (deployment {})", deployments[0].id)
    );
}

#[test]
fn a_deleted_service_stops_its_tasks_and_is_drained_when_the_last_is_over() {
    let (name, spec, deployments) = (name(), ServiceSpec::replicas(0), [deployment(1, at(0))]);
    let mut view = view(&name, &spec, &deployments, vec![running(1, &deployments[0], at(0))]);
    view.status = ServiceStatus::Draining;
    let stopping = step(&view, at(10));
    assert_eq!((stopping.stops.len(), stopping.drained), (1, false));
    view.tasks[0].wanted = false;
    assert!(step(&view, at(11)).is_empty());
    view.tasks[0].phase = Phase::Stopped;
    let over = step(&view, at(12));
    assert_eq!((over.accounted.len(), over.drained), (1, true));
}

#[test]
fn the_first_tasks_that_fail_are_told_with_why_and_the_breaker_repeats_the_first() {
    let name = name();
    let mut spec = ServiceSpec::replicas(10);
    spec.configuration.circuit_breaker.enable = true;
    let mut deployments = [deployment(1, at(0))];
    let failed = |number: u128| TaskView {
        phase: Phase::Stopped,
        wanted: false,
        running_since: None,
        ended_at: Some(at(5)),
        cause: Some(format!("container app ended with exit code {number}").into()),
        ..running(number, &deployments[0], at(1))
    };
    let tasks: Vec<TaskView> = (1..=4).map(failed).collect();
    let first = step(&view(&name, &spec, &deployments, tasks.clone()), at(6));
    let told: Vec<&String> = first
        .events
        .iter()
        .filter(|event| event.contains("exit code"))
        .collect();
    let expected = |number: u128| {
        let id = TaskId::from_bits(number);
        format!("(service web) (task {id}) failed: container app ended with exit code {number}")
    };
    assert_eq!(told, [&expected(1), &expected(2), &expected(3)], "{:?}", first.events);

    deployments = [first.deployments[0].clone()];
    let second = step(&view(&name, &spec, &deployments, tasks), at(7));
    let id = deployments[0].id;
    let failure = format!("(service web) (deployment {id}) deployment failed: tasks failed to start.");
    let at = second.events.iter().position(|event| *event == failure).unwrap();
    assert_eq!(
        second.events[at + 1],
        format!(
            "(service web) (deployment {id}) failed first with: (task {}) container app ended with exit code 1",
            TaskId::from_bits(1)
        )
    );
    assert!(
        !second.events.iter().any(|event| event.contains(") failed: ")),
        "{:?}",
        second.events
    );
}

#[test]
fn a_task_that_turns_unhealthy_is_told_with_what_its_check_said() {
    let (name, spec, deployments) = (name(), ServiceSpec::replicas(1), [deployment(1, at(0))]);
    let sick = TaskView {
        has_check: true,
        health: HealthStatus::Unhealthy,
        cause: Some("container app is unhealthy; it said last: health check: refused".into()),
        ..running(1, &deployments[0], at(0))
    };
    let told = step(&view(&name, &spec, &deployments, vec![sick]), at(50)).events;
    let id = TaskId::from_bits(1);
    assert_eq!(
        told[..2],
        [
            format!("(service web) (task {id}) failed container health checks."),
            format!(
                "(service web) (task {id}) failed: container app is unhealthy; it said last: health check: refused"
            ),
        ],
        "{told:?}"
    );
}
