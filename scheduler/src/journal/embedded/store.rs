//! The file, with what goes wrong in it told as a journal tells it.
//!
//! redb takes for granted what it has written, and panics on much of what is damaged. Nothing of that leaves this module.

use std::cell::Cell;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, StorageError, WriteTransaction};

use super::super::JournalError;

/// Bytes of the file that are kept in memory, read or yet to be written; redb takes a gigabyte where nothing is said. What
/// is appended is hardly ever read again, and a start reads everything once.
const CACHE: usize = 64 * 1024 * 1024;

/// An open file.
#[derive(Debug)]
pub(super) struct Store {
    /// The file, in messages.
    name: String,
    /// There until it is dropped.
    database: Option<Database>,
}

/// Why work on the file was not done.
#[derive(Debug)]
pub(super) enum Failure {
    Redb(redb::Error),
    Journal(JournalError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Failure {
    fn tell(self, name: &str, otherwise: impl FnOnce(redb::Error) -> JournalError) -> JournalError {
        match self {
            Self::Journal(error) => error,
            Self::Redb(redb::Error::Corrupted(found)) => damaged(name, WHOLE, found),
            // None was ever written in another.
            Self::Redb(redb::Error::UpgradeRequired(format)) => damaged(name, WHOLE, format!("redb's format {format}")),
            Self::Redb(redb::Error::Io(error))
                if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                damaged(name, WHOLE, error.to_string())
            }
            Self::Redb(error) => otherwise(error),
        }
    }
}

/// What should be in a file.
const WHOLE: &str = "what redb has written";

/// The file as a whole is not what it was.
pub(super) fn damaged(name: &str, expected: impl Into<String>, found: impl Into<String>) -> JournalError {
    JournalError::Damaged {
        what: "the journal".to_owned(),
        lies: name.to_owned(),
        expected: expected.into(),
        found: found.into(),
    }
}

impl Store {
    /// Opens the file, or makes an empty one, `prepare`d, where there is none: at no moment is there half a one.
    pub(super) fn open<T>(
        path: &Path,
        prepare: impl Fn(&Self) -> Result<T, JournalError>,
    ) -> Result<(Self, T), JournalError> {
        let name = path.display().to_string();
        let failed = |source: std::io::Error| JournalError::Open {
            path: name.clone(),
            source: source.into(),
        };
        if path.try_exists().map_err(failed)? {
            // redb would begin anew in it.
            if path.metadata().map_err(failed)?.len() == 0 {
                return Err(damaged(&name, "a journal", "an empty file"));
            }
            let store = Self::begin(path, &name)?;
            let prepared = prepare(&store)?;
            return Ok((store, prepared));
        }
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = Path::new(&new);
        // One that was begun when the process ended has nothing in it.
        match std::fs::remove_file(new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let store = Self::begin(new, &name)?;
        let prepared = prepare(&store)?;
        std::fs::rename(new, path).map_err(failed)?;
        sync_directory_of(path).map_err(failed)?;
        Ok((store, prepared))
    }

    fn begin(path: &Path, name: &str) -> Result<Self, JournalError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let file = name.to_owned();
        builder.set_repair_callback(move |session| {
            // The first of three scans has ended, and not well.
            if (0.2..0.5).contains(&session.progress()) {
                tracing::warn!(
                    journal = file,
                    "the last commit is not whole: power was lost while it was written, or it is damaged. It is left out"
                );
            }
        });
        let database = guarded(|| builder.create(path).map_err(Failure::from));
        let database = database.map_err(|failure| {
            failure.tell(name, |source| JournalError::Open {
                path: name.to_owned(),
                source: source.into(),
            })
        })?;
        Ok(Self::on(database, name))
    }

    pub(super) fn on(database: Database, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            database: Some(database),
        }
    }

    /// The file, in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads at one moment.
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, JournalError> {
        self.work(operation, |database| work(&database.begin_read()?))
    }

    /// Writes all of it or nothing.
    pub(super) fn write<T>(
        &self,
        operation: &'static str,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, JournalError> {
        self.work(operation, |database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(durability)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    fn work<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, JournalError> {
        let Some(database) = &self.database else {
            return Err(JournalError::Closed);
        };
        guarded(|| work(database)).map_err(|failure| {
            failure.tell(&self.name, |source| JournalError::Storage {
                operation,
                source: source.into(),
            })
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let closed = guarded(|| {
            drop(self.database.take());
            Ok(())
        });
        if let Err(failure) = closed {
            tracing::debug!(journal = self.name, ?failure, "not closed in good order");
        }
    }
}

/// Makes a new name in a directory durable.
pub(super) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

thread_local! {
    /// Whether a panic on this thread is expected and told as an error.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Does what panics when the file is damaged: that is an error, and nothing is printed.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                before(panic);
            }
        }));
    });
    let outer = EXPECTED.replace(true);
    // What a panic leaves behind is the file's own business: its locks stay poisoned, and what comes then fails too.
    let done = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(outer);
    done.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(StorageError::Corrupted(said.unwrap_or("nothing that it can read").to_owned()).into())
    })
}
