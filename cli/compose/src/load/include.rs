//! `include`: other projects' resources beside one's own.

use std::collections::BTreeMap;

use super::{Loader, merge, path};
use crate::interpolate::Variables;
use crate::node::{Node, Value};
use crate::{Error, dotenv};

/// What is taken over.
const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "secrets", "configs"];

impl Loader<'_> {
    pub(super) fn include(
        &mut self,
        document: &mut Node,
        included: &Node,
        directory: &str,
        variables: &mut Variables,
    ) -> Result<(), Error> {
        let wrong = || Error::new("include", "it must be a list of paths, or of maps with a 'path'");
        for (index, entry) in included.as_list().ok_or_else(wrong)?.iter().enumerate() {
            let at = format!("include[{index}]");
            let other = self.included(entry, &at, directory, variables)?;
            for section in SECTIONS {
                for (name, resource) in other.get(section).and_then(Node::as_map).unwrap_or_default() {
                    take_over(document, section, name, resource, &at)?;
                }
            }
        }
        Ok(())
    }

    fn included(&mut self, entry: &Node, at: &str, directory: &str, variables: &mut Variables) -> Result<Node, Error> {
        for (key, _) in entry.as_map().unwrap_or_default() {
            if !["path", "project_directory", "env_file"].contains(&key.as_str()) {
                return Err(Error::new(format!("{at}.{key}"), "there is no such key"));
            }
        }
        let home = self.home;
        let absolute = |text: &str| path::absolute(text, directory, home);
        let paths: Vec<String> = texts(entry.get("path").unwrap_or(entry)).map(absolute).collect();
        let Some(first) = paths.first() else {
            return Err(Error::new(at, "it must be a path, or a map with a 'path'"));
        };
        let inside = entry.get("project_directory").and_then(Node::as_text).map(absolute);
        let inside = inside.unwrap_or_else(|| path::parent(first).to_owned());
        let mut own = variables.clone();
        let named: Option<Vec<String>> = entry.get("env_file").map(|node| texts(node).map(absolute).collect());
        match named {
            Some(files) => {
                for file in files {
                    let text = self.text(&file)?;
                    add(&mut own, &text, &file)?;
                }
            }
            None => {
                let file = format!("{}/.env", inside.trim_end_matches('/'));
                if let Some(text) = self.files.read(&file).map_err(|error| Error::new(&file, error))? {
                    add(&mut own, &text, &file)?;
                }
            }
        }
        let mut other = self.layer(&paths, &inside, &mut own)?;
        variables.note_unset(&own);
        merge::settle(&mut other);
        Ok(other)
    }
}

fn add(variables: &mut Variables, text: &str, file: &str) -> Result<(), Error> {
    let lines = dotenv::parse(text, variables).map_err(|rule| Error::new(file, rule))?;
    let values: BTreeMap<String, String> = lines
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect();
    for (name, value) in values {
        variables.set_default(&name, value);
    }
    Ok(())
}

/// The text, or the texts of a list.
fn texts(node: &Node) -> impl Iterator<Item = &str> {
    let one = node.as_text().into_iter();
    one.chain(node.as_list().unwrap_or_default().iter().filter_map(Node::as_text))
}

fn take_over(document: &mut Node, section: &str, name: &str, resource: &Node, at: &str) -> Result<(), Error> {
    if document.get(section).is_none_or(Node::is_null) {
        document.set(section, Node::new(Value::Map(Vec::new()), 0));
    }
    let Some(own) = document.get_mut(section) else {
        return Ok(());
    };
    match own.get(name) {
        Some(there) if there.value == resource.value => Ok(()),
        Some(_) => {
            let rule = format!("it brings {section}.{name}, which is there already and not the same");
            Err(Error::new(at, rule))
        }
        None => {
            own.set(name, resource.clone());
            Ok(())
        }
    }
}
