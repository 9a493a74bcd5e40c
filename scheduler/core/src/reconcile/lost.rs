//! Instances that are not heard of: their tasks are replaced after a grace, unless too many are lost at once.

use berth_model::time::Timestamp;

use super::{Presence, TaskView, View};

/// Fewer lost instances than this are believed whatever their share.
const STORM: u32 = 3;

/// Whether so many instances are lost that the fault is likelier here, or between here and there, than at each of them:
/// more than half, and at least three. What runs there goes on running; to start it again elsewhere would do harm.
pub(super) const fn is_storm(presence: Presence) -> bool {
    presence.lost >= STORM && presence.lost > presence.instances / 2
}

/// When the task is given up unless its instance is back by then.
pub(super) fn lost_at(task: &TaskView, view: &View<'_>) -> Option<Timestamp> {
    let grace = view.spec.lost_grace().unwrap_or(view.timing.lost_grace);
    task.host.disconnected_since.map(|since| since + grace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_more_than_half_of_the_instances_and_at_least_three() {
        for (lost, instances, storm) in [
            (2, 2, false),
            (3, 3, true),
            (3, 5, true),
            (3, 6, false),
            (4, 7, true),
            (0, 0, false),
        ] {
            assert_eq!(is_storm(Presence { instances, lost }), storm, "{lost} of {instances}");
        }
    }
}
