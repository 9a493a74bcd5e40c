//! How an effect failed, and how ECS words it.

use berth_model::time::Timestamp;
use std::time::Duration;

/// Longest reason that ECS reports, in characters.
const LONGEST_REASON: usize = 1024;
/// The first pause after an attempt that may be repeated.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between attempts.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between looks whether a port is free.
const LONGEST_PORT_PAUSE: Duration = Duration::from_secs(15);

/// What is certain after an effect failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Docker said no: the effect did not happen and will not.
    Refused,
    /// Docker has no such container, image or volume; for the effect, a refusal.
    NotFound,
    /// Docker tried and failed: another try may succeed.
    Faltered,
    /// A port of the host that the container must have is taken: the effect did not happen, and will once it is free.
    PortTaken,
    /// Our deadline passed: the effect may have happened, or may yet.
    TimedOut,
    /// Docker could not be reached, or the connection broke: the effect may have happened.
    Lost,
    /// What the container needs of the host could not be had, so Docker was not asked.
    Unprepared,
}

/// An effect that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What is certain.
    pub kind: FailureKind,
    /// Docker's words, or what was waited for.
    pub message: String,
}

impl Failure {
    /// A failure of the kind.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The names under which ECS reports errors of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorName {
    CannotPull,
    CannotCreate,
    CannotStart,
    DockerTimeout,
    ResourceInitialization,
    OutOfMemory,
    Vanished,
    Dependency,
    DockerState,
}

impl ErrorName {
    const fn text(self) -> &'static str {
        match self {
            Self::CannotPull => "CannotPullContainerError",
            Self::CannotCreate => "CannotCreateContainerError",
            Self::CannotStart => "CannotStartContainerError",
            Self::DockerTimeout => "DockerTimeoutError",
            Self::ResourceInitialization => "ResourceInitializationError",
            Self::OutOfMemory => "OutOfMemoryError",
            Self::Vanished => "ContainerVanishedError",
            Self::Dependency => "TaskDependencyError",
            Self::DockerState => "DockerStateError",
        }
    }

    /// The reason as ECS reports it: the name, a colon and the words.
    pub(crate) fn reason(self, words: &str) -> String {
        cut(&format!("{}: {words}", self.text()))
    }
}

/// The reason of a failed effect: a timeout has a name of its own, and so has what failed before Docker was asked.
pub(crate) fn reason(name: ErrorName, failure: &Failure) -> String {
    match failure.kind {
        FailureKind::TimedOut => ErrorName::DockerTimeout.reason(&failure.message),
        FailureKind::Unprepared => ErrorName::ResourceInitialization.reason(&failure.message),
        FailureKind::Refused
        | FailureKind::NotFound
        | FailureKind::Faltered
        | FailureKind::PortTaken
        | FailureKind::Lost => name.reason(&failure.message),
    }
}

/// The text, cut where ECS cuts reasons.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

/// When to try again after so many attempts: 1 s, 2 s, 4 s ... 30 s.
pub(crate) fn next_try(attempts: u32, now: Timestamp) -> Timestamp {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1).min(10));
    now + FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

/// When to ask for a port again after so many attempts: 1 s, 2 s, 4 s ... 15 s.
pub(crate) fn next_port_try(attempts: u32, now: Timestamp) -> Timestamp {
    next_try(attempts, now).min(now + LONGEST_PORT_PAUSE)
}

/// Whether the time has come. A time that lies further ahead than any pause is due too: the host's clock went back.
pub(crate) fn due(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_none_or(|at| at <= now || at.since(now) > LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_and_timeouts_named() {
        let long = Failure::new(FailureKind::Refused, "ä".repeat(2000));
        assert_eq!(reason(ErrorName::CannotPull, &long).chars().count(), 1024);
        let late = Failure::new(FailureKind::TimedOut, "no answer to create within 240 s");
        assert_eq!(
            reason(ErrorName::CannotCreate, &late),
            "DockerTimeoutError: no answer to create within 240 s"
        );
        let missing = Failure::new(FailureKind::Unprepared, "no secret 'db'");
        assert_eq!(
            reason(ErrorName::CannotCreate, &missing),
            "ResourceInitializationError: no secret 'db'"
        );
    }

    #[test]
    fn pauses_grow_to_a_bound_and_survive_a_clock_that_goes_back() {
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(next_try(1, now).since(now), Duration::from_secs(1));
        assert_eq!(next_try(3, now).since(now), Duration::from_secs(4));
        assert_eq!(next_try(99, now).since(now), LONGEST_PAUSE);
        assert!(due(None, now));
        assert!(!due(Some(next_try(1, now)), now));
        assert!(due(Some(now + Duration::from_secs(3600)), now));
    }
}
