//! How many instances tasks that wait would fill, by the rules of placement.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Waiting;
use crate::place::{Request, capacity};
use crate::state::Instance;

/// What would be used if everything that waits was placed on as few instances as they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forecast {
    /// Instances that are there.
    pub(super) used: u32,
    /// Instances that are not.
    pub(super) further: u32,
    /// Tasks that no instance of this kind takes.
    pub(super) unplaceable: u32,
}

/// An instance while it is filled.
struct Bin {
    instance: Arc<Instance>,
    is_used: bool,
}

impl Bin {
    /// Takes as many of the copies as fit.
    fn fill(&mut self, request: &Request, copies: u32) -> u32 {
        let count = capacity(&self.instance, request, copies);
        for _ in 0..count {
            Arc::make_mut(&mut self.instance).take_copy(request);
        }
        self.is_used |= count > 0;
        count
    }
}

impl Forecast {
    /// Fills the instances that run, then as many as it takes that are like `kind`, at most `most`; the largest first.
    ///
    /// `running` tells of each whether it is in use.
    pub(super) fn of(
        running: Vec<(Arc<Instance>, bool)>,
        kind: Option<&Arc<Instance>>,
        mut waiting: Vec<Waiting>,
        most: u32,
    ) -> Self {
        let bin = |(instance, is_used): (Arc<Instance>, bool)| Bin { instance, is_used };
        let mut bins: Vec<Bin> = running.into_iter().map(bin).collect();
        let there = bins.len();
        let empty = kind.map(|kind| {
            Arc::new(Instance {
                given_attributes: Arc::clone(&kind.given_attributes),
                ..Instance::new(kind.id, Arc::clone(&kind.facts), kind.registered_at)
            })
        });
        waiting.sort_by_key(|one| Reverse((one.request.demand.memory, one.request.demand.cpu)));
        let mut unplaceable = 0;
        let mut unknown = false;
        for Waiting { request, count } in waiting {
            let mut left = count;
            for bin in &mut bins {
                if left == 0 {
                    break;
                }
                left -= bin.fill(&request, left);
            }
            let Some(empty) = &empty else {
                // Nobody knows what such an instance has: one will tell.
                unknown |= left > 0;
                continue;
            };
            while left > 0 && bins.len() - there < usize::try_from(most).unwrap_or(usize::MAX) {
                let mut next = bin((Arc::clone(empty), false));
                let filled = next.fill(&request, left);
                if filled == 0 {
                    unplaceable += left;
                    break;
                }
                left -= filled;
                bins.push(next);
            }
        }
        let count = |bins: &[Bin]| u32::try_from(bins.iter().filter(|bin| bin.is_used).count()).unwrap_or(u32::MAX);
        Self {
            used: count(&bins[..there]),
            further: count(&bins[there..]) + u32::from(unknown),
            unplaceable,
        }
    }
}
