//! Which file a reference to a secret means.

use std::path::{Component, Path};

/// Hyphen and six characters that Secrets Manager appends to a secret's name in its ARN.
const SUFFIX: usize = 7;

/// A reference, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Paths within the secrets directory; the first that exists counts.
    pub(super) paths: Vec<String>,
    /// The member of the JSON object that the secret is.
    pub(super) json_key: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Reads a `valueFrom` (ECS API, `Secret`): what it names lies under the directory, and never outside.
    pub(super) fn parse(text: &'a str, directory: &Path) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file://") {
            let relative = Path::new(path)
                .strip_prefix(directory)
                .map_err(|_| format!("it must be a path in '{}'", directory.display()))?;
            return Self::of(&[&relative.to_string_lossy()], None);
        }
        let Some(arn) = text.strip_prefix("arn:") else {
            return Self::of(&[text], None);
        };
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        let [_partition, service, _region, _account, resource] = parts[..] else {
            return Err("it is no ARN".to_owned());
        };
        match service {
            "ssm" => match resource.strip_prefix("parameter") {
                Some(name) if name.starts_with('/') => Self::of(&[name], None),
                Some(_) | None => Err("the ARN names no parameter".to_owned()),
            },
            "secretsmanager" => Self::of_secrets_manager(resource),
            other => Err(format!(
                "'{other}' keeps no secrets: the ARN must be one of ssm or secretsmanager"
            )),
        }
    }

    /// `secret:NAME-xxxxxx`, and after it `:json-key:version-stage:version-id`, each of which may be empty.
    fn of_secrets_manager(resource: &'a str) -> Result<Self, String> {
        let mut parts = resource.split(':');
        let (Some("secret"), Some(name)) = (parts.next(), parts.next()) else {
            return Err("the ARN names no secret".to_owned());
        };
        let json_key = parts.next().filter(|key| !key.is_empty());
        let stage = parts.next().unwrap_or_default();
        let id = parts.next().unwrap_or_default();
        if !matches!(stage, "" | "AWSCURRENT") || !id.is_empty() {
            return Err("it asks for a version, of which a file has only the current one".to_owned());
        }
        if parts.next().is_some() {
            return Err("the ARN has too many parts".to_owned());
        }
        match without_suffix(name) {
            Some(short) => Self::of(&[name, short], json_key),
            None => Self::of(&[name], json_key),
        }
    }

    fn of(names: &[&str], json_key: Option<&'a str>) -> Result<Self, String> {
        let paths = names.iter().map(|name| within(name)).collect::<Result<_, _>>()?;
        Ok(Self { paths, json_key })
    }
}

fn without_suffix(name: &str) -> Option<&str> {
    let (short, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX)?)?;
    let random = suffix.strip_prefix('-')?;
    let is_random = random.chars().all(|c| c.is_ascii_alphanumeric());
    (is_random && !short.is_empty()).then_some(short)
}

/// The name as a path that stays within a directory.
fn within(name: &str) -> Result<String, String> {
    let relative = name.trim_start_matches('/');
    let plain = |component| matches!(component, Component::Normal(_));
    if relative.is_empty() || relative.contains('\0') || !Path::new(relative).components().all(plain) {
        return Err("it must name a file, without '.' and '..'".to_owned());
    }
    Ok(relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Reference<'_>, String> {
        Reference::parse(text, Path::new("/etc/berth/secrets"))
    }

    #[test]
    fn a_reference_names_a_file_by_the_name_that_it_has_at_amazon() {
        for (text, paths, key) in [
            ("token", vec!["token"], None),
            ("/prod/db/password", vec!["prod/db/password"], None),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db",
                vec!["prod/db"],
                None,
            ),
            ("file:///etc/berth/secrets/prod/db", vec!["prod/db"], None),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCd12",
                vec!["prod/db-AbCd12", "prod/db"],
                None,
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db",
                vec!["db"],
                None,
            ),
            (
                "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCd12:password::",
                vec!["db-AbCd12", "db"],
                Some("password"),
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db::AWSCURRENT:",
                vec!["db"],
                None,
            ),
        ] {
            let paths = paths.into_iter().map(str::to_owned).collect();
            assert_eq!(parse(text), Ok(Reference { paths, json_key: key }), "{text}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused_with_the_rule() {
        for (text, says) in [
            ("", "must name a file"),
            ("/", "must name a file"),
            ("../shadow", "'..'"),
            ("a/../../shadow", "'..'"),
            ("file:///etc/shadow", "a path in '/etc/berth/secrets'"),
            ("file:///etc/berth/secrets/../../shadow", "'..'"),
            ("arn:aws:ssm:eu-west-1:123456789012:parameter/../x", "'..'"),
            ("arn:aws:ssm:eu-west-1:123456789012:document/x", "no parameter"),
            ("arn:aws:s3:::bucket/key", "'s3' keeps no secrets"),
            ("arn:aws:ssm", "no ARN"),
            ("arn:aws:secretsmanager:r:1:secret:db::AWSPREVIOUS:", "a version"),
            ("arn:aws:secretsmanager:r:1:secret:db:::7", "a version"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
