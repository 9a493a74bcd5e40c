//! Who makes the calls: an access key of the environment or of a file, or the operator's own.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use berth_model::time::Timestamp;
use berth_signature::secret::{MasterError, MasterKeys};
use berth_signature::sign::Credentials;
use berth_signature::{HttpRequest, SigningDate};
use prost::Message;
use tonic::Request;
use tonic::metadata::{Ascii, KeyAndValueRef, MetadataKey, MetadataValue};

use crate::args::GlobalArgs;

/// Where nothing is said of it: schedulers take any.
const REGION: &str = "us-east-1";
const SERVICE: &str = "ecs";
/// Metadata by which no two calls are the same, however soon they follow each other.
const NONCE_KEY: &str = "berth-nonce";
/// Metadata that is signed where it is there.
const SIGNED: &str = "berth-";

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Master { path: PathBuf, source: MasterError },
    #[error("{} has no {missing} in [{profile}]", path.display())]
    Missing {
        path: PathBuf,
        missing: &'static str,
        profile: String,
    },
    #[error("{given} is set and {missing} is not")]
    Half { given: &'static str, missing: &'static str },
}

/// Signs calls to one scheduler.
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    /// The host, and the port, as the scheduler is called.
    authority: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Who the command line and the environment name; nobody where they name none.
    pub(crate) fn of(global: &GlobalArgs) -> Result<Option<Self>, CredentialsError> {
        let Some(credentials) = credentials(global)? else {
            return Ok(None);
        };
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(set);
        Ok(Some(Self {
            credentials,
            region: region.unwrap_or_else(|| REGION.to_owned()),
            authority: authority(&global.scheduler),
        }))
    }

    /// The headers that make a GET of a path, without a query, a signed one; `host` is as in the URL.
    pub(crate) fn sign_get(&self, path: &str, now: SystemTime) -> Vec<(&'static str, String)> {
        let request = HttpRequest {
            method: "GET",
            path,
            query: "",
            headers: &[("host", self.authority.as_bytes())],
            body: b"",
        };
        let date = SigningDate::of(at(now));
        self.credentials.sign(&request, date, &self.region, SERVICE)
    }

    /// Adds the signature to the call's metadata.
    pub(crate) fn sign<Q: Message>(&self, service: &str, operation: &str, request: &mut Request<Q>, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nonce = format!("{}.{}", std::process::id(), since.as_nanos());
        insert(request, NONCE_KEY, &nonce);
        // As gRPC sends it: not compressed, the length, the message.
        let message = request.get_ref().encode_to_vec();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let body = [&[0][..], &length, &message].concat();
        let path = format!("/{service}/{operation}");
        let mut headers = vec![("host", self.authority.as_bytes())];
        for entry in request.metadata().iter() {
            if let KeyAndValueRef::Ascii(key, value) = entry
                && key.as_str().starts_with(SIGNED)
            {
                headers.push((key.as_str(), value.as_bytes()));
            }
        }
        let signed = HttpRequest {
            method: "POST",
            path: &path,
            query: "",
            headers: &headers,
            body: &body,
        };
        let added = self
            .credentials
            .sign(&signed, SigningDate::of(at(now)), &self.region, SERVICE);
        for (name, value) in added {
            insert(request, name, &value);
        }
    }
}

fn at(moment: SystemTime) -> Timestamp {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What stands between the scheme and the path of a URL that has none.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.to_owned()
}

fn insert<Q>(request: &mut Request<Q>, name: &'static str, value: &str) {
    // What cannot stand in a header is left out, and the scheduler says what is missing.
    if let Ok(value) = value.parse::<MetadataValue<Ascii>>() {
        request.metadata_mut().insert(MetadataKey::from_static(name), value);
    }
}

fn credentials(global: &GlobalArgs) -> Result<Option<Credentials>, CredentialsError> {
    if let Some(path) = &global.master_key_file {
        return of_master(path).map(Some);
    }
    if let Some(credentials) = of_environment(set)? {
        return Ok(Some(credentials));
    }
    let profile = set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    if let Some(path) = &global.credentials {
        return of_file(path, &profile).map(Some);
    }
    match default_file() {
        Some(path) if path.exists() => of_file(&path, &profile).map(Some),
        _ => Ok(None),
    }
}

/// The operator's own key.
fn of_master(path: &Path) -> Result<Credentials, CredentialsError> {
    let keys = MasterKeys::parse(&read(path)?).map_err(|source| CredentialsError::Master {
        path: path.to_owned(),
        source,
    })?;
    Ok(Credentials::root(keys.newest()))
}

fn of_environment(set: impl Fn(&'static str) -> Option<String>) -> Result<Option<Credentials>, CredentialsError> {
    const NAMES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    match NAMES.map(&set) {
        [None, None] => Ok(None),
        [Some(access_key), Some(secret)] => Ok(Some(Credentials {
            access_key,
            secret,
            token: set("AWS_SESSION_TOKEN"),
        })),
        [given, _] => {
            let [id, secret] = NAMES;
            let (given, missing) = if given.is_some() { (id, secret) } else { (secret, id) };
            Err(CredentialsError::Half { given, missing })
        }
    }
}

/// The profile of a file such as `~/.aws/credentials`.
fn of_file(path: &Path, profile: &str) -> Result<Credentials, CredentialsError> {
    let text = read(path)?;
    let member = |name: &str| member(&text, profile, name);
    let required = |missing: &'static str| {
        member(missing).ok_or_else(|| CredentialsError::Missing {
            path: path.to_owned(),
            missing,
            profile: profile.to_owned(),
        })
    };
    Ok(Credentials {
        access_key: required("aws_access_key_id")?,
        secret: required("aws_secret_access_key")?,
        token: member("aws_session_token"),
    })
}

fn member(text: &str, profile: &str, name: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix('[') {
            inside = heading.trim_end_matches(']').trim() == profile;
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && key.trim() == name
        {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

fn default_file() -> Option<PathBuf> {
    Some(configuration()?.join("credentials"))
}

/// The directory of the operator's own settings.
pub(crate) fn configuration() -> Option<PathBuf> {
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(config.join("berth"))
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    fs::read_to_string(path).map_err(|source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A variable of the environment that is not empty.
fn set(name: &'static str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_a_file_of_the_aws_cli() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# mine\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s/1=\n\n[ci]\n\
                    aws_access_key_id=AKIA2\naws_secret_access_key=s2\naws_session_token=t\n[half]\naws_access_key_id=x\n";
        fs::write(file.path(), text).unwrap();
        let of = |profile: &str| of_file(file.path(), profile);
        let found = of("default").unwrap();
        assert_eq!(
            (&*found.access_key, &*found.secret, found.token),
            ("AKIA1", "s/1=", None)
        );
        assert_eq!(of("ci").unwrap().token.as_deref(), Some("t"));
        for (profile, missing) in [
            ("half", "aws_secret_access_key in [half]"),
            ("other", "aws_access_key_id in [other]"),
        ] {
            let error = of(profile).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn half_an_access_key_is_refused() {
        let only = |given: &'static str| move |name: &'static str| (name == given).then(|| "x".to_owned());
        assert!(of_environment(|_| None).unwrap().is_none());
        assert!(of_environment(|_| Some("x".to_owned())).unwrap().is_some());
        let error = of_environment(only("AWS_ACCESS_KEY_ID")).unwrap_err().to_string();
        assert_eq!(error, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
        let error = of_environment(only("AWS_SECRET_ACCESS_KEY")).unwrap_err().to_string();
        assert_eq!(error, "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not");
    }
}
