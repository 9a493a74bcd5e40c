//! The grammar: from text to a tree, by recursive descent.
//!
//! ```text
//! any     := all ( ("||" | "or") all )*
//! all     := unary ( ("&&" | "and") unary )*
//! unary   := ("!" | "not") unary | "(" any ")" | subject operator [ argument ]
//! argument := value | "[" value ( "," value )* "]"
//! value   := bare | "'" ... "'" | '"' ... '"'
//! ```
//!
//! It reads one expression and keeps nothing; its recursion is bounded by [`MAX_DEPTH`]. Called by
//! [`Expression::parse`](super::Expression::parse).

use super::cursor::{AND, Cursor, NOT, OR, Piece};
use super::error::{ParseError, Reason};
use super::pattern::Pattern;
use super::tree::{Bound, Node, Test, TextRule, TextTest};
use super::value::{self, Moment, Version};
use super::words::{Comparison, Kind, Operator, Subject};
use super::{MAX_DEPTH, MAX_LENGTH};

/// Characters of an attribute's name, at most (ECS API, Attribute).
const MAX_ATTRIBUTE_NAME: usize = 128;

const VERSIONS: &str = "a version of numbers and dots such as 1.14.5";
const DATES: &str = "a date such as 2018-06-18, 2018-06-18T22:28:28, 2018-06-18T22:28:28Z or 2018-06-18T22:28:28+00:00";
const NUMBERS: &str = "a whole number such as 10";

