//! A task definition as a JSON document: ECS's input of RegisterTaskDefinition, with nothing in it left unread.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use berth_model::task_definition::says_nothing;
use berth_proto::ecs::v1::RegisterTaskDefinitionRequest;
use serde_json::Value;

/// Reads the document in `file`; `-` is standard input.
///
/// # Errors
/// It cannot be read, is not JSON, or has a member that is unknown or of the wrong type.
pub(super) fn read(file: &Path) -> anyhow::Result<RegisterTaskDefinitionRequest> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.context("cannot read standard input")?;
        ("standard input".to_owned(), text)
    } else {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        (name, text)
    };
    parse(&text).with_context(|| format!("{name} is not a task definition"))
}

fn parse(text: &str) -> anyhow::Result<RegisterTaskDefinitionRequest> {
    let document: Value = serde_json::from_str(text).context("it is not JSON")?;
    ensure!(document.is_object(), "it must be one JSON object");
    let request: RegisterTaskDefinitionRequest = serde_path_to_error::deserialize(&document)?;
    // The wire's types keep or pass over what they do not know. Here that is a misspelt member, and every member that
    // was understood is written again.
    let mut understood = request.clone();
    understood.forget_unknown_members();
    let unknown = unknown_member(&document, &serde_json::to_value(understood)?, "");
    ensure!(
        unknown.is_none(),
        "{}: there is no such member",
        unknown.unwrap_or_default()
    );
    Ok(request)
}

/// The path of the first member of `given` that `understood` lacks.
fn unknown_member(given: &Value, understood: &Value, path: &str) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => given.iter().find_map(|(key, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{key}");
            match understood.get(key) {
                Some(understood) => unknown_member(value, understood, &path),
                None if says_nothing(value) => None,
                None => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(understood)) => given
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(index, (given, understood))| unknown_member(given, understood, &format!("{path}[{index}]"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn message(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn ecs_json_is_read_member_by_member() -> anyhow::Result<()> {
        let request = parse(
            r#"{"family": "web", "volumes": [], "taskRoleArn": null, "containerDefinitions": [
                {"name": "app", "image": "nginx", "memory": 64, "dockerLabels": {"a": "b"},
                 "portMappings": [{"containerPort": 80}], "environment": [{"name": "K", "value": "v"}]}]}"#,
        )?;
        assert_eq!(request.family(), "web");
        let container = &request.container_definitions[0];
        assert_eq!(container.memory(), 64);
        assert_eq!(container.port_mappings[0].container_port(), 80);
        assert_eq!(container.docker_labels["a"], "b");
        Ok(())
    }

    #[test]
    fn a_misspelt_member_is_named_with_its_path() {
        assert_eq!(
            message(r#"{"family": "web", "containerDefinitions": [{}, {"name": "a", "memroy": 64}]}"#),
            "containerDefinitions[1].memroy: there is no such member"
        );
        assert_eq!(
            message(r#"{"family": "web", "containerDefinitions": [{"healthCheck": {"intervall": 5}}]}"#),
            "containerDefinitions[0].healthCheck.intervall: there is no such member"
        );
        assert_eq!(message(r#"{"famliy": "web"}"#), "famliy: there is no such member");
    }

    #[test]
    fn a_member_of_the_wrong_type_is_named_with_its_path() {
        assert_eq!(
            message(r#"{"containerDefinitions": [{"memory": "64"}]}"#),
            "containerDefinitions[0].memory: invalid type: string \"64\", expected i32"
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert_eq!(message("[]"), "it must be one JSON object");
        assert!(message("{").starts_with("it is not JSON: EOF while parsing"));
    }
}
