//! The settings file: keys with a value or a list of values, no tables.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key with what it is set to.
#[derive(Debug)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    pub(super) key: String,
    /// What was given, as text, or the rule that it breaks.
    pub(super) values: Result<Vec<String>, &'static str>,
}

/// All keys, in no order.
///
/// # Errors
/// The line and what is wrong with it, where the text is not TOML.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line_of(at), error.message().to_owned())
    })?;
    let entries = table.get_ref().iter().map(|(key, value)| Entry {
        line: line_of(key.span().start),
        key: key.get_ref().to_string(),
        values: values(value),
    });
    Ok(entries.collect())
}

fn values(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, &'static str> {
    if let DeValue::Array(items) = value.get_ref() {
        return items.iter().map(|item| scalar(item.get_ref())).collect();
    }
    Ok(vec![scalar(value.get_ref())?])
}

fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err("must be a string, a number, true or false, or a list of these")
        }
    }
}
