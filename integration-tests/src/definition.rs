//! Task definitions as most tests want them.

use serde_json::{Value, json};

/// A small container of BusyBox that runs a shell script and ends soon when told to.
#[must_use]
pub fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name,
        "image": "busybox",
        "memory": 32,
        "cpu": 10,
        "entryPoint": ["sh", "-c"],
        "command": [script],
        "stopTimeout": 1,
    })
}

/// A container, or a definition, with further members.
#[must_use]
pub fn with(mut value: Value, more: &Value) -> Value {
    for (member, it) in more.as_object().into_iter().flatten() {
        value[member] = it.clone();
    }
    value
}

/// A definition of these containers.
#[must_use]
pub fn definition(family: &str, containers: Value) -> Value {
    let mut definition = json!({"family": family});
    definition["containerDefinitions"] = containers;
    definition
}
