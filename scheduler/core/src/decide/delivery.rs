//! How far receivers of events have been told what happened.

use std::sync::Arc;

use berth_model::fault::Fault;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::event::Position;
use crate::state::State;

/// Begins to tell a receiver what happens from now on, unless that was begun before.
#[derive(Debug, Clone)]
pub struct BeginDelivery {
    /// By what the receiver is known.
    pub receiver: Arc<str>,
}

/// Remembers that a receiver has been told.
#[derive(Debug, Clone)]
pub struct RecordDelivery {
    /// By what the receiver is known.
    pub receiver: Arc<str>,
    /// Behind what it was told.
    pub position: Position,
}

impl Command for BeginDelivery {
    /// Behind what it was told.
    type Outcome = Position;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<Position>, Fault> {
        if let Some(known) = state.delivered(&self.receiver) {
            return Ok(Decision::unchanged(known));
        }
        let now = Position::from(state.revision());
        Ok(Decision {
            changes: vec![delivered(&self.receiver, now)],
            outcome: now,
        })
    }
}

impl Command for RecordDelivery {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        // Who has taken over from another scheduler may be further than that one knows.
        if state
            .delivered(&self.receiver)
            .is_some_and(|known| known >= self.position)
        {
            return Ok(Decision::unchanged(()));
        }
        Ok(Decision {
            changes: vec![delivered(&self.receiver, self.position)],
            outcome: (),
        })
    }
}

fn delivered(receiver: &Arc<str>, position: Position) -> Change {
    Change::EventsDelivered {
        receiver: Arc::clone(receiver),
        position,
    }
}

#[cfg(test)]
mod tests {
    use berth_model::time::Timestamp;

    use super::*;
    use crate::change::{Entry, Record};
    use crate::command::Memory;
    use crate::fold::fold_record;
    use crate::keys::Revision;
    use crate::snapshot::{Restoration, pieces};

    fn submit<C: Command>(state: &mut State, command: &C) -> (C::Outcome, bool) {
        let mut memory = Memory::default();
        let at = Timestamp::from_millis(1);
        let decision = command.decide(state, &mut Env::new(at, 1, &mut memory)).unwrap();
        let changed = !decision.changes.is_empty();
        let entry = Entry {
            at,
            by: "test".into(),
            changes: decision.changes,
        };
        let record = Record {
            v: Record::FORMAT,
            revision: state.revision().next(),
            entries: vec![entry],
        };
        fold_record(state, &record);
        (decision.outcome, changed)
    }

    #[test]
    fn a_receiver_is_told_from_its_first_start_on_and_never_goes_back() {
        let mut state = State::default();
        let receiver: Arc<str> = "hook".into();
        let begin = BeginDelivery {
            receiver: Arc::clone(&receiver),
        };
        let record = |text: &str| RecordDelivery {
            receiver: Arc::clone(&receiver),
            position: text.parse().unwrap(),
        };
        let other = BeginDelivery {
            receiver: "other".into(),
        };
        assert_eq!(submit(&mut state, &other), (Revision(0).into(), true));
        assert_eq!(submit(&mut state, &begin), (Revision(1).into(), true));
        assert_eq!(submit(&mut state, &begin), (Revision(1).into(), false));
        for (told, changes, known) in [("7.2", true, "7.2"), ("7.1", false, "7.2"), ("7", true, "7")] {
            assert_eq!(submit(&mut state, &record(told)).1, changes, "{told}");
            assert_eq!(state.delivered(&receiver), known.parse().ok());
        }
        let mut restored = Restoration::default();
        for piece in pieces(&state) {
            let text = serde_json::to_string(&piece).unwrap();
            restored.add(serde_json::from_str(&text).unwrap());
        }
        assert_eq!(restored.finish(state.revision()), state);
    }
}
