//! An expression that was read: what it asks, of which instances it holds, and how it is written in normal form.
//!
//! It cannot fail: what makes no sense is refused before it gets here. Called by `grammar`, which builds it, and by
//! [`Expression`](super::Expression).

use std::fmt;

use super::InstanceFacts;
use super::pattern::Pattern;
use super::value::{Moment, Version};
use super::words::{Comparison, Kind, Operator, Order, Subject};

/// An expression or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// At least two, none of which is `Any` itself.
    Any(Vec<Node>),
    /// At least two, none of which is `All` itself.
    All(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

/// A subject with its operator and argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    AgentConnected(TextTest),
    AgentVersion(Comparison, Version),
    Ec2InstanceId(TextTest),
    RegisteredAt(Comparison, Moment),
    RunningTasksCount(Comparison, u64),
    TaskGroup(TextTest),
    Attribute(String, TextTest),
}

/// A rule for a text, or its opposite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextTest {
    pub(super) negated: bool,
    pub(super) rule: TextRule,
}

/// What must be true of a text that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextRule {
    Exists,
    Equals(String),
    In(Vec<String>),
    Matches(Pattern),
    Order(Order, Bound),
}

/// What an attribute is less or greater than.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    Version(Version),
    Text(String),
}

impl Node {
    /// One of the parts must hold.
    pub(super) fn any(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::Any, |part| match part {
            Self::Any(parts) => Ok(parts),
            Self::All(_) | Self::Not(_) | Self::Test(_) => Err(part),
        })
    }

    /// Each of the parts must hold.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::All, |part| match part {
            Self::All(parts) => Ok(parts),
            Self::Any(_) | Self::Not(_) | Self::Test(_) => Err(part),
        })
    }

    /// A single part stays itself; a part that is such a list gives its own parts.
    fn join(parts: Vec<Self>, list: fn(Vec<Self>) -> Self, open: fn(Self) -> Result<Vec<Self>, Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(parts) => flat.extend(parts),
                Err(part) => flat.push(part),
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                list(flat)
            }
        }
    }

    pub(super) fn holds(&self, instance: &dyn InstanceFacts) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.holds(instance)),
            Self::All(parts) => parts.iter().all(|part| part.holds(instance)),
            Self::Not(part) => !part.holds(instance),
            Self::Test(test) => test.holds(instance),
        }
    }

    pub(super) fn for_each_test<'a>(&'a self, visit: &mut dyn FnMut(&'a Test)) {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().for_each(|part| part.for_each_test(visit)),
            Self::Not(part) => part.for_each_test(visit),
            Self::Test(test) => visit(test),
        }
    }

    /// As [`Expression::needs_task_group`](super::Expression::needs_task_group).
    pub(super) fn needs_task_group(&self, group: &str) -> Option<bool> {
        match self {
            Self::All(parts) => {
                let mut needs = parts.iter().filter_map(|part| part.needs_task_group(group)).peekable();
                needs.peek().is_some().then(|| needs.all(|needed| needed))
            }
            Self::Test(Test::TaskGroup(test)) if !test.negated => Some(test.rule.accepts(Some(group))),
            Self::Any(_) | Self::Not(_) | Self::Test(_) => None,
        }
    }

    /// Writes a list of parts, those in parentheses that would otherwise be read with their neighbours.
    fn fmt_list(f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str) -> fmt::Result {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                write!(f, " {word} ")?;
            }
            match part {
                Self::Any(_) => write!(f, "({part})")?,
                Self::All(_) | Self::Not(_) | Self::Test(_) => write!(f, "{part}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(parts) => Self::fmt_list(f, parts, "or"),
            Self::All(parts) => Self::fmt_list(f, parts, "and"),
            Self::Not(part) => match &**part {
                Self::Any(_) | Self::All(_) => write!(f, "not ({part})"),
                Self::Not(_) | Self::Test(_) => write!(f, "not {part}"),
            },
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl Test {
    fn holds(&self, instance: &dyn InstanceFacts) -> bool {
        match self {
            Self::AgentConnected(test) => {
                let connected = if instance.agent_connected() { "true" } else { "false" };
                test.holds(Some(Some(connected)))
            }
            Self::AgentVersion(comparison, version) => {
                let reported = instance.agent_version().and_then(Version::of_agent);
                comparison.accepts(reported.map(|reported| reported.cmp(version)))
            }
            Self::Ec2InstanceId(test) => test.holds(instance.ec2_instance_id().as_deref().map(Some)),
            Self::RegisteredAt(comparison, moment) => {
                comparison.accepts(Some(moment.compare(instance.registered_at())))
            }
            Self::RunningTasksCount(comparison, count) => {
                comparison.accepts(Some(instance.running_tasks_count().cmp(count)))
            }
            Self::TaskGroup(test) => {
                instance.any_task_group(&mut |group| test.rule.accepts(Some(group))) != test.negated
            }
            Self::Attribute(name, test) => test.holds(instance.attribute(name)),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentConnected(test) => write!(f, "{} {test}", Subject::AgentConnected),
            Self::AgentVersion(comparison, version) => write!(f, "{} {comparison} {version}", Subject::AgentVersion),
            Self::Ec2InstanceId(test) => write!(f, "{} {test}", Subject::Ec2InstanceId),
            Self::RegisteredAt(comparison, moment) => write!(f, "{} {comparison} {moment}", Subject::RegisteredAt),
            Self::RunningTasksCount(comparison, count) => {
                write!(f, "{} {comparison} {count}", Subject::RunningTasksCount)
            }
            Self::TaskGroup(test) => write!(f, "{} {test}", Subject::TaskGroup),
            Self::Attribute(name, test) => write!(f, "{} {test}", Subject::Attribute(name)),
        }
    }
}

impl TextTest {
    /// Whether it holds for something that is absent, present without a value, or present with one.
    fn holds(&self, subject: Option<Option<&str>>) -> bool {
        subject.is_some_and(|value| self.rule.accepts(value)) != self.negated
    }
}

impl fmt::Display for TextTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = Operator {
            kind: self.rule.kind(),
            negated: self.negated,
        };
        f.write_str(operator.symbol())?;
        match &self.rule {
            TextRule::Exists => Ok(()),
            TextRule::Equals(value) => write!(f, " {}", Literal(value)),
            TextRule::In(values) => {
                f.write_str(" [")?;
                for (at, value) in values.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", Literal(value))?;
                }
                f.write_str("]")
            }
            TextRule::Matches(pattern) => write!(f, " {}", Literal(pattern.as_str())),
            TextRule::Order(_, Bound::Version(version)) => write!(f, " {version}"),
            TextRule::Order(_, Bound::Text(text)) => write!(f, " {}", Literal(text)),
        }
    }
}

