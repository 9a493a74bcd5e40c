//! Why an expression cannot be read: the place, what stands there, what should, and what was probably meant.
//!
//! Words only, no reading. Called by `grammar`; shown to whoever wrote the expression.

use std::fmt;

use super::pattern::PatternProblem;
use super::words::{self, Operator, Subject};
use super::{MAX_DEPTH, MAX_LENGTH};

/// Characters on either side of the place that are shown with it.
const CONTEXT: usize = 48;
/// Characters of what was found that are repeated in the message.
const LONGEST_FOUND: usize = 64;

/// An expression that cannot be read.
///
/// `{}` is one line; `{:#}` adds the expression with a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    offset: usize,
    character: usize,
    /// The expression around the place, and where in it the place is, in characters.
    excerpt: String,
    caret: usize,
    reason: Box<Reason>,
}

/// What is wrong at the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// More than [`MAX_LENGTH`] characters.
    #[error("the expression has {length} characters, at most {MAX_LENGTH} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// Nothing but white space.
    #[error("the expression is empty")]
    Empty,
    /// More than [`MAX_DEPTH`] parentheses and negations inside one another.
    #[error("parentheses and negations are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Something else where a subject belongs.
    #[error("expected a subject ({}), found {found}{}", words::subjects(), meant(.suggestion.as_deref()))]
    Subject {
        /// What stands there.
        found: Found,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// An attribute's name is missing or too long.
    #[error("an attribute name has 1 to 128 characters of A-Z a-z 0-9 _ - / \\ . right behind 'attribute:', '{name}' has {}", .name.len())]
    AttributeName {
        /// The name.
        name: String,
    },
    /// Something else where an operator belongs.
    #[error("expected an operator after {subject} ({allowed}), found {found}{}", meant(.suggestion.as_deref()))]
    Operator {
        /// The subject before it.
        subject: String,
        /// The operators that the subject takes.
        allowed: String,
        /// What stands there.
        found: Found,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// An operator that does not go with its subject.
    #[error("operator '{operator}' cannot be used with {subject}, which takes {allowed}")]
    OperatorNotAllowed {
        /// The subject.
        subject: String,
        /// The operator.
        operator: &'static str,
        /// The operators that the subject takes.
        allowed: String,
    },
    /// Something else where a value belongs.
    #[error("expected a value, found {found}; a value that is not a plain word stands in quotes")]
    Value {
        /// What stands there.
        found: Found,
    },
    /// A list after an operator that takes one value.
    #[error("operator '{operator}' takes one value, found a list; lists go with in and !in")]
    ListNotAllowed {
        /// The operator.
        operator: &'static str,
    },
    /// One value after an operator that takes a list.
    #[error("operator '{operator}' takes a list such as [a, b], found {found}")]
    ListExpected {
        /// The operator.
        operator: &'static str,
        /// What stands there.
        found: Found,
    },
    /// A list that does not go on and does not end.
    #[error("expected ',' or ']' in the list, found {found}")]
    ListOpen {
        /// What stands there.
        found: Found,
    },
    /// A quote without its partner.
    #[error("the quote {quote} is never closed")]
    QuoteOpen {
        /// The quote.
        quote: char,
    },
    /// An opening parenthesis without its partner.
    #[error("the parenthesis '(' is never closed")]
    ParenthesisOpen,
    /// A closing parenthesis without its partner.
    #[error("the parenthesis ')' was never opened")]
    ParenthesisUnopened,
    /// Something after a complete test that does not continue it.
    #[error("expected 'and', 'or', ')' or the end, found {found}{}", meant(.suggestion.as_deref()))]
    Connector {
        /// What stands there.
        found: Found,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A value that the subject cannot have.
    #[error("{subject} is compared with {rule}, found '{value}'")]
    ValueNotAllowed {
        /// The subject.
        subject: String,
        /// The value.
        value: String,
        /// What values look like.
        rule: &'static str,
    },
    /// A pattern that cannot be used.
    #[error("pattern '{pattern}': {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        problem: PatternProblem,
    },
}

/// What stands where something else was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing more.
    End,
    /// The text up to the next white space or parenthesis.
    Text(String),
}

impl ParseError {
    pub(super) fn new(source: &str, offset: usize, reason: Reason) -> Self {
        let before = &source[..offset];
        let character = before.chars().count();
        let shown_before: Vec<char> = before.chars().rev().take(CONTEXT).collect();
        let shown = shown_before
            .iter()
            .rev()
            .copied()
            .chain(source[offset..].chars().take(CONTEXT));
        Self {
            offset,
            character: character + 1,
            // The caret line can only be right under one line.
            excerpt: shown.map(|c| if c.is_control() { ' ' } else { c }).collect(),
            caret: shown_before.len(),
            reason: Box::new(reason),
        }
    }

    /// The place in bytes from the beginning of the expression.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The place in characters, the first of which is 1.
    #[must_use]
    pub const fn character(&self) -> usize {
        self.character
    }

    /// What is wrong there.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.character, self.reason)?;
        if f.alternate() {
            write!(f, "\n  {}\n  {:caret$}^", self.excerpt, "", caret = self.caret)?;
        }
        Ok(())
    }
}

impl Found {
    pub(super) fn text(text: &str) -> Self {
        if text.is_empty() {
            return Self::End;
        }
        let mut characters = text.chars();
        let mut shown: String = characters.by_ref().take(LONGEST_FOUND).collect();
        if characters.next().is_some() {
            shown.push_str("...");
        }
        Self::Text(shown)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end"),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

impl Reason {
    pub(super) fn not_a_subject(found: &str) -> Self {
        Self::Subject {
            found: Found::text(found),
            suggestion: words::nearest_subject(found),
        }
    }

    pub(super) fn not_an_operator(subject: Subject<'_>, found: &str) -> Self {
        Self::Operator {
            subject: subject.to_string(),
            allowed: subject.operators(),
            found: Found::text(found),
            suggestion: words::nearest_operator(found),
        }
    }

    pub(super) fn operator_not_allowed(subject: Subject<'_>, operator: Operator) -> Self {
        Self::OperatorNotAllowed {
            subject: subject.to_string(),
            operator: operator.symbol(),
            allowed: subject.operators(),
        }
    }

    pub(super) fn not_a_connector(found: &str) -> Self {
        Self::Connector {
            found: Found::text(found),
            suggestion: words::nearest_connector(found),
        }
    }
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion
        .map(|word| format!("; did you mean '{word}'?"))
        .unwrap_or_default()
}
