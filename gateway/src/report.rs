//! What the scheduler is told of targets: how each is, which of it is news, and what goes to them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_proto::gateway::v1 as proto;

/// A task as a member of a target group: the ARNs of both, the group's first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TargetId {
    pub(crate) group: Arc<str>,
    pub(crate) task: Arc<str>,
}

/// How a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// No check has ended yet.
    Initial,
    /// It gets what is new.
    Healthy,
    /// Why, in a few words.
    Unhealthy(Arc<str>),
    /// It gets nothing new and still has connections.
    Draining,
    /// It gets nothing new and has no connection left.
    Drained,
}

/// All targets at one moment.
pub(crate) type States = BTreeMap<TargetId, TargetState>;

/// What goes to the targets of a group.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests and TCP connections that are open, but for those of targets that leave.
    pub(crate) open: u32,
    /// Requests and TCP connections that were given to a target.
    pub(crate) requests: u64,
}

/// What goes to all groups at one moment, by their ARNs.
pub(crate) type Loads = BTreeMap<Arc<str>, Load>;

/// As the scheduler is told.
pub(crate) fn load(loads: &Loads) -> proto::LoadReport {
    let groups = loads.iter().map(|(group, load)| proto::TargetGroupLoad {
        target_group: group.to_string(),
        open: load.open,
        requests: load.requests,
    });
    proto::LoadReport {
        groups: groups.collect(),
    }
}

/// What has changed since these were told.
pub(crate) fn news(told: &States, now: &States) -> Vec<proto::TargetReport> {
    let changed = now.iter().filter(|(id, state)| told.get(id) != Some(state));
    changed.map(|(id, state)| report(id, state)).collect()
}

fn report(id: &TargetId, state: &TargetState) -> proto::TargetReport {
    let (wire, reason) = match state {
        TargetState::Initial => (proto::TargetState::Initial, ""),
        TargetState::Healthy => (proto::TargetState::Healthy, ""),
        TargetState::Unhealthy(reason) => (proto::TargetState::Unhealthy, &**reason),
        TargetState::Draining => (proto::TargetState::Draining, ""),
        TargetState::Drained => (proto::TargetState::Drained, ""),
    };
    proto::TargetReport {
        task: id.task.to_string(),
        target_group: id.group.to_string(),
        state: wire.into(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(of: &[(&str, TargetState)]) -> States {
        let one = |(task, state): &(&str, TargetState)| {
            let id = TargetId {
                group: "g".into(),
                task: (*task).into(),
            };
            (id, state.clone())
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn only_what_changed_is_news_and_nothing_of_what_is_gone() {
        let told = states(&[
            ("a", TargetState::Healthy),
            ("b", TargetState::Healthy),
            ("gone", TargetState::Drained),
        ]);
        let now = states(&[
            ("a", TargetState::Healthy),
            ("b", TargetState::Unhealthy("status 500".into())),
            ("c", TargetState::Initial),
            ("d", TargetState::Draining),
        ]);
        let news = news(&told, &now);
        let said: Vec<_> = news
            .iter()
            .map(|one| (one.task.as_str(), one.state(), one.reason.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                ("b", proto::TargetState::Unhealthy, "status 500"),
                ("c", proto::TargetState::Initial, ""),
                ("d", proto::TargetState::Draining, ""),
            ]
        );
        assert!(super::news(&now, &now).is_empty());
        assert_eq!(super::news(&States::new(), &now).len(), 4);
    }
}
