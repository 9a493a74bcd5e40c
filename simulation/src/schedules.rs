//! Schedules that are due once: what clients ask for, what schedulers do when the time has come, and what must be true.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::name::ScheduleName;
use berth_model::schedule::{
    ActionAfterCompletion, FlexibleTimeWindow, OverlapPolicy, RetryPolicy, RunOutcome, ScheduleState,
};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::schedule::CreateSchedule;
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::schedule::{ScheduleSpec, Target, Timing};

use crate::workload::{cluster, name};

/// A schedule that runs the call once, when it is due.
pub(crate) fn once(number: u64, due: Timestamp, call: Call) -> CreateSchedule {
    let due = due.to_rfc3339();
    let seconds = due.split('.').next().unwrap_or_default();
    let spec = ScheduleSpec {
        timing: Timing {
            expression: Arc::from(format!("at({seconds})")),
            zone: Arc::from("UTC"),
            start: None,
            end: None,
        },
        state: ScheduleState::Enabled,
        window: FlexibleTimeWindow::Off,
        after_completion: ActionAfterCompletion::None,
        overlap: OverlapPolicy::default(),
        retry: RetryPolicy {
            maximum_event_age: 60,
            maximum_attempts: 2,
        },
        description: None,
        target: Target {
            run: RunTask {
                call,
                count: 1,
                constraints: Vec::new(),
                strategies: Vec::new(),
                patience: None,
            },
            network: None,
        },
    };
    CreateSchedule {
        cluster: cluster(),
        name: schedule(number),
        spec,
        client_token: Some(ClientToken {
            token: Arc::from(number.to_string()),
            fingerprint: 1,
        }),
    }
}

/// The schedule that a request is for.
pub(crate) fn schedule(number: u64) -> ScheduleName {
    name(&format!("once-{number}"), ScheduleName::parse)
}

/// The times that schedules were run for.
#[derive(Debug, Default)]
pub(crate) struct Runs(BTreeSet<(ScheduleName, Timestamp)>);

impl Runs {
    /// A time at which a schedule is due runs once, whoever asks for it and however often.
    pub(crate) fn note(&mut self, change: &Change) -> Result<(), String> {
        let Change::ScheduleRan { schedule, run, .. } = change else {
            return Ok(());
        };
        let Some(due) = run.due else { return Ok(()) };
        if run.outcome != RunOutcome::Missed && run.at < due {
            return Err(format!("schedule {schedule} ran before it was due"));
        }
        match self.0.insert((schedule.clone(), due)) {
            true => Ok(()),
            false => Err(format!("schedule {schedule} ran twice for {}", due.to_rfc3339())),
        }
    }

    /// Whether the schedule, which is due once, has run.
    pub(crate) fn has(&self, schedule: &ScheduleName) -> bool {
        self.0.iter().any(|(ran, _)| ran == schedule)
    }
}
