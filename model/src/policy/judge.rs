//! What a policy says of a call.

use super::condition::{Context, Operator};
use super::glob::{matches_arn, matches_ignoring_case};
use super::{Effect, Policy, Statement};

/// What somebody is about to do.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// `ecs:RunTask`
    pub action: &'a str,
    /// An ARN; `*` where the action has no resource.
    pub resource: &'a str,
    /// What else is known of it.
    pub context: &'a Context,
}

/// Whether it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// This statement denies it: `statement 'NoProduction'`, or its number.
    Denied(String),
    /// No statement allows it.
    NotAllowed,
}

impl Policy {
    /// Judges a call: what is denied anywhere is denied, what is allowed nowhere is not allowed.
    #[must_use]
    pub fn judge(&self, access: &Access<'_>) -> Verdict {
        let statements = self.statement.as_slice();
        let mut applying = statements
            .iter()
            .enumerate()
            .filter(|(_, statement)| statement.applies(access));
        let mut allowed = false;
        let denying = applying.find(|(_, statement)| {
            allowed |= statement.effect == Effect::Allow;
            statement.effect == Effect::Deny
        });
        match denying {
            Some((at, statement)) => Verdict::Denied(statement.label(at)),
            None if allowed => Verdict::Allowed,
            None => Verdict::NotAllowed,
        }
    }
}

impl Statement {
    /// By what people find it.
    pub(super) fn label(&self, at: usize) -> String {
        match &self.sid {
            Some(sid) if !sid.is_empty() => format!("statement '{sid}'"),
            _ => format!("statement {}", at + 1),
        }
    }

    fn applies(&self, access: &Access<'_>) -> bool {
        let is_action = |pattern: &String| matches_ignoring_case(pattern, access.action);
        let is_resource = |pattern: &String| matches_arn(pattern, access.resource);
        let action = match (&self.action, &self.not_action) {
            (Some(actions), _) => actions.as_slice().iter().any(is_action),
            (None, Some(not)) => !not.as_slice().iter().any(is_action),
            (None, None) => false,
        };
        let resource = match (&self.resource, &self.not_resource) {
            (Some(resources), _) => resources.as_slice().iter().any(is_resource),
            (None, Some(not)) => !not.as_slice().iter().any(is_resource),
            (None, None) => false,
        };
        action && resource && self.conditions_hold(access.context)
    }

    fn conditions_hold(&self, context: &Context) -> bool {
        let Some(condition) = &self.condition else { return true };
        condition.0.iter().all(|(name, keys)| {
            let operator = Operator::parse(name);
            keys.0.iter().all(|(key, values)| match operator {
                Some(operator) => operator.holds(key, values.as_slice(), context),
                // No document with such an operator is accepted; if there were one, it would deny and not allow.
                None => self.effect == Effect::Deny,
            })
        })
    }
}
