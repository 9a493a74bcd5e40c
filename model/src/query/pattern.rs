//! Patterns of `=~`: Java's regular expressions, on an engine whose time is linear in the text.
//!
//! A pattern comes from whoever may call the API and runs against every instance, so it must never be able to take
//! long or grow large: what cannot run in linear time is refused by name instead of being approximated. Where Java and
//! the engine write the same thing differently it is rewritten (see [`java`]). Called by `grammar` and `tree`.
//!
//! Source: `java.util.regex.Pattern`, to which the ECS guide refers. Two differences remain, neither of which a value
//! that ECS allows can show: `.` stops at `\n` only, and `(?i)` folds case beyond ASCII.

use regex::{Regex, RegexBuilder};

mod java;

/// Bytes of one compiled pattern, and of the scratch space of one that runs.
const SIZE_LIMIT: usize = 256 * 1024;
/// Groups and classes inside one another, at most.
const NEST_LIMIT: u32 = 50;

/// A pattern that matches whole values.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    source: String,
    regex: Regex,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// A construct of Java that no engine matches in linear time.
    #[error("{0} cannot be matched in linear time, which patterns must be here")]
    NotLinear(&'static str),
    /// A construct of Java that has no counterpart here.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The pattern needs too much memory.
    #[error("it needs more than {} KiB when compiled; use fewer or smaller repetitions", SIZE_LIMIT / 1024)]
    TooLarge,
    /// No regular expression.
    #[error("{0}")]
    Syntax(String),
}

/// What is wrong with a pattern, and at which byte of it.
#[derive(Debug)]
pub(super) struct PatternError {
    pub(super) offset: usize,
    pub(super) problem: PatternProblem,
}

impl Pattern {
    pub(super) fn parse(source: &str) -> Result<Self, PatternError> {
        let translated = java::translate(source)?;
        // The translation is balanced, so the group ends where it should.
        let regex = RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map_err(|error| PatternError {
                offset: 0,
                problem: PatternProblem::from(&error),
            })?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl From<&regex::Error> for PatternProblem {
    fn from(error: &regex::Error) -> Self {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            return Self::TooLarge;
        }
        // The engine draws the translated pattern, which nobody wrote; only its last line says what is wrong.
        let drawing = error.to_string();
        let (_, rule) = drawing.rsplit_once("error: ").unwrap_or(("", &drawing));
        Self::Syntax(rule.trim().to_owned())
    }
}

#[cfg(test)]
mod tests;
