use berth_model::id::{DefinitionId, DefinitionRevision, DeploymentId, InstanceId, TaskId};
use berth_model::name::{ClusterName, Family, ServiceName};
use berth_model::service::{DeploymentConfiguration, SchedulingStrategy};
use berth_model::status::{ContainerStatus, HealthStatus, InstanceStatus, LaunchType, TaskStatus};
use serde_json::json;

use super::*;
use crate::keys::ClusterKey;
use crate::launch::{Placement, ServiceLaunch};
use crate::observation::{ContainerState, Observation, TaskTimes};
use crate::service::{ServiceEvent, ServiceSpec};

const CLUSTER: ClusterKey = ClusterKey(1);
const TASK: TaskId = TaskId::from_bits(0xaaaa);
const OTHER: TaskId = TaskId::from_bits(0xbbbb);
const INSTANCE: InstanceId = InstanceId::from_bits(0x1111);

fn task() -> Subject {
    Subject::Task(TaskKey {
        cluster: CLUSTER,
        task: TASK,
    })
}

fn service() -> Subject {
    Subject::Service(ServiceKey {
        cluster: CLUSTER,
        service: name(),
    })
}

fn instance() -> Subject {
    Subject::Instance(InstanceKey {
        cluster: CLUSTER,
        instance: INSTANCE,
    })
}

fn name() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

fn record(revision: u64, entries: Vec<(&str, Vec<Change>)>) -> Record {
    let entries = entries.into_iter().map(|(by, changes)| Entry {
        at: Timestamp::from_millis(i64::try_from(revision).unwrap()),
        by: by.into(),
        changes,
    });
    Record {
        v: Record::FORMAT,
        revision: Revision(revision),
        entries: entries.collect(),
    }
}

fn launch(service: Option<ServiceName>) -> Arc<Launch> {
    let definition = DefinitionId {
        family: Family::parse("web").unwrap(),
        revision: DefinitionRevision(3),
    };
    let demand = json!({"cpu": 256, "memory": 400});
    Arc::new(Launch {
        definition,
        demand: serde_json::from_value(demand).unwrap(),
        group: "family:web".into(),
        started_by: None,
        overrides: berth_model::overrides::TaskOverride::default(),
        tags: Vec::new(),
        launch_type: LaunchType::Ec2,
        provider: None,
        execute_command: false,
        subnet: None,
        client_token: None,
        service: service.map(|service| ServiceLaunch {
            service,
            deployment: DeploymentId::from_random(5),
        }),
        schedule: None,
        created_at: Timestamp::from_millis(1),
    })
}

fn placed(tasks: &[TaskId], service: Option<ServiceName>) -> Change {
    let placement = |task: &TaskId| Placement {
        task: *task,
        instance: INSTANCE,
        gpus: Arc::new([]),
    };
    Change::TasksPlaced {
        cluster: CLUSTER,
        launch: launch(service),
        placements: tasks.iter().map(placement).collect(),
    }
}

fn observed(task: TaskId, status: TaskStatus, container: ContainerStatus, exit: Option<i32>) -> Change {
    let container = ContainerState {
        name: "app".into(),
        last: container,
        runtime_id: Some("docker-id".into()),
        image_digest: None,
        exit_code: exit,
        reason: exit.map(|_| "OOMKilled".into()),
        bindings: Vec::new(),
        address: None,
        health: HealthStatus::Unknown,
        restarts: 0,
        log_tail: None,
    };
    let observed = Observation {
        last_status: status,
        containers: Arc::new([container]),
        stop_code: exit.map(|_| StopCode::EssentialContainerExited),
        stopped_reason: exit.map(|_| "Essential container in task exited".into()),
        times: TaskTimes::default(),
    };
    Change::TaskObserved {
        cluster: CLUSTER,
        task,
        observed: Arc::new(observed),
        at: Timestamp::from_millis(1),
    }
}

fn stopped(task: TaskId, code: StopCode, reason: &str) -> Change {
    Change::TaskStopRequested {
        cluster: CLUSTER,
        task,
        code,
        reason: reason.into(),
        at: Timestamp::from_millis(1),
        deregister_by: None,
    }
}

