//! What is wrong with the host, as far as it keeps tasks from getting on: said to the scheduler on each new stream and
//! whenever it changes.
//!
//! Whoever watches a part of the host sets that part's condition; the driver alone reads them. A condition is of the
//! moment: nothing is decided by it and none is kept over a restart.

use std::collections::BTreeMap;

use berth_model::time::Timestamp;
use berth_proto::agent::v1 as wire;
use tokio::sync::watch;

/// The longest reason that is told, in characters.
const LONGEST_REASON: usize = 1024;

/// The part of the host that a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Docker.
    ContainerRuntime,
    /// The disk that holds Docker's images and containers.
    Disk,
}

/// How a part is, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    /// Why it is impaired; none where it is not.
    reason: Option<String>,
    since: Timestamp,
}

/// The conditions of all parts of this host. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    parts: watch::Sender<BTreeMap<Part, Condition>>,
}

impl Part {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::ContainerRuntime, Self::Disk];

    /// As ECS names it where it does (ECS API, InstanceHealthCheckResult).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ContainerRuntime => "CONTAINER_RUNTIME",
            Self::Disk => "DISK",
        }
    }
}

impl Conditions {
    /// Nothing is known of any part yet.
    pub(crate) fn new() -> Self {
        Self {
            parts: watch::Sender::new(BTreeMap::new()),
        }
    }

    /// The part is as it should be.
    pub(crate) fn ok(&self, part: Part, now: Timestamp) {
        self.set(part, None, now);
    }

    /// The part is impaired, for the reason. Told again only when the reason is another.
    pub(crate) fn impaired(&self, part: Part, reason: &str, now: Timestamp) {
        self.set(part, Some(reason.chars().take(LONGEST_REASON).collect()), now);
    }

    /// Whether the part is as it should be, or why it is not; none where that is not known yet.
    pub(crate) fn of(&self, part: Part) -> Option<Result<(), String>> {
        let parts = self.parts.borrow();
        let reason = &parts.get(&part)?.reason;
        Some(reason.clone().map_or(Ok(()), Err))
    }

    /// Tells whenever a condition changes.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.parts.subscribe()
    }

    /// All of them, for the scheduler.
    pub(crate) fn message(&self) -> wire::Conditions {
        let each = |(part, condition): (&Part, &Condition)| wire::Condition {
            r#type: part.name().to_owned(),
            status: if condition.reason.is_some() { "IMPAIRED" } else { "OK" }.to_owned(),
            reason: condition.reason.clone().unwrap_or_default(),
            since: condition.since.as_epoch_seconds(),
        };
        wire::Conditions {
            conditions: self.parts.borrow().iter().map(each).collect(),
        }
    }

    fn set(&self, part: Part, reason: Option<String>, now: Timestamp) {
        self.parts.send_if_modified(|parts| {
            let before = parts.get(&part);
            if before.is_some_and(|before| before.reason == reason) {
                return false;
            }
            let was_impaired = before.is_some_and(|before| before.reason.is_some());
            let since = match before {
                Some(before) if was_impaired == reason.is_some() => before.since,
                Some(_) | None => now,
            };
            match &reason {
                Some(reason) => tracing::warn!(part = part.name(), reason, "host is impaired"),
                None if was_impaired => tracing::info!(part = part.name(), "host is as it should be again"),
                None => {}
            }
            parts.insert(part, Condition { reason, since });
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_told_when_it_changes_and_keeps_when_that_began() {
        let at = Timestamp::from_millis;
        let conditions = Conditions::new();
        let mut changes = conditions.changes();
        let told = || {
            let condition = conditions.message().conditions.remove(0);
            (condition.status, condition.reason, condition.since)
        };
        conditions.ok(Part::ContainerRuntime, at(1000));
        assert!(changes.has_changed().unwrap());
        assert_eq!(told(), ("OK".to_owned(), String::new(), 1.0));
        changes.mark_unchanged();
        conditions.ok(Part::ContainerRuntime, at(2000));
        assert!(!changes.has_changed().unwrap(), "nothing is new");
        conditions.impaired(Part::ContainerRuntime, "it hangs", at(3000));
        conditions.impaired(Part::ContainerRuntime, "it still hangs", at(4000));
        assert_eq!(told(), ("IMPAIRED".to_owned(), "it still hangs".to_owned(), 3.0));
        conditions.ok(Part::ContainerRuntime, at(5000));
        assert_eq!(told().2, 5.0);
    }
}
