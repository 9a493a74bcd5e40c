//! One call: the state that it sees, and the revision that its answer names.
//!
//! A read sees one state from its beginning to its end: the newest, or that of the revision or time that the caller asks
//! for. A change is always made to the newest.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::time::Timestamp;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;

use super::Api;
use crate::clock;

/// The request header, and the gRPC metadata, that asks for the state of then.
pub(super) const AT: &str = "berth-at";
/// The header, and the metadata, of every answer: which revision it is of.
pub(super) const REVISION: &str = "berth-revision";

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The state that a record made.
    Revision(Revision),
    /// The state as it was then.
    Time(Timestamp),
}

/// The state that a call sees.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    state: Arc<State>,
    /// What was asked for; none where that is how it is now.
    at: Option<At>,
}

impl At {
    /// Reads the value of the header, where there is one.
    pub(super) fn read(value: Option<&[u8]>) -> Result<Option<Self>, Fault> {
        let Some(value) = value else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(value);
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let at = match is_number {
            true => text.parse().ok().map(|number| Self::Revision(Revision(number))),
            false => Timestamp::from_rfc3339(&text).map(Self::Time),
        };
        at.map(Some).ok_or_else(|| {
            Fault::invalid(format!(
                "{AT} '{text}' should be a revision, such as 1234, or a time as in RFC 3339, such as 2026-11-21T06:30:00Z."
            ))
        })
    }
}

impl Api {
    /// The API as a read sees it.
    pub(super) async fn read(&self, at: Option<At>) -> Result<Self, Fault> {
        let state = match at {
            None => {
                let state = self.engine.view();
                self.past.note(&state);
                state
            }
            Some(At::Revision(revision)) => self.past.at(revision).await?,
            Some(At::Time(time)) => self.past.at(self.past.revision_at(time).await?).await?,
        };
        Ok(self.seeing(Moment { state, at }))
    }

    /// The API as a change sees it, whose answer describes what it has made.
    ///
    /// # Errors
    /// `InvalidParameterException` where it is asked to be made in the past.
    pub(super) fn write(&self, operation: &str, at: Option<At>) -> Result<&Self, Fault> {
        match at {
            None => Ok(self),
            Some(_) => Err(Fault::invalid(format!(
                "{operation} makes a change, and what was cannot be changed: leave {AT} out."
            ))),
        }
    }

    /// The API as a read sees it that tells what is not in the journal.
    ///
    /// # Errors
    /// `InvalidParameterException` where the past is asked for.
    pub(super) async fn only_now(&self, operation: &str, what: &str, at: Option<At>) -> Result<Self, Fault> {
        match at {
            None => self.read(None).await,
            Some(_) => Err(Fault::invalid(format!(
                "{operation}: {what} not in the journal, so that only those of now are known: leave {AT} out."
            ))),
        }
    }

    fn seeing(&self, moment: Moment) -> Self {
        Self {
            moment: Some(moment),
            ..self.clone()
        }
    }

    /// The state that the call sees.
    pub(super) fn view(&self) -> Arc<State> {
        match &self.moment {
            Some(moment) => Arc::clone(&moment.state),
            None => self.engine.view(),
        }
    }

    /// Whether the call asks for the past, of which only is known what is in the journal.
    pub(super) fn is_past(&self) -> bool {
        self.moment.as_ref().is_some_and(|moment| moment.at.is_some())
    }

    /// When it is, as the call sees it.
    pub(super) async fn time(&self) -> Result<Timestamp, Fault> {
        match self.moment.as_ref().and_then(|moment| moment.at) {
            None => Ok(clock::now()),
            Some(At::Time(time)) => Ok(time),
            Some(At::Revision(revision)) => self.past.time_of(revision).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_revision_or_a_time() {
        let read = |text: &str| At::read(Some(text.as_bytes()));
        assert_eq!(At::read(None), Ok(None));
        assert_eq!(read("1234"), Ok(Some(At::Revision(Revision(1234)))));
        assert_eq!(
            read("1970-01-01T01:00:01+01:00"),
            Ok(Some(At::Time(Timestamp::from_millis(1000))))
        );
        for wrong in ["", "-1", "1.5", "yesterday", "99999999999999999999", "2026-11-21"] {
            let fault = read(wrong).unwrap_err();
            assert!(fault.message.starts_with(&format!("berth-at '{wrong}' ")), "{fault}");
        }
        assert!(At::read(Some(b"\xff")).is_err());
    }
}
