//! The file of the operator's master keys.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use berth_signature::secret::{MASTER_SIZE, MasterError, MasterKey, MasterKeys};

/// The file in a data directory where nothing else is said.
const FILE: &str = "master.key";
/// Bytes of a file: thousands of keys.
const LONGEST: u64 = 256 * 1024;

/// Why there are no master keys.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read.
    #[error("cannot read the master key in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be, and says something else.
    #[error("{} is no file of master keys", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MasterError,
    },
    /// There is none, and none can be made.
    #[error("cannot make a master key in {}", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The master keys of the file that was named; else of that in the data directory, which is made where it is missing.
///
/// # Errors
/// [`MasterKeyError`].
pub fn find(named: Option<&Path>, data_dir: &Path) -> Result<MasterKeys, MasterKeyError> {
    if let Some(path) = named {
        return read(path);
    }
    let path = data_dir.join(FILE);
    match read(&path) {
        Err(MasterKeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(&path).map_err(|source| MasterKeyError::Make {
                path: path.clone(),
                source,
            })?;
            tracing::info!(path = %path.display(), "master key made");
            read(&path)
        }
        found => found,
    }
}

fn read(path: &Path) -> Result<MasterKeys, MasterKeyError> {
    let failed = |source| MasterKeyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "everybody on this host may read the master key");
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    MasterKeys::parse(&text).map_err(|source| MasterKeyError::Content {
        path: path.to_owned(),
        source,
    })
}

/// Makes the file with a new key, whole or not at all.
fn make(path: &Path) -> io::Result<()> {
    let mut bytes = [0; MASTER_SIZE];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let unfinished = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    // Where it was left behind with other permissions.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(MasterKey::from_bytes(bytes).to_line().as_bytes())?;
    file.sync_all()?;
    // Of two that start at once on one directory the journal's lock has let one through.
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let keys = find(None, directory.path()).unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(find(None, directory.path()).unwrap(), keys);
        assert_eq!(find(Some(&path), Path::new("/nonexistent")).unwrap(), keys);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(find(None, other.path()).unwrap(), keys);
    }

    #[test]
    fn a_file_that_was_named_must_be_there_and_have_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("named");
        let missing = find(Some(&path), directory.path()).unwrap_err();
        assert!(
            missing.to_string().starts_with("cannot read the master key in "),
            "{missing}"
        );
        std::fs::write(&path, "hunter2\n").unwrap();
        let wrong = find(Some(&path), directory.path()).unwrap_err();
        assert!(matches!(wrong, MasterKeyError::Content { .. }), "{wrong}");
        assert!(!format!("{:#}", anyhow::Error::new(wrong)).contains("hunter2"));
    }
}
