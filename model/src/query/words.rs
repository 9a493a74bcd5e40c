//! The words of the language: subjects and operators, which go together, and which one a misspelling meant.
//!
//! Tables only: it reads no expression and judges no instance. Called by `grammar`, and by `tree` to write tests back.

use std::cmp::Ordering;
use std::fmt;

use strsim::osa_distance;

/// What stands before the name of an attribute.
const ATTRIBUTE: &str = "attribute:";

/// What a test is about. `Display` writes it as an expression does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    AgentConnected,
    AgentVersion,
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
    Attribute(&'a str),
}

impl<'a> Subject<'a> {
    /// All but the attributes.
    const NAMED: [Self; 6] = [
        Self::AgentConnected,
        Self::AgentVersion,
        Self::Ec2InstanceId,
        Self::RegisteredAt,
        Self::RunningTasksCount,
        Self::TaskGroup,
    ];

    /// The subject that is written so; the name of an attribute may be anything.
    pub(super) fn from_text(text: &'a str) -> Option<Self> {
        match text.strip_prefix(ATTRIBUTE) {
            Some(name) => Some(Self::Attribute(name)),
            None => Self::NAMED.into_iter().find(|subject| subject.words().0 == text),
        }
    }

    /// The subject in up to two parts.
    const fn words(self) -> (&'static str, &'a str) {
        match self {
            Self::AgentConnected => ("agentConnected", ""),
            Self::AgentVersion => ("agentVersion", ""),
            Self::Ec2InstanceId => ("ec2InstanceId", ""),
            Self::RegisteredAt => ("registeredAt", ""),
            Self::RunningTasksCount => ("runningTasksCount", ""),
            Self::TaskGroup => ("task:group", ""),
            Self::Attribute(name) => (ATTRIBUTE, name),
        }
    }

    pub(super) fn takes(self, operator: Operator) -> bool {
        match self {
            Self::AgentVersion | Self::RegisteredAt | Self::RunningTasksCount => operator.comparison().is_some(),
            Self::AgentConnected | Self::Ec2InstanceId => {
                matches!(operator.kind, Kind::Equals | Kind::In | Kind::Matches)
            }
            Self::TaskGroup => !matches!(operator.kind, Kind::Order(_)),
            Self::Attribute(_) => true,
        }
    }

    /// The operators that it takes, for an error message.
    pub(super) fn operators(self) -> String {
        let taken: Vec<_> = Operator::ALL
            .into_iter()
            .filter(|operator| self.takes(*operator))
            .map(Operator::symbol)
            .collect();
        taken.join(", ")
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, name) = self.words();
        write!(f, "{word}{name}")
    }
}

/// All subjects, for an error message.
pub(super) fn subjects() -> String {
    let subjects = Subject::NAMED.into_iter().chain([Subject::Attribute("<name>")]);
    subjects
        .map(|subject| subject.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// How a subject is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) kind: Kind,
    /// Whether it is the opposite of the kind. Orders have none: `>=` is not "not `<`" where nothing is to compare.
    pub(super) negated: bool,
}

/// The positive half of the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Equals,
    Order(Order),
    Exists,
    In,
    Matches,
}

/// On which side of the argument the subject lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// Whether something that compares to the argument like this is on the right side.
    pub(super) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// How a number, a version or a date is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Order(Order),
}

impl Comparison {
    /// Whether the test holds for something that compares to the argument like this, or not at all.
    pub(super) fn accepts(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Equal => ordering.is_some_and(Ordering::is_eq),
            Self::NotEqual => !Self::Equal.accepts(ordering),
            Self::Order(order) => ordering.is_some_and(|ordering| order.accepts(ordering)),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self {
            Self::Equal => Operator::new(Kind::Equals),
            Self::NotEqual => Operator::not(Kind::Equals),
            Self::Order(order) => Operator::new(Kind::Order(*order)),
        };
        f.write_str(operator.symbol())
    }
}

