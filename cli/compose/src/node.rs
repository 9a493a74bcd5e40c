//! A document as a tree: texts, lists and maps whose keys keep their order.
//!
//! A scalar stays the text that it is: what type it has depends on who reads it, and interpolation comes first.

/// A value with the line on which it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// The line of its file, from 1; 0 where it comes from no file.
    pub(crate) line: usize,
    /// What becomes of the value of the same place in an earlier file.
    pub(crate) merge: Merge,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing: an empty value, `null` or `~`.
    Null,
    /// A text, a number or a truth value.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by key, each key once.
    Map(Vec<(String, Node)>),
}

/// What becomes of the value of the same place in an earlier file (Compose, "Merge").
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// The two become one.
    #[default]
    Join,
    /// It goes: `!reset`.
    Reset,
    /// This takes its place: `!override`.
    Override,
}

impl PartialEq for Node {
    /// What says the same is the same, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.merge == other.merge
    }
}

impl Node {
    /// A value that comes from no file.
    #[must_use]
    pub(crate) const fn new(value: Value, line: usize) -> Self {
        Self {
            value,
            line,
            merge: Merge::Join,
        }
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>, line: usize) -> Self {
        Self::new(Value::Text(text.into()), line)
    }

    /// Whether there is nothing.
    #[must_use]
    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The text, where it is one.
    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The values, where it is a list.
    #[must_use]
    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null | Value::Text(_) | Value::Map(_) => None,
        }
    }

    /// The entries, where it is a map.
    #[must_use]
    pub(crate) fn as_map(&self) -> Option<&[(String, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// The entry of a map.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// The entry of a map, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node),
            Value::Null | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// Sets the entry of a map; of anything else it makes a map.
    pub(crate) fn set(&mut self, key: &str, node: Self) {
        match &mut self.value {
            Value::Map(entries) => match entries.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = node,
                None => entries.push((key.to_owned(), node)),
            },
            Value::Null | Value::Text(_) | Value::List(_) => {
                self.value = Value::Map(vec![(key.to_owned(), node)]);
            }
        }
    }

    /// Takes the entry out of a map.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Self> {
        match &mut self.value {
            Value::Map(entries) => {
                let at = entries.iter().position(|(name, _)| name == key)?;
                Some(entries.remove(at).1)
            }
            Value::Null | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
