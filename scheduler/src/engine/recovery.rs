//! From the journal to a state, and from a state to a snapshot.

use berth_scheduler_core::change::Record;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::snapshot::{Piece, Restoration, pieces};
use berth_scheduler_core::state::State;

use crate::journal::{Found, Journal, JournalError};

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
    let mut state = match journal.latest_snapshot().await? {
        None => State::default(),
        Some(snapshot) => restore(snapshot.revision, &snapshot.chunks)?,
    };
    loop {
        let from = state.revision().next();
        match journal.read(from, READ_AT_ONCE).await? {
            Found::Compacted { oldest } => {
                return Err(RecoveryError::Gap {
                    expected: from,
                    found: oldest,
                });
            }
            Found::Records(records) if records.is_empty() => return Ok(state),
            Found::Records(records) => {
                for (revision, bytes) in records {
                    follows(state.revision(), revision)?;
                    fold_record(&mut state, &decode(revision, &bytes)?);
                }
            }
        }
    }
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
pub(super) fn decode(revision: Revision, bytes: &[u8]) -> Result<Record, RecoveryError> {
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

fn restore(revision: Revision, chunks: &[Vec<u8>]) -> Result<State, RecoveryError> {
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

/// Puts the state into the journal as its newest snapshot; gives its size in bytes.
///
/// # Errors
/// The journal's.
pub async fn write_snapshot(journal: &impl Journal, state: &State) -> Result<usize, JournalError> {
    let mut size = 0;
    let mut pieces = pieces(state);
    let chunks = std::iter::from_fn(|| {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let Some(piece) = pieces.next() else { break };
            write_piece(&mut chunk, &piece);
        }
        size += chunk.len();
        (!chunk.is_empty()).then_some(chunk)
    });
    journal.put_snapshot(state.revision(), chunks).await?;
    Ok(size)
}

#[expect(clippy::expect_used, reason = "plain data with string keys always has a JSON form")]
fn write_piece(chunk: &mut Vec<u8>, piece: &Piece) {
    serde_json::to_writer(&mut *chunk, piece).expect("a piece has a JSON form");
    chunk.push(b'\n');
}
