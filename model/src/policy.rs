//! Policies in IAM's form: what an access key may do ("IAM JSON policy reference", IAM User Guide).
//!
//! A document is checked when it is given ([`Policy::parse`]): what is not known is refused by name and never ignored. What was
//! once accepted is read back as it is, whatever later rules say, and judging it ([`Policy::judge`]) cannot fail.

mod check;
mod condition;
mod document;
mod glob;
mod judge;
mod role;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

pub use condition::Context;
use document::{Entries, OneOrMany, Text};
pub use judge::{Access, Verdict};
pub use role::Role;

/// Characters of a document, at most (IAM quotas: those of a role).
pub const LONGEST: usize = 10_240;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    statement: OneOrMany<Statement>,
}

/// One rule of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<OneOrMany<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_action: Option<OneOrMany<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<OneOrMany<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_resource: Option<OneOrMany<String>>,
    /// By operator, by key: the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<Entries<Entries<OneOrMany<Text>>>>,
}

/// What a rule does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

impl Policy {
    /// Reads a document; `actions` are those that there are.
    ///
    /// # Errors
    /// `InvalidParameterException` that names the statement, the member and the value, and the rule that it breaks.
    pub fn parse(text: &str, actions: &[&str]) -> Result<Self, Fault> {
        let length = text.chars().count();
        if length > LONGEST {
            return Err(Fault::invalid(format!(
                "policy has {length} characters, at most {LONGEST} are allowed."
            )));
        }
        let policy: Self = serde_json::from_str(text)
            .map_err(|error| Fault::invalid(format!("policy is no policy document: {error}.")))?;
        policy
            .check(actions)
            .map_err(|wrong| Fault::invalid(format!("policy: {wrong}")))?;
        Ok(policy)
    }

    /// All that there is, with everything.
    #[must_use]
    pub fn everything() -> Self {
        let all = || Some(OneOrMany::One("*".to_owned()));
        Self {
            version: Some(VERSION.to_owned()),
            id: None,
            statement: OneOrMany::One(Statement {
                sid: None,
                effect: Effect::Allow,
                action: all(),
                not_action: None,
                resource: all(),
                not_resource: None,
                condition: None,
            }),
        }
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and lists always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The version of IAM's policy language that documents have.
const VERSION: &str = "2012-10-17";

#[cfg(test)]
mod tests;