pub(super) fn parse(source: &str) -> Result<Node, ParseError> {
    let mut parser = Parser {
        cursor: Cursor::new(source),
        depth: 0,
    };
    let cursor = &mut parser.cursor;
    if let Some((limit, _)) = source.char_indices().nth(MAX_LENGTH) {
        let length = source.chars().count();
        return Err(cursor.error_at(limit, Reason::TooLong { length }));
    }
    cursor.skip_space();
    if cursor.rest().is_empty() {
        return Err(cursor.error(Reason::Empty));
    }
    let root = parser.any()?;
    let cursor = &parser.cursor;
    match cursor.rest() {
        "" => Ok(root),
        rest if rest.starts_with(')') => Err(cursor.error(Reason::ParenthesisUnopened)),
        _ => Err(cursor.error(Reason::not_a_connector(cursor.token()))),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    /// Parentheses and negations around the place.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Node, ParseError> {
        self.list(OR, Self::all, Node::any)
    }

    fn all(&mut self) -> Result<Node, ParseError> {
        self.list(AND, Self::unary, Node::all)
    }

    /// Parts with a connector between them. Leaves no white space behind them.
    fn list(
        &mut self,
        connector: [&str; 2],
        part: fn(&mut Self) -> Result<Node, ParseError>,
        join: fn(Vec<Node>) -> Node,
    ) -> Result<Node, ParseError> {
        let mut parts = vec![part(self)?];
        while self.cursor.eat_word(connector) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        self.cursor.skip_space();
        let start = self.cursor.at();
        if self.cursor.eat_word(NOT) {
            return self.deeper(start, |parser| Ok(Node::Not(Box::new(parser.unary()?))));
        }
        if self.cursor.eat("(") {
            return self.deeper(start, |parser| parser.parenthesis(start));
        }
        let test = self.test()?;
        self.cursor.skip_space();
        Ok(Node::Test(test))
    }

    /// What follows an opening parenthesis, with its partner.
    fn parenthesis(&mut self, open: usize) -> Result<Node, ParseError> {
        let inner = self.any()?;
        if self.cursor.rest().is_empty() {
            return Err(self.cursor.error_at(open, Reason::ParenthesisOpen));
        }
        if !self.cursor.eat(")") {
            return Err(self.cursor.error(Reason::not_a_connector(self.cursor.token())));
        }
        self.cursor.skip_space();
        Ok(inner)
    }

    fn deeper(
        &mut self,
        start: usize,
        read: impl FnOnce(&mut Self) -> Result<Node, ParseError>,
    ) -> Result<Node, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(self.cursor.error_at(start, Reason::TooDeep));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn test(&mut self) -> Result<Test, ParseError> {
        let (start, word) = self.cursor.subject();
        let Some(subject) = Subject::from_text(word) else {
            let found = if word.is_empty() { self.cursor.token() } else { word };
            return Err(self.cursor.error_at(start, Reason::not_a_subject(found)));
        };
        Ok(match subject {
            Subject::AgentConnected => Test::AgentConnected(self.text_test(subject)?),
            Subject::Ec2InstanceId => Test::Ec2InstanceId(self.text_test(subject)?),
            Subject::TaskGroup => Test::TaskGroup(self.text_test(subject)?),
            Subject::Attribute(name) => {
                if !(1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) {
                    return Err(self
                        .cursor
                        .error_at(start, Reason::AttributeName { name: name.to_owned() }));
                }
                Test::Attribute(name.to_owned(), self.text_test(subject)?)
            }
            Subject::AgentVersion => {
                let (comparison, version) = self.compared(subject, Version::parse, VERSIONS)?;
                Test::AgentVersion(comparison, version)
            }
            Subject::RegisteredAt => {
                let (comparison, moment) = self.compared(subject, Moment::parse, DATES)?;
                Test::RegisteredAt(comparison, moment)
            }
            Subject::RunningTasksCount => {
                let (comparison, count) = self.compared(subject, value::number, NUMBERS)?;
                Test::RunningTasksCount(comparison, count)
            }
        })
    }

    /// The operator and the argument of a subject that is a number, a version or a date.
    fn compared<T>(
        &mut self,
        subject: Subject<'_>,
        read: fn(&str) -> Option<T>,
        rule: &'static str,
    ) -> Result<(Comparison, T), ParseError> {
        let (start, operator) = self.operator(subject)?;
        let Some(comparison) = operator.comparison() else {
            return Err(self
                .cursor
                .error_at(start, Reason::operator_not_allowed(subject, operator)));
        };
        let (start, text) = self.value(operator)?;
        match read(text) {
            Some(argument) => Ok((comparison, argument)),
            None => Err(self.not_allowed(start, subject, text, rule)),
        }
    }

    /// The operator and the argument of a subject that is text.
    fn text_test(&mut self, subject: Subject<'_>) -> Result<TextTest, ParseError> {
        let (start, operator) = self.operator(subject)?;
        if !subject.takes(operator) {
            return Err(self
                .cursor
                .error_at(start, Reason::operator_not_allowed(subject, operator)));
        }
        let rule = match operator.kind {
            Kind::Exists => TextRule::Exists,
            Kind::Equals => {
                let value = self.value(operator)?;
                TextRule::Equals(self.text(subject, value)?)
            }
            Kind::In => TextRule::In(self.values(subject, operator)?),
            Kind::Matches => TextRule::Matches(self.pattern()?),
            Kind::Order(order) => {
                let (_, text) = self.value(operator)?;
                let bound = Version::parse(text).map_or_else(|| Bound::Text(text.to_owned()), Bound::Version);
                TextRule::Order(order, bound)
            }
        };
        Ok(TextTest {
            negated: operator.negated,
            rule,
        })
    }

    fn operator(&mut self, subject: Subject<'_>) -> Result<(usize, Operator), ParseError> {
        let (start, text) = self.cursor.operator();
        if let Some(operator) = Operator::from_text(text) {
            return Ok((start, operator));
        }
        let found = if text.is_empty() { self.cursor.token() } else { text };
        Err(self.cursor.error_at(start, Reason::not_an_operator(subject, found)))
    }

    /// The list of `in`.
    fn values(&mut self, subject: Subject<'_>, operator: Operator) -> Result<Vec<String>, ParseError> {
        self.cursor.skip_space();
        if !self.cursor.eat("[") {
            return Err(self.cursor.error(Reason::ListExpected {
                operator: operator.symbol(),
                found: self.cursor.found(),
            }));
        }
        let mut values = Vec::new();
        loop {
            let value = self.cursor.value()?;
            values.push(self.text(subject, value)?);
            self.cursor.skip_space();
            if self.cursor.eat("]") {
                return Ok(values);
            }
            if !self.cursor.eat(",") {
                return Err(self.cursor.error(Reason::ListOpen {
                    found: self.cursor.found(),
                }));
            }
        }
    }

    /// A single value, which is no list.
    fn value(&mut self, operator: Operator) -> Result<Piece<'a>, ParseError> {
        self.cursor.skip_space();
        if self.cursor.rest().starts_with('[') {
            return Err(self.cursor.error(Reason::ListNotAllowed {
                operator: operator.symbol(),
            }));
        }
        self.cursor.value()
    }

    /// A pattern, compiled.
    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        let (start, text) = self.cursor.pattern()?;
        Pattern::parse(text).map_err(|error| {
            let pattern = text.to_owned();
            self.cursor.error_at(
                start + error.offset,
                Reason::Pattern {
                    pattern,
                    problem: error.problem,
                },
            )
        })
    }

    /// A value that the subject can have.
    fn text(&self, subject: Subject<'_>, (start, text): Piece<'_>) -> Result<String, ParseError> {
        if subject == Subject::AgentConnected && !matches!(text, "true" | "false") {
            return Err(self.not_allowed(start, subject, text, "true or false"));
        }
        Ok(text.to_owned())
    }

    fn not_allowed(&self, start: usize, subject: Subject<'_>, value: &str, rule: &'static str) -> ParseError {
        self.cursor.error_at(
            start,
            Reason::ValueNotAllowed {
                subject: subject.to_string(),
                value: value.to_owned(),
                rule,
            },
        )
    }
}
