//! What a document must be to be accepted.

use std::collections::BTreeSet;

use super::condition::{KEYS, Operator, TAG_KEYS, is_known_key};
use super::glob::{matches, matches_ignoring_case, parts};
use super::{OneOrMany, Policy, Statement, VERSION};
use crate::fault::shortened;

/// The version of before, which differs in policy variables alone: there are none here.
const OLD_VERSION: &str = "2008-10-17";
/// Of which there are ARNs.
const SERVICES: [&str; 3] = ["ecs", "application-autoscaling", "iam"];

impl Policy {
    /// The first thing that is wrong.
    pub(super) fn check(&self, actions: &[&str]) -> Result<(), String> {
        if let Some(version) = &self.version
            && version != VERSION
            && version != OLD_VERSION
        {
            return Err(format!("Version '{}' must be {VERSION}.", shortened(version)));
        }
        let statements = self.statement.as_slice();
        if statements.is_empty() {
            return Err("Statement must have at least one statement.".to_owned());
        }
        let mut sids = BTreeSet::new();
        for (at, statement) in statements.iter().enumerate() {
            let in_statement = |wrong: String| format!("{}: {wrong}", statement.label(at));
            statement.check(actions).map_err(in_statement)?;
            if let Some(sid) = &statement.sid
                && !sids.insert(sid)
            {
                return Err(format!("Sid '{sid}' stands twice."));
            }
        }
        Ok(())
    }
}

impl Statement {
    fn check(&self, actions: &[&str]) -> Result<(), String> {
        if let Some(sid) = &self.sid
            && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(format!("Sid '{}' must be letters and digits.", shortened(sid)));
        }
        let (name, patterns) = one_of(("Action", &self.action), ("NotAction", &self.not_action))?;
        for pattern in patterns {
            check_action(name, pattern, actions)?;
        }
        let (name, patterns) = one_of(("Resource", &self.resource), ("NotResource", &self.not_resource))?;
        for pattern in patterns {
            check_resource(name, pattern)?;
        }
        let conditions = self.condition.iter().flat_map(|condition| &condition.0);
        for (name, keys) in conditions {
            check_condition(name, &keys.0)?;
        }
        Ok(())
    }
}

type Member<'s> = (&'static str, &'s Option<OneOrMany<String>>);

/// The one of two members that is given.
fn one_of<'s>(member: Member<'s>, not: Member<'s>) -> Result<(&'static str, &'s [String]), String> {
    let (name, patterns) = match (member, not) {
        ((name, Some(patterns)), (_, None)) | ((_, None), (name, Some(patterns))) => (name, patterns.as_slice()),
        ((name, _), (not, _)) => return Err(format!("exactly one of {name} and {not} must be given.")),
    };
    match patterns.is_empty() {
        true => Err(format!("{name} must have at least one value.")),
        false => Ok((name, patterns)),
    }
}

fn check_action(member: &str, pattern: &str, actions: &[&str]) -> Result<(), String> {
    if actions.iter().any(|action| matches_ignoring_case(pattern, action)) {
        return Ok(());
    }
    Err(format!("{member} '{}' is no action that there is.", shortened(pattern)))
}

fn check_resource(member: &str, pattern: &str) -> Result<(), String> {
    refuse_variable(member, pattern)?;
    if pattern == "*" {
        return Ok(());
    }
    let wrong = |rule: &str| Err(format!("{member} '{}' {rule}.", shortened(pattern)));
    let parts = parts(pattern);
    let [arn, _, service, ..] = parts[..] else {
        return wrong("must be '*' or an ARN");
    };
    if arn != "arn" || parts.len() != 6 {
        return wrong("must be '*' or an ARN, which has six parts with ':' between them");
    }
    if !SERVICES.iter().any(|known| matches(service, known)) {
        return wrong("is of a service that is not here: ecs, application-autoscaling and iam are");
    }
    Ok(())
}

fn check_condition(name: &str, keys: &[(String, OneOrMany<super::Text>)]) -> Result<(), String> {
    let operator = Operator::parse(name)
        .ok_or_else(|| format!("Condition operator '{}' is none that is known here.", shortened(name)))?;
    if keys.is_empty() {
        return Err(format!("Condition {name} must have a key."));
    }
    for (key, values) in keys {
        if !is_known_key(key) {
            return Err(format!(
                "Condition key '{}' is none that is known here: {} are, and {} with the key of a tag.",
                shortened(key),
                KEYS.join(", "),
                TAG_KEYS.join(", ")
            ));
        }
        if values.as_slice().is_empty() {
            return Err(format!("Condition {name} of {key} must have a value."));
        }
        for value in values.as_slice() {
            let what = format!("Condition {name} of {key}");
            refuse_variable(&what, &value.0)?;
            if let Some(rule) = operator.refuse(&value.0) {
                return Err(format!("{what}: '{}' {rule}.", shortened(&value.0)));
            }
        }
    }
    Ok(())
}

fn refuse_variable(what: &str, value: &str) -> Result<(), String> {
    match value.contains("${") {
        false => Ok(()),
        true => Err(format!(
            "{what} '{}' has a policy variable: there are none here.",
            shortened(value)
        )),
    }
}
