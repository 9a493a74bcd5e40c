//! Secrets: values that task definitions name and the host holds, one file each under the secrets directory.
//!
//! A value never leaves the process but for Docker's create request and a registry: its type prints nothing, and
//! failures name the secret and never what it holds. Reads block; call from a thread that may.

mod reference;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use berth_agent_core::failure::{Failure, FailureKind};

use reference::Reference;

/// As much as Secrets Manager holds in one secret (Secrets Manager quotas).
const LONGEST: u64 = 65_536;

/// The value of a secret. It prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Takes a value in: nothing shows it from here on.
    pub(crate) fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The secrets directory.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    directory: PathBuf,
}

impl Secrets {
    /// The directory need not exist as long as no task names a secret.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The secret that a `valueFrom` or `credentialsParameter` of ECS names: the name or ARN of a parameter of Systems
    /// Manager, the ARN of a secret of Secrets Manager, or `file://` and a path in the secrets directory.
    ///
    /// One line end at the end of a file does not belong to the value, so that an editor may write it.
    pub(crate) fn read(&self, value_from: &str) -> Result<Secret, Failure> {
        let refused = |why: String| Failure::new(FailureKind::Unprepared, format!("secret '{value_from}': {why}"));
        let reference = Reference::parse(value_from, &self.directory).map_err(refused)?;
        let text = self.read_first(&reference.paths).map_err(refused)?;
        let value = match reference.json_key {
            Some(key) => member(&text, key).map_err(refused)?,
            None => without_line_end(text),
        };
        Ok(Secret(value))
    }

    /// The content of the first file that exists.
    fn read_first(&self, paths: &[String]) -> Result<String, String> {
        for path in paths {
            match read_within(&self.directory, Path::new(path), LONGEST) {
                Ok(text) => return Ok(text),
                Err(problem) if problem.missing => {}
                Err(problem) => return Err(problem.text),
            }
        }
        let tried: Vec<String> = paths
            .iter()
            .map(|path| format!("'{}'", self.directory.join(path).display()))
            .collect();
        Err(format!("no file {}", tried.join(" or ")))
    }
}

/// A file that could not be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// There is none.
    pub(crate) missing: bool,
    /// What is wrong, with its path.
    pub(crate) text: String,
}

/// The text of a regular file in the directory. What lies outside, be it by a symbolic link, is refused, and so is a
/// file that is too long or no text.
pub(crate) fn read_within(directory: &Path, relative: &Path, longest: u64) -> Result<String, Unreadable> {
    let path = directory.join(relative);
    let because = |why: &dyn fmt::Display| Unreadable {
        missing: false,
        text: format!("'{}': {why}", path.display()),
    };
    let failed = |error: io::Error| Unreadable {
        missing: error.kind() == io::ErrorKind::NotFound,
        ..because(&error)
    };
    let real = path.canonicalize().map_err(failed)?;
    if !real.starts_with(directory.canonicalize().map_err(failed)?) {
        return Err(because(&format_args!("it leads out of '{}'", directory.display())));
    }
    // Before it is opened: opening a pipe waits for its other end.
    if !real.metadata().map_err(failed)?.is_file() {
        return Err(because(&"it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(&real).map_err(failed)?;
    file.take(longest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > longest {
        return Err(because(&format_args!("it is longer than {longest} bytes")));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) | Err(_) => Err(because(&"it is not UTF-8 text without NUL")),
    }
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// A member of the JSON object that the secret is. serde's own message would show part of the value.
fn member(text: &str, key: &str) -> Result<String, String> {
    use serde_json::{Map, Value};
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| format!("it is not a JSON object, so it has no member '{key}'"))?;
    match object.get(key) {
        Some(Value::String(value)) if value.contains('\0') => Err(format!("its member '{key}' has a NUL in it")),
        Some(Value::String(value)) => Ok(value.clone()),
        Some(Value::Null) | None => Err(format!("its JSON object has no member '{key}'")),
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => Ok(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
