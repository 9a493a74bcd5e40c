//! The launch types that tasks of a definition can have: what ECS answers as `compatibilities`.

use serde_json::Value;

use super::{NetworkMode, TaskDefinition, fargate};
use crate::fault::Fault;
use crate::status::LaunchType;

/// The launch types, in ECS's order: EC2 runs everything, the others what they have no rule against.
#[must_use]
pub fn of(definition: &TaskDefinition) -> Vec<LaunchType> {
    let others = [
        (LaunchType::External, check_external(definition)),
        (LaunchType::Fargate, fargate::check(definition)),
    ];
    let fit = others.into_iter().filter(|(_, check)| check.is_ok());
    let mut types: Vec<LaunchType> = fit.map(|(launch_type, _)| launch_type).collect();
    // As the samples of ECS have it: EXTERNAL before EC2, FARGATE after it.
    let at = types.iter().filter(|one| **one == LaunchType::External).count();
    types.insert(at, LaunchType::Ec2);
    types
}

/// Checks that hosts outside of AWS run tasks of the definition (ECS guide, "Amazon ECS clusters for the external launch
/// type", considerations).
///
/// # Errors
/// `ClientException` that names the member.
pub fn check_external(definition: &TaskDefinition) -> Result<(), Fault> {
    if definition.network_mode() == NetworkMode::Awsvpc {
        return Err(refused("EXTERNAL", "networkMode awsvpc"));
    }
    for member in ["proxyConfiguration", "inferenceAccelerators"] {
        if definition.rest.get(member).is_some_and(says_something) {
            return Err(refused("EXTERNAL", member));
        }
    }
    let mut volumes = definition.volumes.iter();
    match volumes.any(|volume| volume.rest.get("efsVolumeConfiguration").is_some_and(says_something)) {
        true => Err(refused("EXTERNAL", "efsVolumeConfiguration")),
        false => Ok(()),
    }
}

/// The refusal of a definition that names something which tasks of the launch type cannot have.
pub(super) fn refused(launch_type: &str, member: &str) -> Fault {
    Fault::client(format!(
        "{launch_type} compatible task definitions do not support {member}."
    ))
}

/// Whether a member says anything: an empty list does not.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn types(members: &Value) -> Vec<&'static str> {
        let mut value = json!({"family": "web", "containerDefinitions": [{"name": "app", "image": "a", "memory": 64}]});
        for (name, member) in members.as_object().unwrap() {
            value[name] = member.clone();
        }
        let definition: TaskDefinition = serde_json::from_value(value).unwrap();
        of(&definition).into_iter().map(LaunchType::name).collect()
    }

    #[test]
    fn what_can_run_where_follows_from_the_definition() {
        assert_eq!(types(&json!({})), ["EXTERNAL", "EC2"]);
        assert_eq!(types(&json!({"networkMode": "host"})), ["EXTERNAL", "EC2"]);
        // Of no size that Fargate has, and with an address of its own.
        assert_eq!(types(&json!({"networkMode": "awsvpc"})), ["EC2"]);
        let sized = json!({"networkMode": "awsvpc", "cpu": "256", "memory": "512"});
        assert_eq!(types(&sized), ["EC2", "FARGATE"]);
        let mut with_host_volume = sized.clone();
        with_host_volume["volumes"] = json!([{"name": "v", "host": {"sourcePath": "/srv"}}]);
        assert_eq!(types(&with_host_volume), ["EC2"]);
        for (member, value) in [
            (
                "volumes",
                json!([{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
            ),
            ("proxyConfiguration", json!({"containerName": "envoy"})),
            ("inferenceAccelerators", json!([{"deviceName": "d", "deviceType": "t"}])),
        ] {
            assert_eq!(types(&json!({member: value})), ["EC2"], "{member}");
        }
        assert_eq!(types(&json!({"inferenceAccelerators": []})), ["EXTERNAL", "EC2"]);
    }
}
