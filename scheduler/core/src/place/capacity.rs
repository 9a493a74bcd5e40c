//! How many copies there is room for, without placing them.

use berth_model::placement::Constraint;

use super::Request;
use super::fits::{eligible, room};
use crate::state::Instance;

/// How many copies of the request the instance could take one after the other, at most `limit`.
///
/// What fits on one instance does not depend on the others: the sum over all is what fits on all, whatever the strategy.
#[must_use]
pub fn capacity(instance: &Instance, request: &Request, limit: u32) -> u32 {
    if !eligible(instance, request) {
        return 0;
    }
    let mut fits = true;
    room(instance, request, 0, |_| fits = false);
    if !fits {
        return 0;
    }
    let demand = &request.demand;
    let one_at_most = !demand.ports.is_empty() || request.constraints.contains(&Constraint::DistinctInstance);
    let times = |free: u32, each: u32| free.checked_div(each).unwrap_or(u32::MAX);
    let gpus = match demand.gpus.0 {
        0 => u32::MAX,
        each => times(instance.free_gpu_count().0, each),
    };
    times(instance.free_cpu().0, demand.cpu.0)
        .min(times(instance.free_memory().0, demand.memory.0))
        .min(gpus)
        .min(if one_at_most { 1 } else { u32::MAX })
        .min(limit)
}
