//! Members that no message knows.

use berth_proto::ecs::v1::{ContainerDefinition, RegisterTaskDefinitionRequest};
use serde_json::json;

#[test]
fn what_nobody_knows_is_read_and_written_again() {
    let given = json!({"name": "a", "portMappings": [{"containerPort": 80, "speed": 1.5}], "later": {"x": [null]}});
    let read: ContainerDefinition = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(read.name(), "a");
    assert_eq!(read.unknown_members, r#"{"later":{"x":[null]}}"#);
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["later"], given["later"]);
    assert_eq!(written["portMappings"], given["portMappings"]);
}

#[test]
fn what_nobody_knows_is_forgotten_wherever_it_stands() {
    let known =
        json!({"family": "web", "containerDefinitions": [{"name": "a", "linuxParameters": {"tmpfs": [{"size": 1}]}}]});
    let mut given = known.clone();
    given["later"] = json!(1);
    given["containerDefinitions"][0]["linuxParameters"]["tmpfs"][0]["later"] = json!(2);
    let mut request: RegisterTaskDefinitionRequest = serde_json::from_value(given).unwrap();
    request.forget_unknown_members();
    let known: RegisterTaskDefinitionRequest = serde_json::from_value(known).unwrap();
    assert_eq!(request, known);
}

#[test]
fn what_is_no_object_is_named() {
    let wrong = ContainerDefinition {
        unknown_members: "[1]".to_owned(),
        ..ContainerDefinition::default()
    };
    let error = serde_json::to_value(&wrong).unwrap_err().to_string();
    assert!(error.starts_with("unknown_members is no JSON object"), "{error}");
}
