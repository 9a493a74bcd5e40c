//! What the tests of the machine share.

use std::sync::Arc;
use std::time::Duration;

use berth_model::id::{InstanceId, TaskId};
use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;
use serde_json::{Value, json};

use super::{Action, Input, Machine, Outcome, Policy, Step};
use crate::container::{Detail, RunState, Snapshot};
use crate::context::TaskContext;
use crate::failure::{Failure, FailureKind};
use crate::image::PulledImage;
use crate::pause;
use crate::spec::TaskSpec;

pub(crate) const POLICY: Policy = Policy {
    stop_timeout: Duration::from_secs(30),
    retention: Duration::from_secs(3600),
};

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

/// Task 2a of definition `web:3` in cluster `prod`.
pub(crate) fn spec_of(definition: Value) -> TaskSpec {
    let id = TaskId::from_bits(42);
    TaskSpec {
        id,
        arn: format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{id}"),
        cluster: "prod".to_owned(),
        instance: InstanceId::from_bits(7),
        definition_arn: "arn:aws:ecs:us-east-1:000000000000:task-definition/web:3".to_owned(),
        revision: 3,
        definition: Arc::new(pause::added(serde_json::from_value(definition).unwrap())),
        context: TaskContext::default(),
    }
}

pub(crate) fn spec(containers: &Value) -> TaskSpec {
    spec_of(json!({"family": "web", "containerDefinitions": containers}))
}

pub(crate) fn container(name: &str) -> Value {
    json!({"name": name, "image": "busybox", "memory": 16})
}

pub(crate) fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(kind, message)
}

pub(crate) fn image() -> PulledImage {
    PulledImage {
        id: "sha256:0".to_owned(),
        digest: Some("sha256:1".to_owned()),
        stop_signal: None,
    }
}

pub(crate) fn done(machine: &mut Machine, container: usize, outcome: Outcome, seconds: i64) -> Step {
    machine.handle(Input::Done { container, outcome }, at(seconds))
}

pub(crate) fn snapshot(state: RunState) -> Snapshot {
    Snapshot {
        id: "id".to_owned(),
        state,
        started_at: Some(at(1)),
        bindings: Vec::new(),
        stop_signal: None,
        health: HealthStatus::Unknown,
        paused: false,
        detail: Detail::default(),
        tail: Vec::new(),
    }
}

pub(crate) fn exited(exit_code: i32) -> RunState {
    RunState::Exited {
        exit_code,
        oom_killed: false,
        finished_at: Some(at(9)),
    }
}

/// Answers what the step asks for as a Docker would in which everything goes well, until only looks are left.
pub(crate) fn bring_up(machine: &mut Machine, step: Step, seconds: i64) {
    let mut actions: Vec<Action> = step.actions;
    while let Some(action) = actions.pop() {
        let (container, outcome) = match action {
            Action::Pull { container, .. } => (container, Outcome::Pulled(Ok(image()))),
            Action::Create { container, .. } => (container, Outcome::Created(Ok(format!("id{container}")))),
            Action::Start { container, .. } => (container, Outcome::Started(Ok(Vec::new()))),
            Action::Signal { .. }
            | Action::Kill { .. }
            | Action::Look { .. }
            | Action::Remove { .. }
            | Action::RemoveVolumes
            | Action::Forget => panic!("{action:?}"),
        };
        actions.extend(done(machine, container, outcome, seconds).actions);
    }
}
