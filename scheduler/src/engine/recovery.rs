//! From the journal to a state, and from a state to a snapshot.

use berth_scheduler_core::change::Record;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::snapshot::{Piece, Restoration, pieces};
use berth_scheduler_core::state::State;

use crate::journal::{Found, Journal, JournalError, Snapshot};

/// Bytes of one chunk of a snapshot, about.
const CHUNK: usize = 256 * 1024;
const READ_AT_ONCE: usize = 256;

/// Why the journal does not give a state.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// A record is not what this build understands.
    #[error("record {revision} of the journal cannot be understood: {reason}")]
    Record {
        /// Which.
        revision: Revision,
        /// Why.
        reason: String,
    },
    /// The snapshot is not what this build understands.
    #[error("the snapshot at {revision} cannot be understood: {reason}")]
    Snapshot {
        /// Which.
        revision: Revision,
        /// Why.
        reason: String,
    },
    /// The state is of before what the journal keeps.
    #[error("the journal does not know the state at revision {wanted} any more: the oldest that it keeps is {oldest}")]
    TooOld {
        /// The revision that was asked for.
        wanted: Revision,
        /// The oldest whose state can be had.
        oldest: Revision,
    },
    /// The revision is not there yet.
    #[error("revision {wanted} is not in the journal yet: its newest is {head}")]
    NotYet {
        /// The revision that was asked for.
        wanted: Revision,
        /// The newest.
        head: Revision,
    },
    /// A record is missing.
    #[error("the journal has a gap: record {expected} should follow, {found} does")]
    Gap {
        /// The revision that should come.
        expected: Revision,
        /// The one that comes.
        found: Revision,
    },
}

/// The state that the journal adds up to: the newest snapshot and all records after it.
///
/// # Errors
/// [`RecoveryError`]: the scheduler must not start on a state that is not whole.
pub async fn recover(journal: &impl Journal) -> Result<State, RecoveryError> {
    Ok(recover_measured(journal).await?.0)
}

/// As [`recover`], with the bytes of the records after the snapshot.
///
/// # Errors
/// As [`recover`].
pub async fn recover_measured(journal: &impl Journal) -> Result<(State, u64), RecoveryError> {
    let mut state = begin(journal.latest_snapshot().await?)?;
    let mut bytes = 0;
    loop {
        match advance(journal, &mut state, READ_AT_ONCE).await? {
            Advanced::By(0) => return Ok((state, bytes)),
            Advanced::By(read) => bytes += read,
            Advanced::Compacted { oldest } => {
                return Err(RecoveryError::Gap {
                    expected: state.revision().next(),
                    found: oldest,
                });
            }
        }
    }
}

/// The state as it was at a revision: the newest snapshot until then and the records between.
///
/// # Errors
/// [`RecoveryError::TooOld`] where the journal does not keep what that takes any more, [`RecoveryError::NotYet`] where
/// it has not come, and as [`recover`].
pub async fn recover_at(journal: &impl Journal, at: Revision) -> Result<State, RecoveryError> {
    let mut state = begin(journal.snapshot_before(at).await?)?;
    while state.revision() < at {
        let behind = usize::try_from(at.0 - state.revision().0).unwrap_or(usize::MAX);
        match advance(journal, &mut state, behind.min(READ_AT_ONCE)).await? {
            Advanced::By(0) => {
                return Err(RecoveryError::NotYet {
                    wanted: at,
                    head: state.revision(),
                });
            }
            Advanced::By(_) => {}
            Advanced::Compacted { oldest } => {
                let kept = journal.snapshots().await?;
                return Err(RecoveryError::TooOld {
                    wanted: at,
                    oldest: kept.first().map_or(oldest, |oldest| oldest.revision),
                });
            }
        }
    }
    Ok(state)
}

/// The state that a snapshot holds, or the empty one that all begins with.
fn begin(snapshot: Option<Snapshot>) -> Result<State, RecoveryError> {
    snapshot.map_or_else(
        || Ok(State::default()),
        |snapshot| restore(snapshot.revision, &snapshot.chunks),
    )
}

/// How far a state was brought.
enum Advanced {
    /// By so many bytes of records; by none at the journal's end.
    By(u64),
    /// Not at all: the records that follow were truncated.
    Compacted { oldest: Revision },
}

/// Brings the state forward by up to so many records.
async fn advance(journal: &impl Journal, state: &mut State, records: usize) -> Result<Advanced, RecoveryError> {
    let records = match journal.read(state.revision().next(), records).await? {
        Found::Compacted { oldest } => return Ok(Advanced::Compacted { oldest }),
        Found::Records(records) => records,
    };
    let mut read = 0;
    for (revision, bytes) in records {
        follows(state.revision(), revision)?;
        fold_record(state, &decode(revision, &bytes)?);
        read += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }
    Ok(Advanced::By(read))
}

/// Whether the record is the one after the newest.
pub(super) fn follows(newest: Revision, found: Revision) -> Result<(), RecoveryError> {
    let expected = newest.next();
    if found == expected {
        Ok(())
    } else {
        Err(RecoveryError::Gap { expected, found })
    }
}

/// The record in the bytes, if this build knows its format.
pub(crate) fn decode(revision: Revision, bytes: &[u8]) -> Result<Record, RecoveryError> {
    let wrong = |reason: String| RecoveryError::Record { revision, reason };
    let record: Record = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    if record.v != Record::FORMAT || record.revision != revision {
        return Err(wrong(format!(
            "it is revision {} in format {}, this build reads format {}",
            record.revision,
            record.v,
            Record::FORMAT
        )));
    }
    Ok(record)
}

/// The state that a snapshot holds.
pub(crate) fn restore(revision: Revision, chunks: &[Vec<u8>]) -> Result<State, RecoveryError> {
    let mut restoration = Restoration::default();
    for chunk in chunks {
        for piece in serde_json::Deserializer::from_slice(chunk).into_iter::<Piece>() {
            let piece = piece.map_err(|error| RecoveryError::Snapshot {
                revision,
                reason: error.to_string(),
            })?;
            restoration.add(piece);
        }
    }
    Ok(restoration.finish(revision))
}

/// Puts the state into the journal as its newest snapshot, `behind` bytes of records after the one before it; gives its
/// size in bytes.
///
/// # Errors
/// The journal's.
pub async fn write_snapshot(journal: &impl Journal, state: &State, behind: u64) -> Result<usize, JournalError> {
    let mut size = 0;
    let chunks = chunks(state).inspect(|chunk| size += chunk.len());
    journal.put_snapshot(state.revision(), behind, chunks).await?;
    Ok(size)
}

/// The chunks of a snapshot of the state.
pub(crate) fn chunks(state: &State) -> impl Iterator<Item = Vec<u8>> + Send {
    let mut pieces = pieces(state);
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let Some(piece) = pieces.next() else { break };
            write_piece(&mut chunk, &piece);
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[expect(clippy::expect_used, reason = "plain data with string keys always has a JSON form")]
fn write_piece(chunk: &mut Vec<u8>, piece: &Piece) {
    serde_json::to_writer(&mut *chunk, piece).expect("a piece has a JSON form");
    chunk.push(b'\n');
}
