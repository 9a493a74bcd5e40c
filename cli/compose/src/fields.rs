//! The list of fields: what a file may say, what becomes of each, and the code that reads it.
//!
//! Reading goes by this list alone (`walk`), so that a field is honoured if the list says so, and named if not.

use crate::node::Node;
use crate::translation::Note;
use crate::{Error, dockerrun, project, service};

/// A key of a map.
pub(crate) struct Field<D: 'static> {
    /// The key.
    pub(crate) name: &'static str,
    /// What becomes of it, or why nothing does.
    pub(crate) says: &'static str,
    /// How it is read.
    pub(crate) reads: Reads<D>,
}

/// How a field is read.
pub(crate) enum Reads<D: 'static> {
    /// It is not honoured.
    Not,
    /// It has been read before: while files were loaded.
    Before,
    /// By this.
    By(Read<D>),
}

/// Reads a value into a draft, and notes what of it is lost.
pub(crate) type Read<D> = fn(&mut D, &At<'_>, &mut Vec<Note>) -> Result<(), Error>;

/// A field that is honoured.
pub(crate) const fn by<D>(name: &'static str, says: &'static str, read: Read<D>) -> Field<D> {
    let reads = Reads::By(read);
    Field { name, says, reads }
}

/// A field that is not.
pub(crate) const fn not<D>(name: &'static str, says: &'static str) -> Field<D> {
    let reads = Reads::Not;
    Field { name, says, reads }
}

/// A field that was read while files were loaded.
pub(crate) const fn before<D>(name: &'static str, says: &'static str) -> Field<D> {
    let reads = Reads::Before;
    Field { name, says, reads }
}

/// A value and where it stands.
pub(crate) struct At<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Node,
}

/// One row of the documentation's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where the field stands, with `*` for names and numbers.
    pub path: String,
    /// Whether it is honoured.
    pub honoured: bool,
    /// What becomes of it.
    pub says: &'static str,
}

/// The fields of Compose files, section by section.
#[must_use]
pub fn compose() -> Vec<Vec<Row>> {
    let mut sections = vec![rows("", project::FIELDS)];
    sections.extend(service::sections());
    sections.extend(project::sections());
    sections
}

/// The fields of `Dockerrun.aws.json`, section by section.
#[must_use]
pub fn dockerrun() -> Vec<Vec<Row>> {
    dockerrun::sections()
}

/// The rows of one map.
pub(crate) fn rows<D>(path: &str, fields: &[Field<D>]) -> Vec<Row> {
    let row = |field: &Field<D>| Row {
        path: join(path, field.name),
        honoured: !matches!(field.reads, Reads::Not),
        says: field.says,
    };
    fields.iter().map(row).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Reads a map by the list of its fields. Keys that begin with `x-` are extensions, which mean something to others.
pub(crate) fn walk<D>(draft: &mut D, at: &At<'_>, fields: &[Field<D>], notes: &mut Vec<Note>) -> Result<(), Error> {
    for (name, node) in at.entries()? {
        if name.starts_with("x-") {
            continue;
        }
        let at = At {
            path: join(&at.path, name),
            node,
        };
        match fields.iter().find(|field| field.name == name) {
            None => notes.push(Note::lost(at.path, "there is no such field")),
            Some(field) => match field.reads {
                Reads::Not => notes.push(Note::lost(at.path, field.says)),
                // An empty value says nothing.
                Reads::By(read) if !node.is_null() => read(draft, &at, notes)?,
                Reads::By(_) | Reads::Before => {}
            },
        }
    }
    Ok(())
}

impl<'n> At<'n> {
    pub(crate) fn error(&self, rule: impl Into<String>) -> Error {
        Error::new(self.path.clone(), rule)
    }

    /// What is given, and the rule that it breaks.
    pub(crate) fn wrong(&self, rule: &str) -> Error {
        match self.node.as_text() {
            Some(text) => self.error(format!("'{}' must be {rule}", berth_model::fault::shortened(text))),
            None => self.error(format!("it must be {rule}, it is {}", self.node.kind())),
        }
    }

    pub(crate) fn entries(&self) -> Result<&'n [(String, Node)], Error> {
        match self.node.is_null() {
            true => Ok(&[]),
            false => self.node.as_map().ok_or_else(|| self.wrong("a map")),
        }
    }

    /// The entries of a map with their places.
    pub(crate) fn each_entry(&self) -> Result<impl Iterator<Item = (&'n str, Self)>, Error> {
        let entries = self.entries()?.iter().map(|(name, node)| {
            let at = At {
                path: join(&self.path, name),
                node,
            };
            (name.as_str(), at)
        });
        Ok(entries)
    }

    /// The values of a list with their places.
    pub(crate) fn items(&self) -> Result<impl Iterator<Item = Self>, Error> {
        let items = self.node.as_list().ok_or_else(|| self.wrong("a list"))?;
        Ok(items.iter().enumerate().map(|(index, node)| At {
            path: format!("{}[{index}]", self.path),
            node,
        }))
    }

    pub(crate) fn text(&self) -> Result<&'n str, Error> {
        self.node.as_text().ok_or_else(|| self.wrong("a single value"))
    }

    /// The text, as a value of its own.
    pub(crate) fn string(&self) -> Result<String, Error> {
        self.text().map(str::to_owned)
    }

    pub(crate) fn texts(&self) -> Result<Vec<String>, Error> {
        self.items()?.map(|item| item.string()).collect()
    }

    pub(crate) fn truth(&self) -> Result<bool, Error> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(crate) fn number<N: std::str::FromStr>(&self) -> Result<N, Error> {
        let text = self.text()?;
        text.parse().map_err(|_| self.wrong("a whole number"))
    }

    /// What `read` makes of the text, which must be as `rule` says.
    pub(crate) fn by<T>(&self, read: impl Fn(&str) -> Option<T>, rule: &str) -> Result<T, Error> {
        read(self.text()?).ok_or_else(|| self.wrong(rule))
    }
}
