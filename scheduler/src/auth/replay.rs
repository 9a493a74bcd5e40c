//! Signatures of changes that were taken: the same request, sent again by whoever has seen it, is refused.
//!
//! Each scheduler remembers its own, for as long as a signature is good, and begins anew when it starts.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use berth_model::fault::{Fault, FaultClass};
use berth_model::time::Timestamp;

/// Signatures that are remembered: 16 bytes each, and a byte and some room in the table.
const MOST: usize = 3_500_000;
/// Signatures that end in the same minute are let go of together.
const MINUTE: i64 = 60_000;

/// What is known again of a signature: half of it cannot be hit by chance either.
type Mark = u128;

#[derive(Debug, Default)]
struct Seen {
    /// By the minute, since the epoch, in which they end.
    by_end: BTreeMap<i64, HashSet<Mark>>,
    count: usize,
}

/// The signatures.
#[derive(Debug)]
pub(super) struct Replays {
    seen: Mutex<Seen>,
    most: usize,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            most: MOST,
        }
    }
}

impl Replays {
    /// Notes a signature that is good until then.
    ///
    /// # Errors
    /// `ThrottlingException`, after which clients sign anew: it was noted before, or there is no room for more.
    pub(super) fn note(&self, signature: &[u8; 32], good_until: Timestamp, now: Timestamp) -> Result<(), Fault> {
        let throttled = |text: &str| Err(Fault::new(FaultClass::Throttling, text));
        let mut mark = [0; 16];
        mark.copy_from_slice(&signature[..16]);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now);
        let is_full = seen.count >= self.most;
        let same_end = seen
            .by_end
            .entry(good_until.as_millis().div_euclid(MINUTE))
            .or_default();
        let mark = Mark::from_le_bytes(mark);
        if same_end.contains(&mark) {
            return throttled(
                "This request was made before: a signature is good for one change. Sign the request again, a second later.",
            );
        }
        if is_full {
            return throttled("Rate exceeded: more signed changes were made in five minutes than can be told apart.");
        }
        same_end.insert(mark);
        seen.count += 1;
        Ok(())
    }
}

impl Seen {
    /// Lets go of those that are good no longer.
    fn forget(&mut self, now: Timestamp) {
        let minute = now.as_millis().div_euclid(MINUTE);
        while let Some(oldest) = self.by_end.first_entry().filter(|oldest| *oldest.key() < minute) {
            self.count -= oldest.remove().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_signature_is_taken_once_for_as_long_as_it_is_good() {
        let replays = Replays::default();
        let note = |byte: u8, good_until: i64, now: i64| replays.note(&[byte; 32], at(good_until), at(now));
        assert_eq!(note(1, 300_000, 0), Ok(()));
        assert_eq!(note(2, 300_000, 0), Ok(()));
        for now in [0, 150_000, 300_000] {
            let refused = note(1, 300_000, now).unwrap_err();
            assert!(refused.message.contains("made before"), "{refused}");
        }
        assert_eq!(note(3, 700_000, 400_000), Ok(()));
        let seen = replays.seen.lock().unwrap();
        assert_eq!((seen.count, seen.by_end.len()), (1, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let replays = Replays {
            most: 2,
            ..Replays::default()
        };
        let note = |byte: u8, now: i64| replays.note(&[byte; 32], at(now + 60_000), at(now));
        assert_eq!((note(1, 0), note(2, 0)), (Ok(()), Ok(())));
        let refused = note(3, 0).unwrap_err();
        assert!(refused.message.contains("Rate exceeded"), "{refused}");
        assert!(note(1, 0).unwrap_err().message.contains("made before"));
        assert_eq!(note(3, 120_000), Ok(()));
    }
}
