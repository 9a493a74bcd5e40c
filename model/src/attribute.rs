//! Attributes of container instances that operators choose (ECS API, `Attribute`).

use crate::capacity::PROVIDER_ATTRIBUTE;
use crate::fault::{Fault, shortened};

/// Attributes in one PutAttributes or DeleteAttributes (ECS API).
pub const MAX_IN_CALL: usize = 10;
/// Attributes that operators may give one instance (ECS API, PutAttributes).
pub const MAX_GIVEN: usize = 10;
/// Characters of a name, and of a value.
const LONGEST: usize = 128;
/// Beginnings of the names under which an agent says what it can do.
const CAPABILITIES: [&str; 3] = ["ecs.capability.", "com.amazonaws.ecs.", "berth."];
/// What an instance has that was registered by a call, so that its agent keeps no stream.
pub const BY_CALLS: &str = "berth.registered-by-call";

/// What an agent finds out by itself.
const FOUND: [&str; 3] = ["ecs.os-type", "ecs.os-family", "ecs.cpu-architecture"];

/// Checks a name that an operator chose.
///
/// # Errors
/// The rule that it breaks: `must ...`.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/\\.".contains(c);
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(allowed) {
        return Err(format!(
            "must have a name of 1 to {LONGEST} letters, numbers, hyphens, underscores, slashes, backslashes and periods"
        ));
    }
    // Of these an operator says which provider's host it is.
    if name == PROVIDER_ATTRIBUTE {
        return Ok(());
    }
    if FOUND.contains(&name) || CAPABILITIES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!(
            "must not be named {} or begin with {}: the agent itself sets these",
            FOUND.join(", "),
            CAPABILITIES.join(", ")
        ));
    }
    Ok(())
}

/// Checks a value that an operator chose.
///
/// # Errors
/// The rule that it breaks: `must ...`.
pub fn check_value(value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/\\.@: ".contains(c);
    if value.is_empty() || value.len() > LONGEST || !value.chars().all(allowed) || value.trim() != value {
        return Err(format!(
            "must have a value of 1 to {LONGEST} letters, numbers, hyphens, underscores, periods, at signs, slashes, backslashes, colons and inner spaces"
        ));
    }
    Ok(())
}

/// Checks an attribute of a request: the one at the place `at` of its list.
///
/// # Errors
/// `InvalidParameterException` naming the member, the value and the rule.
pub fn check(at: usize, name: &str, value: Option<&str>) -> Result<(), Fault> {
    check_name(name).map_err(|rule| Fault::invalid(format!("attributes[{at}].name '{}' {rule}.", shortened(name))))?;
    match value {
        None => Ok(()),
        Some(value) => check_value(value)
            .map_err(|rule| Fault::invalid(format!("attributes[{at}].value '{}' {rule}.", shortened(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_which_member_breaks_which_rule() {
        assert_eq!(check(0, "team/stack", Some("a b:c@d")), Ok(()));
        assert_eq!(check(0, "marked", None), Ok(()));
        assert_eq!(check(0, PROVIDER_ATTRIBUTE, Some("web")), Ok(()));
        let long = "n".repeat(129);
        for (name, value, says) in [
            ("", None, "attributes[3].name '' must have a name of 1 to 128"),
            ("a b", None, "attributes[3].name 'a b' must have a name"),
            (long.as_str(), None, "must have a name of 1 to 128"),
            ("ecs.os-type", Some("windows"), "the agent itself sets these"),
            ("ecs.capability.task-eni", None, "the agent itself sets these"),
            ("stack", Some(" x"), "attributes[3].value ' x' must have a value"),
            ("stack", Some("ä"), "attributes[3].value 'ä' must have a value"),
        ] {
            let fault = check(3, name, value).unwrap_err();
            assert!(fault.message.contains(says), "{name} {value:?}: {fault}");
        }
    }
}
