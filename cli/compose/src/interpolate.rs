//! Variables in values: `$NAME`, `${NAME}`, `${NAME:-default}` and their kin (Compose, "Interpolation").

use std::collections::{BTreeMap, BTreeSet};

/// Braces within braces, at most.
const MAX_DEPTH: usize = 32;

/// What variables are replaced by, and which were asked for and not there.
#[derive(Debug, Default, Clone)]
pub struct Variables {
    values: BTreeMap<String, String>,
    unset: BTreeSet<String>,
}

impl Variables {
    /// These and no others.
    #[must_use]
    pub const fn new(values: BTreeMap<String, String>) -> Self {
        Self {
            values,
            unset: BTreeSet::new(),
        }
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Gives a variable a value, unless it has one.
    pub fn set_default(&mut self, name: &str, value: String) {
        self.values.entry(name.to_owned()).or_insert(value);
    }

    /// The variables that were replaced by nothing, as they have no value.
    pub fn unset(&self) -> impl Iterator<Item = &str> {
        self.unset.iter().map(String::as_str)
    }

    /// Remembers what another set of variables had no values for.
    pub(crate) fn note_unset(&mut self, other: &Self) {
        self.unset.extend(other.unset.iter().cloned());
    }

    /// The text with its variables replaced.
    ///
    /// # Errors
    /// A `$` is followed by no variable, a brace does not end, or a variable must have a value and has none.
    pub fn replace(&mut self, text: &str) -> Result<String, String> {
        let mut reader = Reader {
            text,
            at: 0,
            variables: self,
        };
        reader.part(false, true, 0)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    variables: &'a mut Variables,
}

/// What stands between the name of a variable and the word behind it.
#[derive(Clone, Copy)]
enum Operator {
    Default,
    Error,
    Replacement,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// To the end of the text, or inside of braces to the one that closes them. What is not `live` is read over: it
    /// asks for no variable.
    fn part(&mut self, inside: bool, live: bool, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err(self.invalid(&format!("braces are nested more than {MAX_DEPTH} deep")));
        }
        let mut out = String::new();
        let mut open = 0_usize;
        while let Some(c) = self.take() {
            match c {
                '$' => out.push_str(&self.variable(live, depth)?),
                '}' if inside && open == 0 => return Ok(out),
                '{' | '}' if inside => {
                    open = if c == '{' { open + 1 } else { open.saturating_sub(1) };
                    out.push(c);
                }
                c => out.push(c),
            }
        }
        if inside {
            return Err(self.invalid("a brace does not end"));
        }
        Ok(out)
    }

    /// What follows a `$`.
    fn variable(&mut self, live: bool, depth: usize) -> Result<String, String> {
        match self.peek() {
            Some('$') => {
                self.take();
                Ok("$".to_owned())
            }
            Some('{') => {
                self.take();
                self.braced(live, depth)
            }
            Some(c) if begins_name(c) => {
                let name = self.name();
                Ok(self.value(&name, live).unwrap_or_default())
            }
            _ => Err(self.invalid("a '$' must be followed by a variable; a plain one is written '$$'")),
        }
    }

    fn braced(&mut self, live: bool, depth: usize) -> Result<String, String> {
        if !self.peek().is_some_and(begins_name) {
            return Err(self.invalid("'${' must be followed by the name of a variable"));
        }
        let name = self.name();
        let mut empty_counts = true;
        let mut operator = self.take();
        if operator == Some(':') {
            empty_counts = false;
            operator = self.take();
        }
        let operator = match operator {
            Some('}') if empty_counts => return Ok(self.value(&name, live).unwrap_or_default()),
            Some('-') => Operator::Default,
            Some('?') => Operator::Error,
            Some('+') => Operator::Replacement,
            Some(_) => {
                return Err(self.invalid("in braces a variable is followed by '}' or by one of :- - :? ? :+ +"));
            }
            None => return Err(self.invalid("a brace does not end")),
        };
        let given = self
            .variables
            .get(&name)
            .filter(|value| empty_counts || !value.is_empty());
        let given = given.map(str::to_owned);
        match (operator, given) {
            (Operator::Default, Some(value)) => self.part(true, false, depth + 1).map(|_| value),
            (Operator::Default, None) => self.part(true, live, depth + 1),
            (Operator::Replacement, Some(_)) => self.part(true, live, depth + 1),
            (Operator::Replacement, None) => self.part(true, false, depth + 1).map(|_| String::new()),
            (Operator::Error, Some(value)) => self.part(true, false, depth + 1).map(|_| value),
            (Operator::Error, None) => {
                let word = self.part(true, live, depth + 1)?;
                if live {
                    return Err(format!("required variable {name} is missing a value: {word}"));
                }
                Ok(String::new())
            }
        }
    }

    fn name(&mut self) -> String {
        let from = self.at;
        while self.peek().is_some_and(|c| begins_name(c) || c.is_ascii_digit()) {
            self.take();
        }
        self.text.get(from..self.at).unwrap_or_default().to_owned()
    }

    fn value(&mut self, name: &str, live: bool) -> Option<String> {
        let value = self.variables.values.get(name).cloned();
        if live && value.is_none() {
            self.variables.unset.insert(name.to_owned());
        }
        value
    }

    fn invalid(&self, rule: &str) -> String {
        format!(
            "'{}' cannot be interpolated: {rule}",
            berth_model::fault::shortened(self.text)
        )
    }
}

fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

#[cfg(test)]
mod tests;
