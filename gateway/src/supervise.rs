//! The life of a target: it is checked while it is registered, drained when it leaves, and cut when its time is up.
//!
//! One task each; how a target is goes to the board, which the link reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::group::Group;
use crate::health::Condition;
use crate::probe;
use crate::report::{States, TargetId, TargetState};
use crate::target::Target;
use berth_daemon::fraction;

/// Checks that go on at the same moment.
const CHECKS_AT_ONCE: usize = 64;
/// By what part the pauses between checks differ, up and down.
const JITTER: f64 = 0.1;

/// What all targets share.
#[derive(Debug)]
pub(crate) struct Board {
    states: watch::Sender<Arc<States>>,
    checks: Semaphore,
}

impl Board {
    pub(crate) fn new(states: watch::Sender<Arc<States>>) -> Self {
        Self {
            states,
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// Says how a target is, and logs it where that is new.
    fn say(&self, target: &Target, group: &Group, state: TargetState) {
        if target.is_superseded() {
            return;
        }
        let (service, task, address) = (&*group.service, &*target.id.task, target.address);
        match &state {
            TargetState::Unhealthy(reason) => {
                tracing::warn!(service, task, %address, reason = &**reason, "target is unhealthy");
            }
            TargetState::Initial => tracing::debug!(service, task, %address, "target is initial"),
            TargetState::Healthy => tracing::info!(service, task, %address, "target is healthy"),
            TargetState::Draining => tracing::info!(service, task, %address, open = target.open(), "target drains"),
            TargetState::Drained => tracing::info!(service, task, %address, "target is drained"),
        }
        self.states.send_if_modified(|states| {
            if states.get(&target.id) == Some(&state) {
                return false;
            }
            Arc::make_mut(states).insert(target.id.clone(), state);
            true
        });
    }

    /// It is nobody's any more.
    pub(crate) fn forget(&self, id: &TargetId) {
        self.states.send_modify(|states| {
            Arc::make_mut(states).remove(id);
        });
    }
}

/// Lives the life of a target, up to where nothing is open on it any more.
pub(crate) async fn supervise(target: Arc<Target>, group: Arc<Group>, board: Arc<Board>) {
    let mut leave_by = target.leave_by.subscribe();
    if !target.leaves() {
        board.say(&target, &group, state(&target.condition()));
    }
    tokio::select! {
        biased;
        _ = leave_by.wait_for(Option::is_some) => {}
        () = check(&target, &group, &board) => {}
    }
    drain(&target, &group, &board, &mut leave_by).await;
}

async fn check(target: &Target, group: &Group, board: &Board) {
    let mut first = true;
    loop {
        let settings = group.settings();
        let rules = &settings.health_check;
        let Ok(turn) = board.checks.acquire().await else { return };
        let outcome = probe::check(target.address, settings.protocol, rules).await;
        drop(turn);
        if let Err(reason) = &outcome {
            tracing::debug!(
                service = &*group.service,
                task = &*target.id.task,
                reason = &**reason,
                "check failed"
            );
        }
        let before = target.condition();
        target.checked(outcome, rules);
        let now = target.condition();
        if before != now {
            board.say(target, group, state(&now));
        }
        // Targets that came together are checked apart from the second time on.
        let part = if std::mem::take(&mut first) {
            fraction()
        } else {
            1.0 - JITTER + 2.0 * JITTER * fraction()
        };
        tokio::time::sleep(rules.interval.mul_f64(part).max(Duration::from_millis(100))).await;
    }
}

async fn drain(target: &Target, group: &Group, board: &Board, leave_by: &mut watch::Receiver<Option<Instant>>) {
    if target.open() > 0 {
        board.say(target, group, TargetState::Draining);
        tokio::select! {
            () = target.empty() => {}
            () = deadline(leave_by) => {
                tracing::warn!(
                    service = &*group.service,
                    task = &*target.id.task,
                    open = target.open(),
                    "deregistration delay is over; cutting what is open"
                );
                target.cut();
                target.empty().await;
            }
        }
    }
    board.say(target, group, TargetState::Drained);
    target.drained();
}

/// Waits until the time is up, which may be brought forward.
async fn deadline(leave_by: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let Some(by) = *leave_by.borrow_and_update() else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(by) => return,
            changed = leave_by.changed() => if changed.is_err() { return },
        }
    }
}

fn state(condition: &Condition) -> TargetState {
    match condition {
        Condition::Initial => TargetState::Initial,
        Condition::Healthy => TargetState::Healthy,
        Condition::Unhealthy(reason) => TargetState::Unhealthy(Arc::clone(reason)),
    }
}
