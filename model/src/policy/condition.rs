//! Conditions: what must be true of a call besides its action and resource.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::document::Text;
use super::glob;

/// What is known of a call, by key: none, one or several values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

/// Keys that calls can have.
pub(super) const KEYS: [&str; 9] = [
    "ecs:cluster",
    "ecs:service",
    "ecs:task-definition",
    "ecs:container-instances",
    "ecs:container-name",
    "ecs:enable-execute-command",
    "aws:TagKeys",
    "aws:SourceIp",
    "aws:username",
];
/// Keys that go on with the key of a tag.
pub(super) const TAG_KEYS: [&str; 3] = ["aws:ResourceTag/", "ecs:ResourceTag/", "aws:RequestTag/"];

/// How the values of a condition are compared with those of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoringCase,
    Like,
    Arn,
    Address,
    Null,
}

/// Which of several values of a call count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Plain,
    Any,
    All,
}

/// An operator such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
    quantity: Quantity,
}

impl Context {
    /// Adds a value of a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(normalized(key)).or_default().push(value.into());
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(&normalized(key)).map(Vec::as_slice)
    }
}

/// Keys are the same whatever their case; the key of a tag is its own.
fn normalized(key: &str) -> String {
    match key.split_once('/') {
        Some((name, tag)) => format!("{}/{tag}", name.to_ascii_lowercase()),
        None => key.to_ascii_lowercase(),
    }
}

/// Whether calls can have the key.
pub(super) fn is_known_key(key: &str) -> bool {
    let key = normalized(key);
    let is_tag = |prefix: &&str| key.len() > prefix.len() && key.starts_with(&normalized(prefix));
    KEYS.iter().any(|known| normalized(known) == key) || TAG_KEYS.iter().any(is_tag)
}

impl Operator {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (quantity, rest) = match name.split_once(':') {
            None => (Quantity::Plain, name),
            Some(("ForAnyValue", rest)) => (Quantity::Any, rest),
            Some(("ForAllValues", rest)) => (Quantity::All, rest),
            Some(_) => return None,
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (comparison, negated) = match rest {
            "StringEquals" => (Comparison::Equals, false),
            "StringNotEquals" => (Comparison::Equals, true),
            "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "IpAddress" => (Comparison::Address, false),
            "NotIpAddress" => (Comparison::Address, true),
            "Null" if !if_exists && quantity == Quantity::Plain => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self {
            comparison,
            negated,
            if_exists,
            quantity,
        })
    }

    /// What is wrong with a value that the operator is given.
    pub(super) fn refuse(self, value: &str) -> Option<&'static str> {
        let is_arn = || value == "*" || glob::parts(value).len() == 6;
        let (is_right, rule) = match self.comparison {
            Comparison::Address => (
                network(value).is_some(),
                "must be an address or a network such as 10.0.0.0/8",
            ),
            Comparison::Null => (matches!(value, "true" | "false"), "must be true or false"),
            Comparison::Arn => (is_arn(), "must be an ARN, which has six parts with ':' between them"),
            Comparison::Equals | Comparison::EqualsIgnoringCase | Comparison::Like => (true, ""),
        };
        (!is_right).then_some(rule)
    }

    /// Whether the condition is true of the call.
    pub(super) fn holds(self, key: &str, wanted: &[Text], context: &Context) -> bool {
        let values = context.values(key);
        if self.comparison == Comparison::Null {
            let is_absent = values.is_none();
            return wanted.iter().any(|wanted| (wanted.0 == "true") == is_absent);
        }
        let Some(values) = values else {
            return self.negated || self.if_exists || self.quantity == Quantity::All;
        };
        let is_one = |value: &String| wanted.iter().any(|wanted| self.compare(&wanted.0, value));
        match self.quantity {
            Quantity::Plain => values.iter().any(is_one) != self.negated,
            Quantity::Any => values.iter().any(|value| is_one(value) != self.negated),
            Quantity::All => values.iter().all(|value| is_one(value) != self.negated),
        }
    }

    fn compare(self, wanted: &str, value: &str) -> bool {
        match self.comparison {
            Comparison::Equals => wanted == value,
            Comparison::EqualsIgnoringCase => wanted.to_lowercase() == value.to_lowercase(),
            Comparison::Like => glob::matches(wanted, value),
            Comparison::Arn => glob::matches_arn(wanted, value),
            Comparison::Address => network(wanted)
                .zip(value.parse().ok())
                .is_some_and(|(network, address)| is_in(network, address)),
            Comparison::Null => false,
        }
    }
}

/// An address, and how many of its first bits count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) if bits.bytes().all(|digit| digit.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
    };
    (bits <= most).then_some((address, bits))
}

fn is_in((network, bits): (IpAddr, u32), address: IpAddr) -> bool {
    match (network, address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let different = u32::from(network) ^ u32::from(address);
            different.leading_zeros() >= bits
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let different = u128::from(network) ^ u128::from(address);
            different.leading_zeros() >= bits
        }
        _ => false,
    }
}
