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

use super::error::{Found, ParseError, Reason};
use super::pattern::Pattern;
use super::tree::{Bound, Node, Test, TextRule, TextTest};
use super::value::{self, Moment, Version};
use super::words::{Comparison, Kind, Operator, Subject};
use super::{MAX_DEPTH, MAX_LENGTH};

/// Characters of an attribute's name, at most (ECS API, Attribute).
const MAX_ATTRIBUTE_NAME: usize = 128;

const OPERATOR_SIGNS: &str = "=!<>~";
const QUOTES: &str = "'\"";

const VERSIONS: &str = "a version of numbers and dots such as 1.14.5";
const DATES: &str = "a date such as 2018-06-18, 2018-06-18T22:28:28, 2018-06-18T22:28:28Z or 2018-06-18T22:28:28+00:00";
const NUMBERS: &str = "a whole number such as 10";

const AND: [&str; 2] = ["&&", "and"];
const OR: [&str; 2] = ["||", "or"];
const NOT: [&str; 2] = ["!", "not"];

pub(super) fn parse(source: &str) -> Result<Node, ParseError> {
    let mut parser = Parser {
        source,
        at: 0,
        depth: 0,
    };
    if let Some((limit, _)) = source.char_indices().nth(MAX_LENGTH) {
        let length = source.chars().count();
        return Err(parser.error_at(limit, Reason::TooLong { length }));
    }
    parser.skip_space();
    if parser.rest().is_empty() {
        return Err(parser.error(Reason::Empty));
    }
    let root = parser.any()?;
    match parser.rest() {
        "" => Ok(root),
        rest if rest.starts_with(')') => Err(parser.error(Reason::ParenthesisUnopened)),
        _ => Err(parser.error(Reason::not_a_connector(parser.token()))),
    }
}

