//! Whether an instance's agent is there, when several schedulers have streams of agents: who may say so.

use crate::keys::ReplicaId;

/// What is to be done about an instance's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// All is as it is known, or somebody else's to say.
    Nothing,
    /// The agent has moved to another scheduler since: the stream that is here is dead, or about to be.
    EndStream,
    /// Say that it is there, or not, in the name of the scheduler that has or had the stream.
    Say(bool, Option<ReplicaId>),
}

/// What the scheduler `own` (none where it is alone) does about a connection, of which the state says whether it is there
/// and `via` which scheduler. `is_here` tells whether the stream is here; none while it may be about to come back.
///
/// Each scheduler speaks of the streams that it has or had. Of those that a scheduler had which is gone, any may.
#[must_use]
pub fn correction(
    own: Option<ReplicaId>,
    (connected, via): (bool, Option<ReplicaId>),
    is_here: Option<bool>,
    is_gone: impl Fn(ReplicaId) -> bool,
) -> Correction {
    let Some(is_here) = is_here else {
        return Correction::Nothing;
    };
    let elsewhere = via.filter(|via| own != Some(*via)).filter(|other| !is_gone(*other));
    match (is_here, connected, elsewhere) {
        (true, true, Some(_)) => Correction::EndStream,
        (true, true, None) if via == own => Correction::Nothing,
        (true, _, _) => Correction::Say(true, own),
        (false, true, Some(_)) | (false, false, _) => Correction::Nothing,
        (false, true, None) => Correction::Say(false, via),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Option<ReplicaId> = Some(ReplicaId(1));
    const THEIRS: Option<ReplicaId> = Some(ReplicaId(2));

    #[test]
    fn each_scheduler_speaks_of_its_own_streams_and_ends_those_that_have_moved() {
        for (known, is_here, expected) in [
            // Ours, and as it is known.
            ((true, OURS), Some(true), Correction::Nothing),
            ((false, OURS), Some(false), Correction::Nothing),
            // Ours, and otherwise than it is known.
            ((false, OURS), Some(true), Correction::Say(true, OURS)),
            ((true, OURS), Some(false), Correction::Say(false, OURS)),
            ((true, OURS), None, Correction::Nothing),
            // From the time when there was one scheduler.
            ((true, None), Some(true), Correction::Say(true, OURS)),
            ((true, None), Some(false), Correction::Say(false, None)),
            // Another's that is there.
            ((true, THEIRS), Some(false), Correction::Nothing),
            ((true, THEIRS), Some(true), Correction::EndStream),
            ((false, THEIRS), Some(true), Correction::Say(true, OURS)),
        ] {
            let said = correction(OURS, known, is_here, |_| false);
            assert_eq!(said, expected, "{known:?} {is_here:?}");
        }
    }

    #[test]
    fn of_a_scheduler_that_is_gone_any_may_speak() {
        for (is_here, expected) in [
            (false, Correction::Say(false, THEIRS)),
            (true, Correction::Say(true, OURS)),
        ] {
            let said = correction(OURS, (true, THEIRS), Some(is_here), |other| Some(other) == THEIRS);
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_scheduler_that_is_alone_speaks_of_all() {
        for (known, is_here, expected) in [
            ((true, None), true, Correction::Nothing),
            ((true, None), false, Correction::Say(false, None)),
            ((false, None), true, Correction::Say(true, None)),
            ((true, THEIRS), true, Correction::Say(true, None)),
        ] {
            assert_eq!(
                correction(None, known, Some(is_here), |_| true),
                expected,
                "{known:?} {is_here}"
            );
        }
    }
}
