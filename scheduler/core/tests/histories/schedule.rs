//! What histories ask of a schedule.

use berth_model::fault::Fault;
use berth_model::name::ScheduleName;
use berth_model::schedule::{ActionAfterCompletion, FlexibleTimeWindow, OverlapPolicy, RetryPolicy, ScheduleState};
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::schedule::run::{FireSchedule, RunSchedule};
use berth_scheduler_core::decide::schedule::{CreateSchedule, DeleteSchedule, ScheduleUpdate, UpdateSchedule};
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::ScheduleKey;
use berth_scheduler_core::schedule::{ScheduleSpec, Target, Timing};
use proptest::prelude::*;
use std::time::Duration;

use super::History;
use super::request::{call, cluster, fargate_call, run_task};

/// What a schedule is to be.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    minutes: u32,
    count: u32,
    overlap: OverlapPolicy,
    window: Option<u32>,
    attempts: u32,
    waits: bool,
    fargate: bool,
    ends: Option<i64>,
}

pub(super) fn wish() -> impl Strategy<Value = Wish> {
    let overlap = prop_oneof![
        Just(OverlapPolicy::Allow),
        Just(OverlapPolicy::Skip),
        Just(OverlapPolicy::Replace)
    ];
    let ends = prop::option::weighted(0.2, 1_000_000_i64..2_000_000);
    (
        1_u32..4,
        1_u32..5,
        overlap,
        prop::option::of(1_u32..6),
        0_u32..4,
        any::<bool>(),
        any::<bool>(),
        ends,
    )
        .prop_map(
            |(minutes, count, overlap, window, attempts, waits, fargate, ends)| Wish {
                minutes,
                count,
                overlap,
                window,
                attempts,
                waits,
                fargate,
                ends,
            },
        )
}

impl Wish {
    fn spec(&self) -> ScheduleSpec {
        let mut run = run_task(self.count, false, !self.fargate);
        if self.fargate {
            run.call = fargate_call();
        }
        run.patience = self.waits.then(|| Duration::from_secs(60));
        ScheduleSpec {
            timing: Timing {
                expression: match self.minutes {
                    1 => "rate(1 minute)".into(),
                    more => format!("rate({more} minutes)").into(),
                },
                zone: "UTC".into(),
                start: None,
                end: self.ends.map(Timestamp::from_millis),
            },
            state: ScheduleState::Enabled,
            window: self.window.map_or(FlexibleTimeWindow::Off, FlexibleTimeWindow::Minutes),
            after_completion: if self.waits {
                ActionAfterCompletion::Delete
            } else {
                ActionAfterCompletion::None
            },
            overlap: self.overlap,
            retry: RetryPolicy {
                maximum_event_age: 120,
                maximum_attempts: self.attempts,
            },
            description: None,
            target: Target { run, network: None },
        }
    }
}

fn name() -> ScheduleName {
    ScheduleName::parse("nightly").unwrap()
}

pub(super) fn create(wish: &Wish) -> CreateSchedule {
    CreateSchedule {
        cluster: call().cluster,
        name: name(),
        spec: wish.spec(),
        client_token: None,
    }
}

pub(super) fn update(wish: &Wish, enable: bool) -> UpdateSchedule {
    let spec = wish.spec();
    UpdateSchedule {
        cluster: cluster(),
        name: name(),
        update: ScheduleUpdate {
            expression: Some(spec.timing.expression),
            end: Some(spec.timing.end),
            state: Some(if enable {
                ScheduleState::Enabled
            } else {
                ScheduleState::Disabled
            }),
            window: Some(spec.window),
            overlap: Some(spec.overlap),
            target: Some(spec.target),
            ..ScheduleUpdate::default()
        },
        version: None,
    }
}

pub(super) fn delete() -> DeleteSchedule {
    DeleteSchedule {
        cluster: cluster(),
        name: name(),
    }
}

pub(super) fn run() -> RunSchedule {
    RunSchedule {
        cluster: cluster(),
        name: name(),
    }
}

impl History {
    /// Lets every schedule do what it has to; one that is asked again has nothing to do.
    pub(super) fn fire(&mut self) -> Result<(), Fault> {
        let now = Timestamp::from_millis(self.now);
        let due = self.state.schedules().due().take_while(|(at, _)| *at <= now);
        let due: Vec<ScheduleKey> = due.map(|(_, key)| key.clone()).collect();
        let before = invariant::overcommitted(&self.state);
        for key in due {
            self.now -= 10;
            let ran = self.submit(&FireSchedule { key: key.clone() })?;
            assert!(ran.is_some(), "a schedule that is due does nothing");
            self.now -= 10;
            let records = self.records.len();
            let again = self.submit(&FireSchedule { key })?;
            assert_eq!((again, self.records.len()), (None, records), "it does it twice");
        }
        assert_eq!(
            before,
            invariant::overcommitted(&self.state),
            "a run took more than there was"
        );
        Ok(())
    }
}
