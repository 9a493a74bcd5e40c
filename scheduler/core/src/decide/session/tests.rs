use berth_model::cluster::ClusterSettings;
use berth_model::id::{DefinitionId, InstanceId};
use berth_model::name::Family;
use berth_model::overrides::TaskOverride;
use berth_model::status::{HealthStatus, LaunchType};
use berth_model::time::Timestamp;
use serde_json::json;

use super::*;
use crate::command::Memory;
use crate::fold::fold;
use crate::keys::ClusterKey;
use crate::launch::{Launch, Placement};
use crate::observation::{ContainerState, InstanceFacts, Observation, TaskTimes};

const CLUSTER: ClusterKey = ClusterKey(1);
const INSTANCE: InstanceId = InstanceId::from_bits(1);

/// A task of the containers, `web` or others, as they are, with or without leave to run commands in it.
fn state(enabled: bool, status: TaskStatus, containers: &[(&str, ContainerStatus)]) -> State {
    let mut state = State::default();
    let (name, tags) = (ClusterName::parse("default").unwrap(), Vec::new());
    let created = Change::ClusterCreated {
        name,
        key: CLUSTER,
        tags,
    };
    let registered = Change::InstanceRegistered {
        cluster: CLUSTER,
        instance: INSTANCE,
        facts: Arc::new(InstanceFacts::default()),
        at: Timestamp::from_millis(1),
    };
    let launch = Launch {
        definition: DefinitionId {
            family: Family::parse("web").unwrap(),
            revision: serde_json::from_value(json!(1)).unwrap(),
        },
        demand: serde_json::from_value(json!({"cpu": 0, "memory": 4})).unwrap(),
        group: "family:web".into(),
        started_by: None,
        overrides: TaskOverride::default(),
        tags: Vec::new(),
        launch_type: LaunchType::Ec2,
        provider: None,
        execute_command: enabled,
        subnet: None,
        client_token: None,
        service: None,
        schedule: None,
        created_at: Timestamp::from_millis(1),
    };
    let placed = Change::TasksPlaced {
        cluster: CLUSTER,
        launch: Arc::new(launch),
        placements: vec![Placement {
            task: task(),
            instance: INSTANCE,
            gpus: Arc::new([]),
        }],
    };
    let containers = containers.iter().map(|(name, last)| ContainerState {
        name: (*name).into(),
        last: *last,
        runtime_id: Some("id".into()),
        image_digest: None,
        exit_code: None,
        reason: None,
        bindings: Vec::new(),
        address: None,
        health: HealthStatus::Unknown,
        restarts: 0,
        log_tail: None,
    });
    let observed = Change::TaskObserved {
        cluster: CLUSTER,
        task: task(),
        observed: Arc::new(Observation {
            last_status: status,
            containers: containers.collect(),
            stop_code: None,
            stopped_reason: None,
            times: TaskTimes::default(),
        }),
        at: Timestamp::from_millis(1),
    };
    for change in [created, registered, placed, observed] {
        fold(&mut state, &change);
    }
    state
}

fn task() -> TaskId {
    TaskId::from_bits(7)
}

fn open(state: &State, container: Option<&str>) -> Result<Decision<Opened>, Fault> {
    let command = OpenSession {
        cluster: ClusterName::parse("default").unwrap(),
        task: task(),
        container: container.map(Into::into),
        command: vec!["sh".to_owned()],
        session: "s".into(),
    };
    let mut memory = Memory::default();
    command.decide(state, &mut Env::new(Timestamp::from_millis(2), 1, &mut memory))
}

const RUNNING: ContainerStatus = ContainerStatus::Running;

#[test]
fn who_runs_what_and_where_is_remembered_and_changes_nothing() {
    let mut state = state(true, TaskStatus::Running, &[("web", RUNNING)]);
    let decision = open(&state, None).unwrap();
    assert_eq!(&*decision.outcome.place.container, "web");
    assert_eq!(decision.outcome.log_group, None);
    let [change @ Change::SessionOpened { command, .. }] = &decision.changes[..] else {
        panic!("{:?}", decision.changes);
    };
    assert_eq!(command, &["sh"]);
    let before = state.clone();
    fold(&mut state, change);
    assert_eq!(
        state.task(decision.outcome.place.task),
        before.task(decision.outcome.place.task)
    );
}

#[test]
fn what_a_command_writes_is_logged_where_the_cluster_says_so() {
    let mut state = state(true, TaskStatus::Running, &[("web", RUNNING)]);
    let group = LogGroup::parse("log", "/ecs/commands").unwrap();
    for (logging, expected) in [
        (Some(ExecuteCommandLogging::None), None),
        (Some(ExecuteCommandLogging::Default), None),
        (
            Some(ExecuteCommandLogging::Override {
                log_group: group.clone(),
            }),
            Some(group),
        ),
        (None, None),
    ] {
        let changed = Change::ClusterUpdated {
            name: ClusterName::parse("default").unwrap(),
            settings: ClusterSettings {
                execute_command_logging: logging,
                ..ClusterSettings::default()
            },
        };
        fold(&mut state, &changed);
        assert_eq!(open(&state, None).unwrap().outcome.log_group, expected);
    }
}

#[test]
fn only_running_containers_of_tasks_that_were_started_for_it_take_commands() {
    let stopped = ContainerStatus::Stopped;
    for (state, container, says) in [
        (
            state(false, TaskStatus::Running, &[("web", RUNNING)]),
            None,
            "started without enableExecuteCommand",
        ),
        (
            state(true, TaskStatus::Stopping, &[("web", RUNNING)]),
            None,
            "The task is STOPPING",
        ),
        (
            state(true, TaskStatus::Running, &[("web", stopped)]),
            None,
            "Container 'web' is STOPPED",
        ),
        (
            state(true, TaskStatus::Running, &[("web", RUNNING), ("log", RUNNING)]),
            None,
            "one of [web, log]",
        ),
        (
            state(true, TaskStatus::Running, &[("web", RUNNING)]),
            Some("other"),
            "container 'other' is none of the task's",
        ),
    ] {
        let fault = open(&state, container).unwrap_err();
        assert_eq!(fault.class, FaultClass::InvalidParameter);
        assert!(fault.message.contains(says), "{fault}");
    }
    let several = state(true, TaskStatus::Running, &[("web", stopped), ("log", RUNNING)]);
    assert_eq!(&*open(&several, Some("log")).unwrap().outcome.place.container, "log");
}

#[test]
fn a_container_whose_agent_is_away_is_not_connected() {
    let mut state = state(true, TaskStatus::Running, &[("web", RUNNING)]);
    let gone = Change::InstanceConnection {
        cluster: CLUSTER,
        instance: INSTANCE,
        connected: false,
        via: None,
        at: None,
    };
    fold(&mut state, &gone);
    let fault = open(&state, None).unwrap_err();
    assert_eq!(fault.class, FaultClass::TargetNotConnected);
    assert!(
        fault
            .message
            .starts_with("The execute command failed due to an internal error. Try again later."),
        "{fault}"
    );
}
