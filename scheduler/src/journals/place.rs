//! Where a journal is.

use std::path::PathBuf;
use std::str::FromStr;

use crate::journal::etcd::{Address, AddressError};

/// The file of a journal in a data directory.
pub(crate) const FILE: &str = "journal.redb";

/// Where a journal is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, or the directory that it lies in.
    File(PathBuf),
    /// In etcd.
    Etcd(Address),
    /// With the scheduler at this address.
    Scheduler(String),
}

impl FromStr for Place {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("etcd://") {
            return text.parse().map(Self::Etcd);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Scheduler(text.to_owned()));
        }
        Ok(Self::File(PathBuf::from(text)))
    }
}

/// The file that is meant by a path.
pub(super) fn of_directory(path: PathBuf) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_it_begins_with() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        for url in ["http://a:7700", "https://a:7700"] {
            assert_eq!(place(url), Place::Scheduler(url.to_owned()));
        }
        assert_eq!(place("/var/lib/x"), Place::File("/var/lib/x".into()));
        assert!(matches!(place("etcd://a/b"), Place::Etcd(_)));
        assert!("etcd://a/b?what=1".parse::<Place>().is_err());
    }
}
