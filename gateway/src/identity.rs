//! The state directory: the gateway's id, chosen once, and that only one gateway uses it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

const LOCK: &str = "lock";
const ID: &str = "gateway-id";

/// Who this gateway is; no other has the same as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    id: String,
    /// Held, never read: the lock goes with it.
    _lock: File,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("{operation} '{}'", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("--state-dir '{}' is in use by another gateway; each needs a directory of its own", .0.display())]
    InUse(PathBuf),
    #[error("'{}' is no id of a gateway: 32 lower-case hex digits; remove it to choose a new one", .0.display())]
    Unreadable(PathBuf),
}

impl Identity {
    /// Takes the directory, and chooses an id when it is used for the first time.
    ///
    /// # Errors
    /// When it cannot be made, read or written, or another gateway has it.
    pub(crate) fn open(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(ID);
        let error = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Io {
                operation,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(error("make directory", directory))?;
        let lock = File::create(directory.join(LOCK)).map_err(error("make the lock in", directory))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(IdentityError::InUse(directory.to_owned())),
            Err(errno) => return Err(error("lock", directory)(errno.into())),
        }
        let id = match fs::read_to_string(&path) {
            Ok(text) => parsed(&text).ok_or_else(|| IdentityError::Unreadable(path.clone()))?,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                let id = chosen().map_err(error("choose an id for", &path))?;
                written(directory, &path, &id).map_err(error("write", &path))?;
                id
            }
            Err(source) => return Err(error("read", &path)(source)),
        };
        Ok(Self { id, _lock: lock })
    }

    /// 32 lower-case hex digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

fn parsed(text: &str) -> Option<String> {
    let id = text.trim_end_matches('\n');
    let digits = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == 32 && digits).then(|| id.to_owned())
}

fn chosen() -> io::Result<String> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

/// A crash leaves the file whole or not there.
fn written(directory: &Path, path: &Path, id: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_keeps_its_id_and_shares_it_with_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::open(directory.path()).unwrap();
        let error = Identity::open(directory.path()).unwrap_err();
        assert!(matches!(error, IdentityError::InUse(_)), "{error}");
        let id = first.id().to_owned();
        assert_eq!(parsed(&id), Some(id.clone()));
        drop(first);
        assert_eq!(Identity::open(directory.path()).unwrap().id(), id);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::open(other.path()).unwrap().id(), id);
    }

    #[test]
    fn an_unreadable_id_is_not_replaced_in_silence() {
        for content in ["", "0123", "0123456789ABCDEF0123456789ABCDEF"] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(ID), content).unwrap();
            let error = Identity::open(directory.path()).unwrap_err();
            assert!(matches!(error, IdentityError::Unreadable(_)), "{error}");
        }
    }
}