/// The story as lines `revision by: what (why)`.
fn story(subject: &Subject, records: &[Record]) -> Vec<String> {
    let mut story = Story::of(subject);
    let happenings = records.iter().flat_map(|record| happenings(record, subject));
    let lines = happenings.flat_map(|happening| story.tell(&happening));
    lines
        .map(|line| format!("{} {}: {} ({})", line.revision, line.by, line.what, line.why))
        .collect()
}

#[test]
fn a_task_is_told_from_its_placement_to_its_end() {
    let records = [
        record(1, vec![("ecs", vec![placed(&[TASK, OTHER], None)])]),
        record(
            2,
            vec![
                (
                    "agent",
                    vec![observed(OTHER, TaskStatus::Running, ContainerStatus::Running, None)],
                ),
                (
                    "agent",
                    vec![observed(TASK, TaskStatus::Running, ContainerStatus::Running, None)],
                ),
            ],
        ),
        // Nothing that people would call news.
        record(
            3,
            vec![(
                "agent",
                vec![observed(TASK, TaskStatus::Running, ContainerStatus::Running, None)],
            )],
        ),
        record(4, vec![("ops", vec![stopped(OTHER, StopCode::UserInitiated, "")])]),
        record(
            5,
            vec![(
                "agent",
                vec![observed(TASK, TaskStatus::Stopped, ContainerStatus::Stopped, Some(137))],
            )],
        ),
        record(
            6,
            vec![(
                "scheduler",
                vec![Change::TasksForgotten {
                    cluster: CLUSTER,
                    tasks: vec![OTHER, TASK],
                }],
            )],
        ),
    ];
    assert_eq!(
        story(&task(), &records),
        [
            format!(
                "1 ecs: placed on container instance {INSTANCE} (web:3 with 256 CPU units and 400 MiB, group family:web)"
            ),
            "2 agent: RUNNING; container app RUNNING ()".to_owned(),
            "5 agent: STOPPED; container app STOPPED, exit code 137 (EssentialContainerExited: Essential container in task \
             exited; app: OOMKilled)"
                .to_owned(),
            "6 scheduler: was forgotten: it is described no more ()".to_owned(),
        ]
    );
}

#[test]
fn a_service_is_told_with_its_events_and_its_tasks() {
    let configuration = DeploymentConfiguration::default_of(SchedulingStrategy::Replica);
    let spec: ServiceSpec = serde_json::from_value(json!({
        "scheduling": "REPLICA", "desired": 2, "configuration": configuration,
    }))
    .unwrap();
    let with = |desired| Change::ServiceUpdated {
        cluster: CLUSTER,
        service: name(),
        spec: Arc::new(ServiceSpec {
            desired,
            health_check_grace_seconds: desired,
            ..spec.clone()
        }),
        deployments: Vec::new(),
    };
    let event = ServiceEvent {
        id: 1,
        at: Timestamp::from_millis(1),
        message: "(service web) has started 1 tasks: (task aaaa).".into(),
    };
    let stepped = |service: ServiceName| Change::ServiceStepped {
        cluster: CLUSTER,
        service,
        deployments: Vec::new(),
        accounted: Vec::new(),
        events: vec![event.clone()],
    };
    let elsewhere = ServiceName::parse("api").unwrap();
    let records = [
        record(1, vec![("ops", vec![with(2)])]),
        record(2, vec![("ops", vec![with(5)])]),
        record(
            3,
            vec![
                (
                    "scheduler",
                    vec![
                        stepped(name()),
                        placed(&[TASK], Some(name())),
                        stopped(OTHER, StopCode::ServiceSchedulerInitiated, "unhealthy"),
                    ],
                ),
                (
                    "scheduler",
                    vec![
                        stepped(elsewhere),
                        stopped(TASK, StopCode::ServiceSchedulerInitiated, ""),
                    ],
                ),
            ],
        ),
    ];
    assert_eq!(
        story(&service(), &records),
        [
            "1 ops: updated: desired count 2 ()".to_owned(),
            "2 ops: desired count 2 -> 5 ()".to_owned(),
            "2 ops: changed: healthCheckGracePeriodSeconds ()".to_owned(),
            "3 scheduler: has started 1 tasks: (task aaaa). ()".to_owned(),
            format!(
                "3 scheduler: placed: {TASK} on container instance {INSTANCE} (web:3 with 256 CPU units and 400 MiB, deployment \
                 ecs-svc/1000000000000000005 of service web)"
            ),
            format!("3 scheduler: task {OTHER} is to stop (ServiceSchedulerInitiated: unhealthy)"),
        ]
    );
}

