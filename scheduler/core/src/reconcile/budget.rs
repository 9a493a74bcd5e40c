//! Which stops the floor allows.

use super::census::{Member, Standing};

/// What may still be stopped in one step.
#[derive(Debug)]
pub(super) struct Budget {
    floor: usize,
    /// Tasks that count toward the floor.
    healthy: usize,
    /// Tasks that run and do not fail: those, and those that will count toward it if nothing happens to them.
    up: usize,
    /// Unhealthy tasks that may be stopped before what replaces them is healthy.
    unhealthy: usize,
}

impl Budget {
    /// `in_flight` is how many tasks are on their way to healthy or about to stop: unhealthy tasks are stopped no faster
    /// than healthy ones would be, and one at a time where the floor is all there is (ECS API,
    /// `DeploymentConfiguration.minimumHealthyPercent`).
    pub(super) fn of(members: &[Member<'_>], desired: usize, floor: usize, in_flight: usize) -> Self {
        let at_least = |standing| members.iter().filter(|member| member.standing >= standing).count();
        Self {
            floor,
            healthy: at_least(Standing::Healthy),
            up: at_least(Standing::Settling),
            unhealthy: desired.saturating_sub(floor).max(1).saturating_sub(in_flight),
        }
    }

    /// Whether a task of this standing may be stopped; it then counts as stopped.
    ///
    /// What settles is as good as healthy to who uses it, so that it is stopped only while enough of both stay.
    pub(super) fn spend(&mut self, standing: Standing) -> bool {
        match standing {
            Standing::Pending | Standing::Unknown | Standing::Unhealthy => {}
            Standing::Settling => {
                if self.up <= self.floor {
                    return false;
                }
                self.up -= 1;
            }
            Standing::Healthy => {
                if self.healthy <= self.floor {
                    return false;
                }
                self.healthy -= 1;
                self.up -= 1;
            }
        }
        true
    }

    /// Whether an unhealthy task may be stopped before it is replaced.
    pub(super) fn spend_unhealthy(&mut self) -> bool {
        let may = self.unhealthy > 0;
        self.unhealthy = self.unhealthy.saturating_sub(1);
        may
    }
}