impl Operator {
    const ALL: [Self; 12] = [
        Self::new(Kind::Equals),
        Self::not(Kind::Equals),
        Self::new(Kind::Order(Order::Greater)),
        Self::new(Kind::Order(Order::GreaterOrEqual)),
        Self::new(Kind::Order(Order::Less)),
        Self::new(Kind::Order(Order::LessOrEqual)),
        Self::new(Kind::Exists),
        Self::not(Kind::Exists),
        Self::new(Kind::In),
        Self::not(Kind::In),
        Self::new(Kind::Matches),
        Self::not(Kind::Matches),
    ];

    const fn new(kind: Kind) -> Self {
        Self { kind, negated: false }
    }

    const fn not(kind: Kind) -> Self {
        Self { kind, negated: true }
    }

    /// Both ways to write it: the sign, then the word.
    const fn spellings(self) -> [&'static str; 2] {
        match (self.kind, self.negated) {
            (Kind::Equals, false) => ["==", "equals"],
            (Kind::Equals, true) => ["!=", "not_equals"],
            (Kind::Order(Order::Greater), _) => [">", "greater_than"],
            (Kind::Order(Order::GreaterOrEqual), _) => [">=", "greater_than_equal"],
            (Kind::Order(Order::Less), _) => ["<", "less_than"],
            (Kind::Order(Order::LessOrEqual), _) => ["<=", "less_than_equal"],
            (Kind::Exists, false) => ["exists", "exists"],
            (Kind::Exists, true) => ["!exists", "not_exists"],
            (Kind::In, false) => ["in", "in"],
            (Kind::In, true) => ["!in", "not_in"],
            (Kind::Matches, false) => ["=~", "matches"],
            (Kind::Matches, true) => ["!~", "not_matches"],
        }
    }

    /// The sign, which is also its normal form.
    pub(super) const fn symbol(self) -> &'static str {
        let [symbol, _] = self.spellings();
        symbol
    }

    /// The operator that is written so.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.spellings().contains(&text))
    }

    /// The same for numbers, versions and dates; none for what they cannot do.
    pub(super) const fn comparison(self) -> Option<Comparison> {
        match self.kind {
            Kind::Equals if self.negated => Some(Comparison::NotEqual),
            Kind::Equals => Some(Comparison::Equal),
            Kind::Order(order) => Some(Comparison::Order(order)),
            Kind::Exists | Kind::In | Kind::Matches => None,
        }
    }
}

/// The subject that a misspelled one probably meant.
pub(super) fn nearest_subject(text: &str) -> Option<String> {
    // ECS's own attributes are the ones that people name without saying that they are attributes.
    if text.starts_with("ecs.") {
        return Some(Subject::Attribute(text).to_string());
    }
    if let Some((prefix, name)) = text.split_once(':')
        && nearest(prefix, ["attribute"].into_iter()).is_some()
    {
        return Some(Subject::Attribute(name).to_string());
    }
    let words = Subject::NAMED.into_iter().map(|subject| subject.words().0);
    nearest(text, words.chain([ATTRIBUTE])).map(str::to_owned)
}

/// The operator that a misspelled one probably meant.
pub(super) fn nearest_operator(text: &str) -> Option<String> {
    // Too short or too different for the distance, and common in other languages.
    let known = match text {
        "<>" => Some("!="),
        "~=" | "~" => Some("=~"),
        "not" => Some("not_in"),
        "is" => Some("=="),
        _ => None,
    };
    known
        .or_else(|| nearest(text, Operator::ALL.into_iter().flat_map(Operator::spellings)))
        .map(str::to_owned)
}

/// What a misspelled `and` or `or` probably meant.
pub(super) fn nearest_connector(text: &str) -> Option<String> {
    nearest(text, ["and", "or", "&&", "||"].into_iter()).map(str::to_owned)
}

/// The candidate with the fewest slips from `text`, if they are few for its length; case does not count as one, nor
/// does leaving out the end of a word.
fn nearest(text: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let text = text.to_lowercase();
    let length = text.chars().count();
    let allowed = (length / 3).max(1);
    let slips = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let beginning = length >= 3 && candidate.starts_with(&text);
        if beginning { 1 } else { osa_distance(&text, &candidate) }
    };
    candidates
        .map(|candidate| (slips(candidate), candidate))
        .filter(|(slips, candidate)| *slips <= allowed && *slips < candidate.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}
