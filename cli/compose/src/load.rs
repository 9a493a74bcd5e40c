//! From the files of a project to one tree: read, interpolated, extended, included, merged, every path absolute and every
//! short form written out.

mod canonical;
mod extends;
mod include;
mod merge;
pub(crate) mod path;

use std::collections::{BTreeMap, BTreeSet};

use crate::interpolate::Variables;
use crate::node::{Node, Value};
use crate::{Error, yaml};

/// Files within files within files, at most.
const MAX_NESTING: usize = 32;

/// Where the texts of files come from.
pub trait Files {
    /// The text of the file at an absolute path; nothing where there is no such file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// What is asked for: files, and the words that they are read by.
#[derive(Debug, Clone)]
pub struct Request {
    /// The files of the project by their absolute paths; later ones are merged onto earlier ones.
    pub files: Vec<String>,
    /// The absolute path that relative ones of the files begin at.
    pub directory: String,
    /// The user's own directory, which `~` means.
    pub home: Option<String>,
    /// The project's name, where the command line or the environment gives one.
    pub name: Option<String>,
    /// Profiles that are active; `*` is all of them.
    pub profiles: BTreeSet<String>,
    /// Services that are asked for by name: their profiles are active too.
    pub named: BTreeSet<String>,
    /// The environment, and what `.env` adds to it.
    pub variables: Variables,
}

/// A project as one tree.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) root: Node,
    pub(crate) variables: Variables,
    /// Services that no active profile has.
    pub(crate) inactive: BTreeSet<String>,
}

/// Reads a project.
pub(crate) fn load(request: &Request, files: &dyn Files) -> Result<Loaded, Error> {
    let mut variables = request.variables.clone();
    let mut name = request.name.clone();
    if let Some(name) = &name {
        variables.set_default("COMPOSE_PROJECT_NAME", name.clone());
    }
    let mut loader = Loader {
        files,
        home: request.home.as_deref(),
        nesting: 0,
    };
    let mut root = loader.layer(&request.files, &request.directory, &mut variables)?;
    merge::settle(&mut root);
    if let Some(own) = root.remove("name") {
        name = name.or_else(|| own.as_text().map(str::to_owned));
    }
    let name = match name {
        Some(name) => project_name(&name).filter(|fitting| *fitting == name).ok_or_else(|| {
            let rule = "it must be lowercase letters, digits, '-' and '_', and begin with a letter or a digit";
            Error::new("name", format!("'{name}' is no name of a project: {rule}"))
        })?,
        None => project_name(path::last(&request.directory)).ok_or_else(|| {
            let rule = "the directory has no name that could be the project's: name it with -p";
            Error::new(&request.directory, rule)
        })?,
    };
    let inactive = take_inactive(&mut root, &request.profiles, &request.named)?;
    Ok(Loaded {
        name,
        root,
        variables,
        inactive,
    })
}

/// A project's name from any other, as Compose makes one of a directory's; none where nothing of it may stay.
fn project_name(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c))
        .collect();
    let name = kept.trim_start_matches(['-', '_']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Takes away the services that no active profile has; the profiles of those in `named` are active.
fn take_inactive(
    root: &mut Node,
    active: &BTreeSet<String>,
    named: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let Some(Node {
        value: Value::Map(services),
        ..
    }) = root.get_mut("services")
    else {
        return Ok(BTreeSet::new());
    };
    let mut active = active.clone();
    let mut profiles_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, service) in services.iter_mut() {
        let Some(profiles) = service.remove("profiles") else {
            continue;
        };
        let wrong = || Error::new(format!("services.{name}.profiles"), "it must be a list of names");
        let names: Option<Vec<String>> = profiles
            .as_list()
            .map(|list| list.iter().filter_map(Node::as_text).map(str::to_owned).collect());
        let names = names.ok_or_else(wrong)?;
        if named.contains(name) {
            active.extend(names.iter().cloned());
        }
        profiles_of.insert(name.clone(), names);
    }
    let is_inactive = |(_, names): &(String, Vec<String>)| {
        let is_active = names.is_empty() || active.contains("*") || names.iter().any(|name| active.contains(name));
        !is_active
    };
    let inactive = profiles_of.into_iter().filter(is_inactive).map(|(name, _)| name);
    let inactive: BTreeSet<String> = inactive.collect();
    services.retain(|(name, _)| !inactive.contains(name));
    Ok(inactive)
}

struct Loader<'a> {
    files: &'a dyn Files,
    home: Option<&'a str>,
    nesting: usize,
}

impl Loader<'_> {
    /// Files that are merged in their order, with what they include and extend.
    fn layer(&mut self, paths: &[String], directory: &str, variables: &mut Variables) -> Result<Node, Error> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let rule = format!("files include one another more than {MAX_NESTING} deep");
            return Err(Error::new(paths.first().map_or("include", String::as_str), rule));
        }
        let mut whole = Node::new(Value::Map(Vec::new()), 0);
        for file in paths {
            let mut document = self.document(file, variables)?;
            let included = document.remove("include");
            self.extend_services(&mut document, file, directory, variables)?;
            if let Some(included) = included {
                self.include(&mut document, &included, directory, variables)?;
            }
            whole = merge::merged(whole, document);
        }
        self.nesting -= 1;
        Ok(whole)
    }

    /// One file, its variables replaced.
    fn document(&self, file: &str, variables: &mut Variables) -> Result<Node, Error> {
        let text = self.text(file)?;
        let mut document =
            yaml::parse(&text).map_err(|error| Error::new(format!("{file}:{}", error.line), error.rule))?;
        interpolate(&mut document, file, variables)?;
        if document.as_map().is_none() {
            let rule = format!("it must be a map with the key 'services', it is {}", document.kind());
            return Err(Error::new(file, rule));
        }
        Ok(document)
    }

    fn text(&self, file: &str) -> Result<String, Error> {
        let text = self.files.read(file).map_err(|error| Error::new(file, error))?;
        text.ok_or_else(|| Error::new(file, "there is no such file"))
    }
}

/// Replaces the variables in all values; keys stay as they are.
fn interpolate(node: &mut Node, file: &str, variables: &mut Variables) -> Result<(), Error> {
    let line = node.line;
    match &mut node.value {
        Value::Null => {}
        Value::Text(text) => {
            *text = variables
                .replace(text)
                .map_err(|rule| Error::new(format!("{file}:{line}"), rule))?;
        }
        Value::List(items) => {
            for item in items {
                interpolate(item, file, variables)?;
            }
        }
        Value::Map(entries) => {
            for (_, value) in entries {
                interpolate(value, file, variables)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