struct Parser<'a> {
    source: &'a str,
    /// The next byte to read.
    at: usize,
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
        while self.eat_word(connector) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        self.skip_space();
        let start = self.at;
        if self.eat_word(NOT) {
            return self.deeper(start, |parser| Ok(Node::Not(Box::new(parser.unary()?))));
        }
        if self.eat("(") {
            return self.deeper(start, |parser| parser.parenthesis(start));
        }
        let test = self.test()?;
        self.skip_space();
        Ok(Node::Test(test))
    }

    /// What follows an opening parenthesis, with its partner.
    fn parenthesis(&mut self, open: usize) -> Result<Node, ParseError> {
        let inner = self.any()?;
        if self.rest().is_empty() {
            return Err(self.error_at(open, Reason::ParenthesisOpen));
        }
        if !self.eat(")") {
            return Err(self.error(Reason::not_a_connector(self.token())));
        }
        self.skip_space();
        Ok(inner)
    }

    fn deeper(
        &mut self,
        start: usize,
        read: impl FnOnce(&mut Self) -> Result<Node, ParseError>,
    ) -> Result<Node, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error_at(start, Reason::TooDeep));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn test(&mut self) -> Result<Test, ParseError> {
        let start = self.at;
        let word = self.take_while(is_subject_character);
        let Some(subject) = Subject::from_text(word) else {
            self.at = start;
            let found = if word.is_empty() { self.token() } else { word };
            return Err(self.error(Reason::not_a_subject(found)));
        };
        Ok(match subject {
            Subject::AgentConnected => Test::AgentConnected(self.text_test(subject)?),
            Subject::Ec2InstanceId => Test::Ec2InstanceId(self.text_test(subject)?),
            Subject::TaskGroup => Test::TaskGroup(self.text_test(subject)?),
            Subject::Attribute(name) => {
                if !(1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) {
                    return Err(self.error_at(start, Reason::AttributeName { name: name.to_owned() }));
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
            return Err(self.error_at(start, Reason::operator_not_allowed(subject, operator)));
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
            return Err(self.error_at(start, Reason::operator_not_allowed(subject, operator)));
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
        self.skip_space();
        let start = self.at;
        let negation = self
            .rest()
            .strip_prefix('!')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        if negation {
            self.at += 1;
        } else {
            self.take_while(|c| OPERATOR_SIGNS.contains(c));
        }
        // An operator is all signs, or all letters but for the sign of negation.
        if negation || self.at == start {
            self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        }
        let text = &self.source[start..self.at];
        if let Some(operator) = Operator::from_text(text) {
            return Ok((start, operator));
        }
        self.at = start;
        let found = if text.is_empty() { self.token() } else { text };
        Err(self.error(Reason::not_an_operator(subject, found)))
    }

    /// The list of `in`.
    fn values(&mut self, subject: Subject<'_>, operator: Operator) -> Result<Vec<String>, ParseError> {
        self.skip_space();
        if !self.eat("[") {
            return Err(self.error(Reason::ListExpected {
                operator: operator.symbol(),
                found: Found::text(self.token()),
            }));
        }
        let mut values = Vec::new();
        loop {
            let value = self.value_or_error()?;
            values.push(self.text(subject, value)?);
            self.skip_space();
            if self.eat("]") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.error(Reason::ListOpen {
                    found: Found::text(self.token()),
                }));
            }
        }
    }

    /// A single value, which is no list.
    fn value(&mut self, operator: Operator) -> Result<(usize, &'a str), ParseError> {
        self.skip_space();
        if self.rest().starts_with('[') {
            return Err(self.error(Reason::ListNotAllowed {
                operator: operator.symbol(),
            }));
        }
        self.value_or_error()
    }

    /// A value in quotes or without, and where it begins.
    fn value_or_error(&mut self) -> Result<(usize, &'a str), ParseError> {
        self.skip_space();
        if let Some(quoted) = self.quoted()? {
            return Ok(quoted);
        }
        let length = bare_length(self.rest(), |c| "()[],".contains(c));
        self.bare(length)
    }

    /// A pattern, which without quotes may contain brackets, commas and pairs of parentheses.
    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        self.skip_space();
        let (start, text) = match self.quoted()? {
            Some(quoted) => quoted,
            None => {
                let mut open = 0_usize;
                let mut escaped = false;
                let length = bare_length(self.rest(), |c| {
                    let literal = escaped;
                    escaped = c == '\\' && !literal;
                    match c {
                        '(' if !literal => open += 1,
                        ')' if !literal && open == 0 => return true,
                        ')' if !literal => open -= 1,
                        _ => {}
                    }
                    false
                });
                self.bare(length)?
            }
        };
        Pattern::parse(text).map_err(|error| {
            let pattern = text.to_owned();
            self.error_at(
                start + error.offset,
                Reason::Pattern {
                    pattern,
                    problem: error.problem,
                },
            )
        })
    }

    /// The text between quotes, if the next character is one.
    fn quoted(&mut self) -> Result<Option<(usize, &'a str)>, ParseError> {
        let Some(quote) = self.rest().chars().next().filter(|c| QUOTES.contains(*c)) else {
            return Ok(None);
        };
        let start = self.at + 1;
        let Some(length) = self.source[start..].find(quote) else {
            return Err(self.error(Reason::QuoteOpen { quote }));
        };
        self.at = start + length + 1;
        Ok(Some((start, &self.source[start..start + length])))
    }

    /// The next `length` bytes as a value, unless they look like part of the expression.
    fn bare(&mut self, length: usize) -> Result<(usize, &'a str), ParseError> {
        let start = self.at;
        let text = &self.source[start..start + length];
        let keyword = [AND, OR, NOT].iter().any(|words| words.contains(&text));
        if keyword || text.is_empty() || text.starts_with(|c| OPERATOR_SIGNS.contains(c)) {
            return Err(self.error(Reason::Value {
                found: Found::text(self.token()),
            }));
        }
        self.at += length;
        Ok((start, text))
    }

    /// A value that the subject can have.
    fn text(&self, subject: Subject<'_>, (start, text): (usize, &str)) -> Result<String, ParseError> {
        if subject == Subject::AgentConnected && !matches!(text, "true" | "false") {
            return Err(self.not_allowed(start, subject, text, "true or false"));
        }
        Ok(text.to_owned())
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes a sign or the word for it, which must end there.
    fn eat_word(&mut self, [sign, word]: [&str; 2]) -> bool {
        let rest = self.rest();
        let is_word = rest
            .strip_prefix(word)
            .is_some_and(|after| !after.starts_with(is_subject_character));
        self.eat(sign) || (is_word && self.eat(word))
    }

    /// What stands at the place, for a message: up to white space or a parenthesis, but at least one character.
    fn token(&self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| c.is_whitespace() || "()".contains(*c));
        end.map_or(rest, |(end, _)| &rest[..end])
    }

    fn error(&self, reason: Reason) -> ParseError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, offset: usize, reason: Reason) -> ParseError {
        ParseError::new(self.source, offset, reason)
    }

    fn not_allowed(&self, start: usize, subject: Subject<'_>, value: &str, rule: &'static str) -> ParseError {
        self.error_at(
            start,
            Reason::ValueNotAllowed {
                subject: subject.to_string(),
                value: value.to_owned(),
                rule,
            },
        )
    }
}

/// Letters, digits and what else the names of subjects and attributes consist of (ECS API, Attribute).
fn is_subject_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-/\\.:".contains(c)
}

/// The bytes of a value without quotes: up to white space, a quote, the sign of a connector or where `ends` says so.
fn bare_length(text: &str, mut ends: impl FnMut(char) -> bool) -> usize {
    let end = text.char_indices().find(|(at, c)| {
        let connector = [AND, OR].iter().any(|[sign, _]| text[*at..].starts_with(sign));
        connector || c.is_whitespace() || QUOTES.contains(*c) || ends(*c)
    });
    end.map_or(text.len(), |(at, _)| at)
}
