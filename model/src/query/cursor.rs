//! The place in an expression while it is read: white space, words, signs, values and patterns.
//!
//! It knows how things are spelled and not what they mean. Called by `grammar` only.

use super::error::{Found, ParseError, Reason};

pub(super) const AND: [&str; 2] = ["&&", "and"];
pub(super) const OR: [&str; 2] = ["||", "or"];
pub(super) const NOT: [&str; 2] = ["!", "not"];

const OPERATOR_SIGNS: &str = "=!<>~";
const QUOTES: &str = "'\"";

/// A text and how much of it was read.
pub(super) struct Cursor<'a> {
    source: &'a str,
    /// The next byte to read.
    at: usize,
}

/// A piece of the text, with the byte where it begins.
pub(super) type Piece<'a> = (usize, &'a str);

impl<'a> Cursor<'a> {
    pub(super) const fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    pub(super) fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes a sign or the word for it, which must end there.
    pub(super) fn eat_word(&mut self, [sign, word]: [&str; 2]) -> bool {
        let rest = self.rest();
        let is_word = rest
            .strip_prefix(word)
            .is_some_and(|after| !after.starts_with(is_subject_character));
        self.eat(sign) || (is_word && self.eat(word))
    }

    /// The word where a subject belongs; empty if there is none.
    pub(super) fn subject(&mut self) -> Piece<'a> {
        (self.at, self.take_while(is_subject_character))
    }

    /// The word or sign where an operator belongs; empty if there is none.
    pub(super) fn operator(&mut self) -> Piece<'a> {
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
        (start, &self.source[start..self.at])
    }

    /// A value in quotes or without.
    pub(super) fn value(&mut self) -> Result<Piece<'a>, ParseError> {
        self.skip_space();
        match self.quoted()? {
            Some(quoted) => Ok(quoted),
            None => self.bare(|c| "()[],".contains(c)),
        }
    }

    /// A pattern, which without quotes may contain brackets, commas and pairs of parentheses.
    pub(super) fn pattern(&mut self) -> Result<Piece<'a>, ParseError> {
        self.skip_space();
        if let Some(quoted) = self.quoted()? {
            return Ok(quoted);
        }
        let mut open = 0_usize;
        let mut escaped = false;
        self.bare(|c| {
            let literal = escaped;
            escaped = c == '\\' && !literal;
            match c {
                '(' if !literal => open += 1,
                ')' if !literal && open == 0 => return true,
                ')' if !literal => open -= 1,
                _ => {}
            }
            false
        })
    }

    /// The text between quotes, if the next character is one.
    fn quoted(&mut self) -> Result<Option<Piece<'a>>, ParseError> {
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

    /// A value without quotes: up to white space, a quote, the sign of a connector or where `ends` says so. What looks
    /// like part of the expression instead is none.
    fn bare(&mut self, mut ends: impl FnMut(char) -> bool) -> Result<Piece<'a>, ParseError> {
        let start = self.at;
        let rest = self.rest();
        let end = rest.char_indices().find(|(at, c)| {
            let connector = [AND, OR].iter().any(|[sign, _]| rest[*at..].starts_with(sign));
            connector || c.is_whitespace() || QUOTES.contains(*c) || ends(*c)
        });
        let text = end.map_or(rest, |(at, _)| &rest[..at]);
        let keyword = [AND, OR, NOT].iter().any(|words| words.contains(&text));
        if keyword || text.is_empty() || text.starts_with(|c| OPERATOR_SIGNS.contains(c)) {
            return Err(self.error(Reason::Value { found: self.found() }));
        }
        self.at += text.len();
        Ok((start, text))
    }

    /// What stands at the place, for a message: up to white space or a parenthesis, but at least one character.
    pub(super) fn token(&self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| c.is_whitespace() || "()".contains(*c));
        end.map_or(rest, |(end, _)| &rest[..end])
    }

    pub(super) fn found(&self) -> Found {
        Found::text(self.token())
    }

    /// The error at the place.
    pub(super) fn error(&self, reason: Reason) -> ParseError {
        self.error_at(self.at, reason)
    }

    pub(super) fn error_at(&self, offset: usize, reason: Reason) -> ParseError {
        ParseError::new(self.source, offset, reason)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

/// Letters, digits and what else the names of subjects and attributes consist of (ECS API, Attribute).
fn is_subject_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-/\\.:".contains(c)
}
