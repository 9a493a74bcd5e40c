//! Files of environment variables: lines `NAME=value`, taken as they stand (ECS guide, "Specifying environment
//! variables using environment files").

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::secrets::{Secret, read_within};

/// Longer than any that makes sense: Linux starts no program with more than 2 MiB of arguments and environment.
const LONGEST: u64 = 2 * 1024 * 1024;

/// The variables of the file that the reference means.
pub(super) fn read(directory: &Path, reference: &str) -> Result<BTreeMap<String, Secret>, String> {
    let path = place(directory, reference)?;
    let text = read_within(directory, &path, LONGEST).map_err(|problem| {
        if problem.missing {
            format!("no file '{}'", directory.join(&path).display())
        } else {
            problem.text
        }
    })?;
    let (variables, skipped) = parse(&text);
    if !skipped.is_empty() {
        // As ECS does; the lines may hold anything, so only their numbers are told.
        tracing::warn!(file = reference, lines = ?skipped, "lines of an environment file are not NAME=value; left out");
    }
    Ok(variables)
}

/// The path within the directory: bucket and key of an object of S3, or that of a `file://`.
fn place(directory: &Path, reference: &str) -> Result<PathBuf, String> {
    let path = if let Some(path) = reference.strip_prefix("file://") {
        Path::new(path)
            .strip_prefix(directory)
            .map_err(|_| format!("it must be a path in '{}'", directory.display()))?
    } else {
        let mut parts = reference.splitn(6, ':');
        let (prefix, _partition, service) = (parts.next(), parts.next(), parts.next());
        match parts.nth(2) {
            Some(object) if prefix == Some("arn") && service == Some("s3") => Path::new(object),
            Some(_) | None => return Err("it must be the ARN of an S3 object, or file:// and a path".to_owned()),
        }
    };
    let plain = |component| matches!(component, Component::Normal(_));
    if path.as_os_str().is_empty() || !path.components().all(plain) {
        return Err("it must name a file, without '.' and '..'".to_owned());
    }
    Ok(path.to_owned())
}

/// The variables, and the numbers of lines that are none. A value has no quotes to take off and nothing to replace;
/// of two lines with one name the later counts.
fn parse(text: &str) -> (BTreeMap<String, Secret>, Vec<usize>) {
    let mut variables = BTreeMap::new();
    let mut skipped = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                variables.insert(name.to_owned(), Secret::new(value.to_owned()));
            }
            Some(_) | None => skipped.push(number),
        }
    }
    (variables, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_as_they_stand() {
        let text = "# comment\n\nA=1\nB=two words \r\nC=\"quoted\" $A # no comment\nD=x=y\n =\n";
        let (variables, skipped) = parse(text);
        let shown: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(
            shown,
            [
                ("A", "1"),
                ("B", "two words "),
                ("C", "\"quoted\" $A # no comment"),
                ("D", "x=y")
            ]
        );
        assert_eq!(skipped, [7]);
    }

    #[test]
    fn what_is_no_variable_is_left_out_by_number() {
        let (variables, skipped) = parse("export\n=x\nEMPTY=\nA=1\nA=2");
        assert_eq!(skipped, [1, 2, 3]);
        assert_eq!((variables.len(), variables["A"].expose()), (1, "2"));
    }

    #[test]
    fn a_reference_leads_into_the_directory_and_nowhere_else() {
        let directory = Path::new("/etc/berth/environment");
        let of = |reference: &str| place(directory, reference);
        assert_eq!(of("arn:aws:s3:::bucket/a/b.env").unwrap(), Path::new("bucket/a/b.env"));
        assert_eq!(of("file:///etc/berth/environment/x.env").unwrap(), Path::new("x.env"));
        for bad in [
            "arn:aws:s3:::../x.env",
            "arn:aws:s3:::bucket/../../x.env",
            "arn:aws:ssm:::bucket/x.env",
            "file:///etc/shadow.env",
            "file:///etc/berth/environment/../x.env",
            "x.env",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
