//! The state directory: whose it is, and that only one agent uses it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use berth_model::id::InstanceId;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::spool::{self, SpoolError};

const LOCK: &str = "lock";
const IDENTITY: &str = "instance.json";

/// A state directory that no other agent uses as long as this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    instance: InstanceId,
    /// Held, never read: the lock goes with it.
    _lock: File,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("{operation} '{}'", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("write the instance's identity")]
    Write(#[from] SpoolError),
    #[error("--state-dir '{}' is in use by another agent; each needs a directory of its own", .0.display())]
    InUse(PathBuf),
    #[error(
        "'{}' is no identity of an instance; remove it to join the cluster as a new instance",
        path.display()
    )]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error(
        "--state-dir '{}' is that of an instance of cluster '{was}', --cluster is '{is}'; give the other cluster a directory of its own",
        path.display()
    )]
    OtherCluster { path: PathBuf, was: String, is: String },
}

#[derive(Serialize, Deserialize)]
struct Identity {
    instance_id: InstanceId,
    cluster: String,
}

impl StateDir {
    /// Takes the directory, and chooses the instance's id when it is used for the first time.
    pub(crate) fn open(path: &Path, cluster: &str) -> Result<Self, StateError> {
        let io = |operation| {
            move |source| StateError::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("create directory"))?;
        let lock = File::create(path.join(LOCK)).map_err(io("create the lock in"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StateError::InUse(path.to_owned())),
            Err(error) => return Err(io("lock")(error.into())),
        }
        let instance = identity(path, cluster)?;
        Ok(Self {
            path: path.to_owned(),
            instance,
            _lock: lock,
        })
    }

    /// The instance that the directory belongs to.
    pub(crate) fn instance(&self) -> InstanceId {
        self.instance
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn identity(directory: &Path, cluster: &str) -> Result<InstanceId, StateError> {
    let path = directory.join(IDENTITY);
    let io = |operation, source| StateError::Io {
        operation,
        path: path.clone(),
        source,
    };
    match fs::read(&path) {
        Ok(content) => {
            let identity: Identity = serde_json::from_slice(&content).map_err(|source| StateError::Unreadable {
                path: path.clone(),
                source,
            })?;
            if identity.cluster != cluster {
                return Err(StateError::OtherCluster {
                    path: directory.to_owned(),
                    was: identity.cluster,
                    is: cluster.to_owned(),
                });
            }
            Ok(identity.instance_id)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bits = [0; 16];
            rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
                .map_err(|error| io("choose an id for", error.into()))?;
            let identity = Identity {
                instance_id: InstanceId::from_bits(u128::from_be_bytes(bits)),
                cluster: cluster.to_owned(),
            };
            let content = serde_json::to_vec(&identity).map_err(|error| io("write", error.into()))?;
            spool::replace(&path, &content)?;
            spool::sync_directory(directory)?;
            Ok(identity.instance_id)
        }
        Err(error) => Err(io("read", error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Opens a directory that nobody holds any more. A process that another test forks just now holds the lock with this
    /// one, until it runs its own program.
    fn open_again(directory: &Path, cluster: &str) -> Result<StateDir, StateError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match StateDir::open(directory, cluster) {
                Err(StateError::InUse(_)) if Instant::now() < deadline => std::thread::yield_now(),
                opened => return opened,
            }
        }
    }

    #[test]
    fn an_instance_keeps_its_id_and_its_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateDir::open(directory.path(), "prod").unwrap().instance();
        assert_eq!(open_again(directory.path(), "prod").unwrap().instance(), first);
        let error = open_again(directory.path(), "test").unwrap_err();
        assert!(matches!(error, StateError::OtherCluster { .. }), "{error}");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(StateDir::open(other.path(), "prod").unwrap().instance(), first);
    }

    #[test]
    fn two_agents_never_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateDir::open(directory.path(), "prod").unwrap();
        let error = StateDir::open(directory.path(), "prod").unwrap_err();
        assert!(matches!(error, StateError::InUse(_)), "{error}");
        drop(held);
        assert!(open_again(directory.path(), "prod").is_ok());
    }

    #[test]
    fn an_unreadable_identity_is_not_replaced_in_silence() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(IDENTITY), b"{").unwrap();
        let error = StateDir::open(directory.path(), "prod").unwrap_err();
        assert!(matches!(error, StateError::Unreadable { .. }), "{error}");
    }
}
