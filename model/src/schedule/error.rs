//! Why an expression is none: the place in it, the field, what stands there, and the rule.

use std::fmt;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ExpressionError {
    /// The character, from 1.
    pub position: usize,
    /// The field of it, where it has fields.
    pub field: Option<&'static str>,
    /// What stands there.
    pub found: String,
    /// What it breaks.
    pub rule: String,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}", self.position)?;
        if let Some(field) = self.field {
            write!(f, ", field {field}")?;
        }
        match self.found.as_str() {
            "" => write!(f, ": {}", self.rule),
            found => write!(f, ", '{found}': {}", self.rule),
        }
    }
}

/// A part of an expression that knows where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'t> {
    whole: &'t str,
    start: usize,
    end: usize,
    field: Option<&'static str>,
}

impl<'t> Part<'t> {
    pub(super) const fn whole(text: &'t str) -> Self {
        Self {
            whole: text,
            start: 0,
            end: text.len(),
            field: None,
        }
    }

    pub(super) fn text(&self) -> &'t str {
        self.whole.get(self.start..self.end).unwrap_or_default()
    }

    /// What stands between these bytes of the part.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            start: self.start + start,
            end: self.start + end,
            ..*self
        }
    }

    /// The part as a field of that name.
    pub(super) fn named(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    /// What stands before the first separator and behind it.
    pub(super) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.text().find(separator)?;
        let behind = at + separator.len_utf8();
        Some((self.slice(0, at), self.slice(behind, self.text().len())))
    }

    /// What stands between separators.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        let mut rest = *self;
        let mut parts = Vec::new();
        while let Some((part, behind)) = rest.split_once(separator) {
            parts.push(part);
            rest = behind;
        }
        parts.push(rest);
        parts
    }

    /// What stands between white space.
    pub(super) fn words(&self) -> Vec<Self> {
        let text = self.text();
        let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
        text.split_whitespace()
            .map(|word| self.slice(start(word), start(word) + word.len()))
            .collect()
    }

    /// The part without that ending.
    pub(super) fn without_suffix(&self, suffix: char) -> Option<Self> {
        let rest = self.text().strip_suffix(suffix)?;
        Some(self.slice(0, rest.len()))
    }

    pub(super) fn breaks(&self, rule: impl Into<String>) -> ExpressionError {
        let before = self.whole.get(..self.start).unwrap_or_default();
        ExpressionError {
            position: before.chars().count() + 1,
            field: self.field,
            found: self.text().to_owned(),
            rule: rule.into(),
        }
    }
}
