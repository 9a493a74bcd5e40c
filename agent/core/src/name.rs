//! Names and labels of what a task has in Docker. They follow from the task alone, so that the same container is found
//! again, and never made twice, whatever the agent has forgotten.

use std::collections::BTreeMap;

use crate::pause;
use crate::spec::TaskSpec;

/// Label: the task's ARN.
pub const TASK_ARN: &str = "com.amazonaws.ecs.task-arn";
/// Label: the container's name in the task definition.
pub const CONTAINER_NAME: &str = "com.amazonaws.ecs.container-name";
/// Label: the family.
pub const FAMILY: &str = "com.amazonaws.ecs.task-definition-family";
/// Label: the revision.
pub const REVISION: &str = "com.amazonaws.ecs.task-definition-version";
/// Label: the cluster's name.
pub const CLUSTER: &str = "com.amazonaws.ecs.cluster";
/// Label: the id of the instance, which tells the containers of two agents on one host apart.
pub const INSTANCE: &str = "berth.instance";
/// Label: the network of tasks that have an address of their own.
pub const TASK_NETWORK: &str = "berth.task-network";
/// Label: a hash of all that the container was created with.
pub const SPEC_HASH: &str = "berth.spec-hash";

/// Names may be 255 characters long, of which a Docker name or a volume's directory has not room for two.
const LONGEST_PART: usize = 64;

/// Docker's name of a container: `ecs-<family>-<revision>-<container>-<task id>`.
#[must_use]
pub fn container(spec: &TaskSpec, at: usize) -> String {
    let name = spec
        .containers()
        .get(at)
        .map_or("", |container| container.name.as_str());
    let name = if pause::is_internal(name) {
        pause::DOCKER_NAME
    } else {
        name
    };
    of_task(spec, name, at)
}

/// Docker's name of a volume that belongs to the task: built like a container's.
#[must_use]
pub fn volume(spec: &TaskSpec, at: usize) -> String {
    let name = spec
        .definition
        .volumes
        .get(at)
        .map_or("", |volume| volume.name.as_str());
    of_task(spec, name, at)
}

fn of_task(spec: &TaskSpec, part: &str, at: usize) -> String {
    let family = &spec.definition.family;
    let family = family.get(..LONGEST_PART).unwrap_or(family);
    match part.get(..LONGEST_PART) {
        // Two long names may begin alike: their places tell them apart.
        Some(head) if head.len() < part.len() => format!("ecs-{family}-{}-{head}.{at}-{}", spec.revision, spec.id),
        Some(_) | None => format!("ecs-{family}-{}-{part}-{}", spec.revision, spec.id),
    }
}

/// The labels of everything that belongs to the task.
#[must_use]
pub fn labels(spec: &TaskSpec) -> BTreeMap<String, String> {
    [
        (TASK_ARN, spec.arn.clone()),
        (FAMILY, spec.definition.family.clone()),
        (REVISION, spec.revision.to_string()),
        (CLUSTER, spec.cluster.clone()),
        (INSTANCE, spec.instance.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use crate::machine::testing::spec;
    use serde_json::json;

    #[test]
    fn names_follow_from_the_task_and_stay_apart_when_cut() {
        let long = |end: &str| json!({"name": format!("{}{end}", "x".repeat(100)), "image": "a", "memory": 8});
        let spec = spec(&json!([{"name": "app", "image": "a", "memory": 8}, long("1"), long("2")]));
        assert_eq!(
            super::container(&spec, 0),
            "ecs-web-3-app-0000000000000000000000000000002a"
        );
        assert_ne!(super::container(&spec, 1), super::container(&spec, 2));
        assert!(super::container(&spec, 1).len() < 200);
    }
}
