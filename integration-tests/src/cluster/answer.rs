//! Reading what ECS operations answer.

use anyhow::{Context, Result};
use serde_json::Value;

/// A list of an answer.
///
/// # Errors
///
/// If the member is not there or no list.
pub fn list(answer: &Value, member: &str) -> Result<Vec<Value>> {
    let list = answer[member].as_array();
    list.cloned().with_context(|| format!("no list {member} in {answer}"))
}

/// The `taskArn` of each task.
///
/// # Errors
///
/// If one has none.
pub fn arns(tasks: &[Value]) -> Result<Vec<String>> {
    tasks
        .iter()
        .map(|task| {
            let arn = task["taskArn"].as_str();
            arn.map(str::to_owned).with_context(|| format!("no taskArn in {task}"))
        })
        .collect()
}

/// A container of a described task.
///
/// # Errors
///
/// If the task has none of that name.
pub fn container_of<'t>(task: &'t Value, name: &str) -> Result<&'t Value> {
    let containers = task["containers"].as_array();
    containers
        .into_iter()
        .flatten()
        .find(|container| container["name"] == name)
        .with_context(|| format!("no container {name} in {task}"))
}

/// What matters of tasks in a message.
pub(super) fn brief(tasks: &[Value]) -> String {
    let line = |task: &Value| {
        format!(
            "{} {} (desired {}) {} {} {}",
            task["taskArn"],
            task["lastStatus"],
            task["desiredStatus"],
            task["stopCode"],
            task["stoppedReason"],
            task["containers"]
        )
    };
    tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}
