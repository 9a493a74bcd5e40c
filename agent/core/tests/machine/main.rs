//! Any order of answers, failures, ends, removals, restarts and steps of the clock: the machine keeps its promises, and
//! once Docker works again it comes to an end.

mod docker;
mod world;

use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::context::TaskContext;
use berth_agent_core::machine::{Input, Policy};
use berth_agent_core::spec::TaskSpec;
use berth_model::id::{InstanceId, TaskId};
use berth_model::status::TaskStatus;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::json;

use docker::Real;
use world::World;

const NAMES: [&str; 4] = ["app", "db", "side", "init"];
const APP: usize = 0;
const DB: usize = 1;
const SIDE: usize = 2;
const INIT: usize = 3;
const POLICY: Policy = Policy {
    stop_timeout: Duration::from_secs(10),
    retention: Duration::from_secs(60),
};

/// `app` needs `db` healthy and `init` to have succeeded, and may be started again; `side` takes the volumes of `app`.
/// `app` and `db` are essential.
fn spec() -> serde_json::Result<TaskSpec> {
    let id = TaskId::from_bits(1);
    let definition = json!({"family": "web", "volumes": [{"name": "own"}], "containerDefinitions": [
        {"name": "app", "image": "a", "memory": 8, "links": ["db"],
         "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}, {"containerName": "init", "condition": "SUCCESS"}],
         "restartPolicy": {"enabled": true, "ignoredExitCodes": [2], "restartAttemptPeriod": 60},
         "portMappings": [{"containerPort": 80, "hostPort": 80}],
         "mountPoints": [{"sourceVolume": "own", "containerPath": "/own"}]},
        {"name": "db", "image": "a", "memory": 8, "startTimeout": 120,
         "healthCheck": {"command": ["CMD", "true"]}},
        {"name": "side", "image": "a", "memory": 8, "essential": false, "volumesFrom": [{"sourceContainer": "app"}],
         "restartPolicy": {"enabled": true, "restartAttemptPeriod": 60}},
        {"name": "init", "image": "a", "memory": 8, "essential": false},
    ]});
    Ok(TaskSpec {
        id,
        arn: format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{id}"),
        cluster: "prod".to_owned(),
        instance: InstanceId::from_bits(2),
        definition_arn: String::new(),
        revision: 1,
        definition: Arc::new(serde_json::from_value(definition)?),
        context: TaskContext::default(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_machine_keeps_its_promises_and_ends(chances in prop::collection::vec(any::<(u8, u8)>(), 0..250)) {
        let mut world = World::new()?;
        for (choice, detail) in chances {
            world.chance(choice, detail);
            // Docker has started each container once a run at most.
            for (at, container) in world.machine.record().containers.iter().enumerate() {
                prop_assert!(world.docker.starts[at] <= container.restarts + 1, "{} was started twice", NAMES[at]);
            }
        }
        world.tell(Input::Stop);
        world.settle();
        prop_assert_eq!(world.machine.status(), TaskStatus::Stopped);
        prop_assert!((0..NAMES.len()).all(|at| !world.docker.runs(at)), "{:?}", world.docker);
        world.tell(Input::Acknowledged);
        world.settle();
        prop_assert!(world.machine.is_forgotten());
        prop_assert!(world.docker.containers.is_empty(), "left behind: {:?}", world.docker);
    }

    #[test]
    fn a_docker_that_works_brings_every_task_up(restarts in prop::collection::vec((0_u8..40, any::<u8>()), 0..4)) {
        let mut world = World::new()?;
        for (steps, reached) in restarts {
            for _ in 0..steps {
                if !world.outstanding.is_empty() {
                    let action = world.outstanding.remove(0);
                    world.succeed(&action);
                }
            }
            world.restart(reached);
        }
        world.settle();
        prop_assert_eq!(world.machine.status(), TaskStatus::Running);
        prop_assert_eq!(world.docker.starts, [1; NAMES.len()]);
    }

    #[test]
    fn a_container_that_runs_long_enough_is_started_again_and_again(runs in prop::collection::vec(60_u16..200, 1..6)) {
        let mut world = World::new()?;
        world.settle();
        for (count, seconds) in (1..).zip(&runs) {
            world.now = world.now + Duration::from_secs((*seconds).into());
            world.docker.end(APP, 1, world.now);
            world.tell(Input::Hint(APP));
            world.settle();
            prop_assert_eq!(world.machine.status(), TaskStatus::Running);
            prop_assert_eq!(world.machine.record().containers[APP].restarts, count);
        }
        world.docker.end(APP, 2, world.now);
        world.tell(Input::Hint(APP));
        world.settle();
        prop_assert_eq!(world.machine.status(), TaskStatus::Stopped, "an ignored exit code");
        prop_assert!(!matches!(world.docker.containers[&DB].real, Real::Running));
    }
}