impl TextRule {
    /// Whether it accepts something that is present, with its value if it has one.
    fn accepts(&self, value: Option<&str>) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(expected) => value.is_some_and(|value| value == expected),
            Self::In(expected) => value.is_some_and(|value| expected.iter().any(|one| one == value)),
            Self::Matches(pattern) => value.is_some_and(|value| pattern.matches(value)),
            Self::Order(order, Bound::Version(version)) => {
                let given = value.and_then(Version::parse);
                given.is_some_and(|given| order.accepts(given.cmp(version)))
            }
            Self::Order(order, Bound::Text(text)) => value.is_some_and(|value| order.accepts(value.cmp(text))),
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Exists => Kind::Exists,
            Self::Equals(_) => Kind::Equals,
            Self::In(_) => Kind::In,
            Self::Matches(_) => Kind::Matches,
            Self::Order(order, _) => Kind::Order(*order),
        }
    }
}

/// A value as it is written: bare where that reads back, otherwise in quotes.
struct Literal<'a>(&'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@*+?^$".contains(c);
        if !text.is_empty() && text.chars().all(plain) && !matches!(text, "and" | "or" | "not") {
            return f.write_str(text);
        }
        // A value holds one kind of quote at most: it was written between quotes of the other kind, or without any.
        let quote = if text.contains('\'') { '"' } else { '\'' };
        write!(f, "{quote}{text}{quote}")
    }
}
