//! The cluster query language of ECS: which container instances an expression selects.
//!
//! Reads the expressions of `memberOf` constraints and of ListContainerInstances' `filter`, says precisely what is
//! wrong with one that cannot be read, and tells whether an instance satisfies one that can. It must never look at a
//! clock or at anything but the [`InstanceFacts`] it is given: the same facts give the same answer.
//!
//! Called by the validation of requests and task definitions, by placement and by the listing of instances.
//!
//! Source: Amazon ECS Developer Guide, "Cluster query language". Where the guide is silent:
//!
//! * `not` binds tighter than `and`, `and` tighter than `or`.
//! * A negative operator is the exact opposite of its positive one. So `attribute:stack != prod` selects instances
//!   without the attribute too, and `task:group != x` those that run no task of the group `x`.
//! * An attribute without a value exists, and neither equals, matches nor exceeds anything.
//! * `<`, `<=`, `>` and `>=` on an attribute: numbers with dots (`64`, `5.10.3`) compare as versions do, and a value
//!   that is no such number satisfies none of them; any other argument compares as text.
//! * A quoted value ends at the quote that began it and knows no escapes.
//! * Dates without a zone are UTC, and a date without a time is its midnight. Dates compare in whole seconds.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

use self::tree::{Node, Test};

mod cursor;
mod error;
mod grammar;
mod pattern;
mod tree;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use self::error::{Found, ParseError, Reason};
pub use self::pattern::PatternProblem;

/// Characters in one expression, at most (ECS API, PlacementConstraint).
pub const MAX_LENGTH: usize = 2000;
/// Parentheses and negations inside one another, at most.
pub const MAX_DEPTH: usize = 50;

/// What an expression may ask of a container instance.
pub trait InstanceFacts {
    /// Whether the agent's stream is up.
    fn agent_connected(&self) -> bool;
    /// The version that the agent reported.
    fn agent_version(&self) -> Option<&str>;
    /// The id of its host: EC2's, or one of that form.
    fn ec2_instance_id(&self) -> Option<Cow<'_, str>>;
    /// When the instance registered.
    fn registered_at(&self) -> Timestamp;
    /// Tasks that run on the instance.
    fn running_tasks_count(&self) -> u64;
    /// The attribute: absent, present without a value, or present with one.
    fn attribute(&self, name: &str) -> Option<Option<&str>>;
    /// Whether the test holds for the group of any task on the instance.
    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// An expression that was read and understood.
///
/// Two expressions are equal when they mean the same by form: spelling, white space and superfluous parentheses do
/// not count. `Display` writes the normal form, which reads back as an equal expression unless it grew beyond
/// [`MAX_LENGTH`]; serde keeps the source text.
#[derive(Clone)]
pub struct Expression {
    source: String,
    root: Node,
}

/// What an expression looks at, so that instances which agree on it can share one evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions<'a> {
    /// Names of attributes.
    pub attributes: BTreeSet<&'a str>,
    /// Whether it looks at `agentVersion`.
    pub agent_version: bool,
    /// Whether it looks at what is each instance's own or changes as tasks and agents come and go: `agentConnected`,
    /// `ec2InstanceId`, `registeredAt`, `runningTasksCount`, `task:group`.
    pub per_instance: bool,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`ParseError`] with the place, what stands there and what should.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let root = grammar::parse(source)?;
        Ok(Self {
            source: source.to_owned(),
            root,
        })
    }

    /// Whether the instance satisfies the expression.
    #[must_use]
    pub fn matches(&self, instance: &dyn InstanceFacts) -> bool {
        self.root.holds(instance)
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the expression looks at.
    #[must_use]
    pub fn mentions(&self) -> Mentions<'_> {
        let mut mentions = Mentions::default();
        self.root.for_each_test(&mut |test| match test {
            Test::Attribute(name, _) => {
                mentions.attributes.insert(name.as_str());
            }
            Test::AgentVersion(..) => mentions.agent_version = true,
            Test::AgentConnected(_)
            | Test::Ec2InstanceId(_)
            | Test::RegisteredAt(..)
            | Test::RunningTasksCount(..)
            | Test::TaskGroup(_) => {
                mentions.per_instance = true;
            }
        });
        mentions
    }

    /// Whether the expression holds only where tasks of certain groups run, and the group is one of them; nothing where it
    /// can hold anywhere.
    #[must_use]
    pub fn needs_task_group(&self, group: &str) -> Option<bool> {
        self.root.needs_task_group(group)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Self, ParseError> {
        Self::parse(source)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::parse(&source).map_err(de::Error::custom)
    }
}
