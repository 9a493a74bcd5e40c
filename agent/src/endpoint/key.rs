//! The key from which follow the names under which tasks ask: unguessable, and the same after every restart.

use std::fs;
use std::io;
use std::path::Path;

use berth_agent_core::context::Access;
use berth_model::id::TaskId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::spool::{self, SpoolError};

const FILE: &str = "endpoint.key";
const LENGTH: usize = 32;

/// The key of one instance.
#[derive(Clone)]
pub(crate) struct Key([u8; LENGTH]);

/// The key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("read the key of the tasks' endpoint")]
    Read(#[source] io::Error),
    #[error("'{FILE}' in the state directory has {0} bytes, a key has {LENGTH}; remove it to have a new one made")]
    Length(usize),
    #[error("draw a key for the tasks' endpoint")]
    Draw(#[source] io::Error),
    #[error("keep the key of the tasks' endpoint")]
    Write(#[from] SpoolError),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key of the state directory, drawn when there is none yet.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, KeyError> {
        let path = state_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let key = <[u8; LENGTH]>::try_from(bytes).map_err(|bytes| KeyError::Length(bytes.len()))?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; LENGTH];
                rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
                    .map_err(|error| KeyError::Draw(error.into()))?;
                spool::replace(&path, &key)?;
                spool::sync_directory(state_dir)?;
                Ok(Self(key))
            }
            Err(error) => Err(KeyError::Read(error)),
        }
    }

    /// The names under which the task asks.
    pub(crate) fn access(&self, task: TaskId) -> Access {
        let credentials = self.derive("credentials", task);
        Access {
            metadata: format!("{:032x}", self.derive("metadata", task)),
            credentials: format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                credentials >> 96,
                (credentials >> 80) & 0xffff,
                (credentials >> 64) & 0xffff,
                (credentials >> 48) & 0xffff,
                credentials & 0xffff_ffff_ffff
            ),
        }
    }

    /// What this agent alone knows.
    pub(super) fn nonce(&self) -> String {
        format!("{:032x}", self.derive("nonce", TaskId::from_bits(0)))
    }

    fn derive(&self, purpose: &str, task: TaskId) -> u128 {
        // A key of a fixed length is never refused.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return 0;
        };
        mac.update(purpose.as_bytes());
        mac.update(&task.to_bits().to_be_bytes());
        let digest = mac.finalize().into_bytes();
        digest
            .iter()
            .take(16)
            .fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_same_after_a_restart_and_differ_by_task_and_instance() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (TaskId::from_bits(1), TaskId::from_bits(2));
        let access = Key::open(directory.path()).unwrap().access(one);
        assert_eq!(Key::open(directory.path()).unwrap().access(one), access);
        let other = Key::open(directory.path()).unwrap().access(two);
        assert!(access.metadata != other.metadata && access.credentials != other.credentials);
        assert_ne!(access.metadata, access.credentials.replace('-', ""));
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(Key::open(elsewhere.path()).unwrap().access(one), access);
        assert_eq!((access.metadata.len(), access.credentials.len()), (32, 36));
    }

    #[test]
    fn a_key_that_is_none_is_not_replaced_in_silence() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), b"short").unwrap();
        let error = Key::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("has 5 bytes"), "{error}");
    }
}
