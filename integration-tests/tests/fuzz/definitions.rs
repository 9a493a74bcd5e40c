//! What RegisterTaskDefinition and RunTask are given as JSON.

use berth_model::placement::{
    RawConstraint, RawStrategy, parse_constraints, parse_definition_constraints, parse_strategies,
};
use berth_model::task_definition::{TaskDefinition, capability};

pub(crate) const TOKENS: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[{}]",
    "-1",
    "0",
    "4294967296",
    "1e99",
    ",",
    ":",
    "\"family\":\"f\",",
    "\"name\":\"c\",",
    "\"image\":\"i\",",
    "\"memory\":64,",
    "\"cpu\":\"1 vCPU\",",
    "\"memory\":\"1 GB\",",
    "\"essential\":false,",
    "\"networkMode\":\"awsvpc\",",
    "\"networkMode\":\"host\",",
    "\"portMappings\":[{\"containerPort\":80}],",
    "\"portMappings\":[{\"containerPortRange\":\"80-90\"}],",
    "\"dependsOn\":[{\"containerName\":\"c\",\"condition\":\"START\"}],",
    "\"links\":[\"c:d\"],",
    "\"ulimits\":[{\"name\":\"core\",\"softLimit\":1,\"hardLimit\":0}],",
    "\"healthCheck\":{\"command\":[\"CMD\",\"x\"]},",
    "\"type\":\"memberOf\",",
    "\"type\":\"spread\",",
    "\"field\":\"attribute:a\",",
    "\"expression\":\"attribute:a == b\"",
    "\"resourceRequirements\":[{\"type\":\"GPU\",\"value\":\"1\"}],",
];

/// What is valid reserves something, and is valid and the same when it is registered as it is described.
pub(crate) fn check_definition(text: &str) -> Result<bool, String> {
    let Ok(read) = serde_json::from_str::<TaskDefinition>(text) else {
        return Ok(false);
    };
    let valid = match read.validated() {
        Ok(valid) => valid,
        Err(fault) if fault.message.is_empty() => return Err("it is refused without a word".to_owned()),
        Err(_) => return Ok(false),
    };
    let demand = valid.demand();
    let attributes = capability::required_by(&valid);
    let described = serde_json::to_string(&valid).map_err(|error| error.to_string())?;
    let again = serde_json::from_str::<TaskDefinition>(&described).map_err(|error| format!("{described}: {error}"))?;
    let again = again
        .validated()
        .map_err(|fault| format!("{described}: {}", fault.message))?;
    if again != valid || again.demand() != demand || capability::required_by(&again) != attributes {
        return Err(format!("registered again it is another: {described}"));
    }
    Ok(true)
}

/// Constraints and strategies in one list: each reader takes what it knows and names what is wrong with the rest.
pub(crate) fn check_placement(text: &str) -> Result<bool, String> {
    let mut accepted = false;
    let mut messages = Vec::new();
    if let Ok(raw) = serde_json::from_str::<Vec<RawConstraint>>(text) {
        let of_request = parse_constraints(&raw).map(|_| ());
        let of_definition = parse_definition_constraints(&raw).map(|_| ());
        for outcome in [of_request, of_definition] {
            accepted |= outcome.is_ok();
            messages.extend(outcome.err());
        }
    }
    if let Ok(raw) = serde_json::from_str::<Vec<RawStrategy>>(text) {
        let outcome = parse_strategies(&raw).map(|_| ());
        accepted |= outcome.is_ok();
        messages.extend(outcome.err());
    }
    match messages.iter().find(|fault| fault.message.is_empty()) {
        None => Ok(accepted),
        Some(fault) => Err(format!("it is refused without a word: {fault:?}")),
    }
}
