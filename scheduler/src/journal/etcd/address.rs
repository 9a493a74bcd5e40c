//! Where a journal in etcd is: `etcd://HOST:PORT,HOST:PORT/PREFIX?OPTION=VALUE&...`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use berth_etcd::{Credentials, Settings, Tls};

/// The port of etcd's clients.
const PORT: &str = "2379";
/// How long a call may take: etcd elects a new leader in less.
const DEADLINE: Duration = Duration::from_secs(3);

/// The address of a journal, with what is needed to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    endpoints: Vec<String>,
    /// What the keys begin with: a journal of its own for each.
    pub(super) prefix: String,
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    deadline: Duration,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin as it must.
    #[error("'{0}' is no journal: it must begin with etcd://")]
    Scheme(String),
    /// It names no host.
    #[error("'{0}' names no host of etcd")]
    Hosts(String),
    /// An option that there is not.
    #[error("there is no option '{0}'; there are ca, cert, key, user, password-file and deadline")]
    Option(String),
    /// An option that says nothing, or nothing that can be meant.
    #[error("{option}: {reason}")]
    Value {
        /// Which.
        option: &'static str,
        /// Why.
        reason: String,
    },
    /// A file that an option names cannot be read.
    #[error("{option}: cannot read {}: {reason}", path.display())]
    File {
        /// Which option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text
            .strip_prefix("etcd://")
            .ok_or_else(|| AddressError::Scheme(text.to_owned()))?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, prefix) = place.split_once('/').unwrap_or((place, ""));
        let endpoints: Vec<String> = hosts.split(',').map(endpoint).collect();
        if endpoints.iter().any(|endpoint| endpoint.starts_with(':')) {
            return Err(AddressError::Hosts(text.to_owned()));
        }
        let prefix = prefix.trim_matches('/');
        let mut address = Self {
            endpoints,
            prefix: if prefix.is_empty() { "berth" } else { prefix }.to_owned(),
            authorities: None,
            certificate: None,
            key: None,
            user: None,
            password_file: None,
            deadline: DEADLINE,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            address.set(name, value)?;
        }
        address.check()?;
        Ok(address)
    }
}

fn endpoint(host: &str) -> String {
    // An IPv6 address is in brackets, with its own colons inside.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{PORT}")
    }
}

impl Address {
    fn set(&mut self, name: &str, value: &str) -> Result<(), AddressError> {
        let path = || Some(PathBuf::from(value));
        match name {
            "ca" => self.authorities = path(),
            "cert" => self.certificate = path(),
            "key" => self.key = path(),
            "user" => self.user = Some(value.to_owned()),
            "password-file" => self.password_file = path(),
            "deadline" => {
                let seconds = value.parse().ok().filter(|seconds| (1..=60).contains(seconds));
                let seconds = seconds.ok_or_else(|| wrong("deadline", "seconds from 1 to 60 are meant"))?;
                self.deadline = Duration::from_secs(seconds);
            }
            unknown => return Err(AddressError::Option(unknown.to_owned())),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), AddressError> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err(wrong(
                "cert",
                "a certificate and its key go together: give cert and key",
            ));
        }
        if self.certificate.is_some() && self.authorities.is_none() {
            return Err(wrong("ca", "with a certificate the authorities are needed too"));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err(wrong(
                "user",
                "a user and a password go together: give user and password-file",
            ));
        }
        Ok(())
    }

    /// What a client needs, with the contents of all files.
    ///
    /// # Errors
    /// [`AddressError::File`].
    pub(super) fn settings(&self) -> Result<Settings, AddressError> {
        let optional = |option, path: &Option<PathBuf>| path.as_deref().map(|path| read(option, path)).transpose();
        let certificate = optional("cert", &self.certificate)?;
        let key = optional("key", &self.key)?;
        let tls = optional("ca", &self.authorities)?.map(|authorities| Tls {
            authorities,
            identity: certificate.zip(key),
        });
        let password = optional("password-file", &self.password_file)?;
        let credentials = self.user.clone().zip(password).map(|(user, password)| Credentials {
            user,
            password: String::from_utf8_lossy(&password).trim_end().to_owned(),
        });
        Ok(Settings {
            endpoints: self.endpoints.clone(),
            tls,
            credentials,
            deadline: self.deadline,
        })
    }
}

fn wrong(option: &'static str, reason: &str) -> AddressError {
    AddressError::Value {
        option,
        reason: reason.to_owned(),
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, AddressError> {
    std::fs::read(path).map_err(|error| AddressError::File {
        option,
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_get_the_usual_port_and_keys_the_usual_prefix() {
        let address = parsed("etcd://a,b:1234,[::1],[::2]:99");
        assert_eq!(address.endpoints, ["a:2379", "b:1234", "[::1]:2379", "[::2]:99"]);
        assert_eq!(address.prefix, "berth");
        assert_eq!(parsed("etcd://a/").prefix, "berth");
        assert_eq!(parsed("etcd://a/blue/one/").prefix, "blue/one");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, words) in [
            ("a:2379", "must begin with etcd://"),
            ("etcd://", "names no host"),
            ("etcd://a,,b", "names no host"),
            ("etcd://a/p?tls=yes", "no option 'tls'"),
            ("etcd://a/p?cert=/c&ca=/a", "give cert and key"),
            ("etcd://a/p?cert=/c&key=/k", "authorities"),
            ("etcd://a/p?user=u", "password-file"),
            ("etcd://a/p?deadline=0", "deadline: seconds"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn files_are_read_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let (ca, password) = (file("ca", "authority"), file("password", "secret\n"));
        let address = parsed(&format!("etcd://a/p?ca={ca}&user=u&password-file={password}"));
        let settings = address.settings().unwrap();
        assert_eq!(settings.tls.unwrap().authorities, b"authority");
        assert_eq!(settings.credentials.as_ref().unwrap().password, "secret");
        assert!(!format!("{:?}", settings.credentials).contains("secret"));
        let error = parsed("etcd://a/p?ca=/nowhere/ca").settings().unwrap_err().to_string();
        assert!(error.contains("ca: cannot read /nowhere/ca"), "{error}");
    }
}