#[test]
fn an_instance_is_told_with_its_agent_and_the_tasks_that_it_gets() {
    let connection = |connected| Change::InstanceConnection {
        cluster: CLUSTER,
        instance: INSTANCE,
        connected,
        via: None,
        at: None,
    };
    let draining = Change::InstanceStatusSet {
        cluster: CLUSTER,
        instance: INSTANCE,
        status: InstanceStatus::Draining,
        leaving: Some("Spot interruption".into()),
        at: None,
    };
    let agent = format!("agent {INSTANCE}");
    let elsewhere = Change::ClusterDeleted {
        name: ClusterName::parse("a").unwrap(),
    };
    let records = [
        record(1, vec![("ecs", vec![elsewhere, placed(&[TASK, OTHER], None)])]),
        record(2, vec![("agent", vec![connection(false), draining])]),
        record(
            3,
            vec![
                (
                    agent.as_str(),
                    vec![
                        observed(TASK, TaskStatus::Running, ContainerStatus::Running, None),
                        observed(TASK, TaskStatus::Running, ContainerStatus::Running, None),
                        observed(TASK, TaskStatus::Stopped, ContainerStatus::Stopped, Some(1)),
                    ],
                ),
                (
                    "agent of another",
                    vec![observed(OTHER, TaskStatus::Running, ContainerStatus::Running, None)],
                ),
            ],
        ),
    ];
    assert_eq!(
        story(&instance(), &records),
        [
            format!("1 ecs: got 2 tasks: {TASK}, {OTHER} (web:3 with 256 CPU units and 400 MiB, group family:web)"),
            "2 agent: its agent is away ()".to_owned(),
            "2 agent: became DRAINING (Spot interruption)".to_owned(),
            format!("3 {agent}: task {TASK} RUNNING ()"),
            format!("3 {agent}: task {TASK} STOPPED (EssentialContainerExited: Essential container in task exited)"),
        ]
    );
}

#[test]
fn what_concerns_a_subject_bears_its_mark() {
    let records = [
        record(1, vec![("ecs", vec![placed(&[TASK], Some(name()))])]),
        record(2, vec![("ops", vec![stopped(TASK, StopCode::UserInitiated, "")])]),
        record(3, vec![("ops", vec![stopped(OTHER, StopCode::UserInitiated, "")])]),
        record(
            4,
            vec![(
                format!("agent {INSTANCE}").as_str(),
                vec![observed(OTHER, TaskStatus::Running, ContainerStatus::Running, None)],
            )],
        ),
    ];
    for subject in [task(), service(), instance()] {
        for record in &records {
            let text = serde_json::to_string(record).unwrap();
            let is_marked = text.contains(&subject.mark());
            let concerns = !happenings(record, &subject).is_empty();
            assert!(is_marked || !concerns, "{subject:?} in {text}");
            assert_eq!(
                is_marked, concerns,
                "nothing here has a mark in vain: {subject:?} in {text}"
            );
        }
    }
}

#[test]
fn a_task_tells_when_it_began_to_be() {
    let born = Subject::Task(TaskKey {
        cluster: CLUSTER,
        task: TaskId::from_bits(0x0199_0000_0001_7000_8000_0000_0000_0000),
    });
    assert_eq!(born.born(), Some(Timestamp::from_millis(0x0199_0000_0001)));
    assert_eq!(service().born(), None);
}
