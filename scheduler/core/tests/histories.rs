//! Random histories: whatever is asked, in whatever order, the state stays sound, placements never take more than an
//! instance has, and a replay or a snapshot gives the same state.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "histories/access_key.rs"]
mod access_key;
#[path = "histories/capacity.rs"]
mod capacity;
#[path = "histories/events.rs"]
mod events;
#[path = "histories/history.rs"]
mod history;
#[path = "histories/membership.rs"]
mod membership;
#[path = "histories/queue.rs"]
mod queue;
#[path = "histories/request.rs"]
mod request;
#[path = "histories/scaling.rs"]
mod scaling;
#[path = "histories/schedule.rs"]
mod schedule;
#[path = "histories/step.rs"]
mod step;
#[path = "histories/task_set.rs"]
mod task_set;

use std::sync::Arc;

use berth_model::id::TaskId;
use berth_model::status::TaskStatus;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::decide::reconcile::ReconcileService;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, Revision};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::state::State;
use berth_scheduler_core::target::TargetHealth;
use proptest::prelude::*;

use self::history::{History, restored};
use self::request::{cluster, key, observation, register, run_task, service};
use self::step::{Step, step};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_history_leaves_a_sound_state(steps in prop::collection::vec(step(), 1..80)) {
        let mut history = History::new();
        history.take(&Step::Create);
        history.take(&Step::Connect { instance: 1, cpu: 2048, leaves: false });
        history.take(&Step::Register { cpu: 100, memory: 100, port: 0, gpus: 0 });
        for step in &steps {
            history.take(step);
            prop_assert_eq!(invariant::violations(&history.state), Vec::<String>::new(), "after {:?}", step);
        }
        history.wake();

        let mut replayed = State::default();
        for record in &history.records {
            let bytes = serde_json::to_vec(record).unwrap();
            fold_record(&mut replayed, &serde_json::from_slice(&bytes).unwrap());
        }
        prop_assert!(replayed == history.state, "a replay of the journal gives another state");

        events::check(&history.records, &history.state);
        prop_assert_eq!(restored(&history.state), history.state);
    }
}

#[test]
fn records_are_numbered_without_gaps() {
    let mut history = History::new();
    history.take(&Step::Create);
    history.take(&Step::Create);
    history.take(&Step::Register {
        cpu: 1,
        memory: 6,
        port: 0,
        gpus: 0,
    });
    let numbers: Vec<_> = history.records.iter().map(|record| record.revision).collect();
    assert_eq!(numbers, [Revision(1), Revision(2)]);
}

#[test]
fn log_lines_are_kept_of_the_first_tasks_of_a_deployment_that_fail_and_of_none_that_is_stopped() {
    let mut history = History::new();
    for step in [
        Step::Create,
        Step::Connect {
            instance: 1,
            cpu: 2048,
            leaves: false,
        },
        Step::Register {
            cpu: 1,
            memory: 6,
            port: 0,
            gpus: 0,
        },
        Step::CreateService {
            desired: 5,
            daemon: false,
            breaker: false,
            balanced: false,
        },
    ] {
        history.take(&step);
    }
    history
        .submit(&ReconcileService {
            key: service(),
            timing: Timing::default(),
        })
        .unwrap();
    let tasks: Vec<TaskId> = history
        .state
        .tasks_of(ClusterKey(1), None)
        .map(|task| task.id)
        .collect();
    assert_eq!(tasks.len(), 5);
    history
        .submit(&StopTask {
            cluster: cluster(),
            task: tasks[0],
            reason: None,
        })
        .unwrap();
    let over = observation(TaskStatus::Stopped, 0);
    let reports = tasks.iter().map(|task| (*task, Arc::clone(&over))).collect();
    let instance = key(1);
    history.submit(&ReportTasks { instance, reports }).unwrap();
    let has_lines = |task: &TaskId| {
        let mut all = history.state.tasks_of(ClusterKey(1), None);
        let known = all.find(|known| known.id == *task).unwrap();
        known.containers.iter().any(|container| container.log_tail.is_some())
    };
    let kept: Vec<bool> = tasks.iter().map(has_lines).collect();
    assert_eq!(kept, [false, true, true, true, false]);
}

#[test]
fn a_task_that_cannot_be_replaced_first_is_stopped_once_that_is_known() {
    let mut history = History::new();
    let run = || Step::Run {
        count: 1,
        distinct: false,
        pack: false,
    };
    let register = |port| Step::Register {
        cpu: 0,
        memory: 6,
        port,
        gpus: 0,
    };
    let connect = |instance, cpu| Step::Connect {
        instance,
        cpu,
        leaves: false,
    };
    for step in [
        Step::Create,
        connect(1, 2048),
        register(0),
        run(),
        run(),
        register(1),
        run(),
        Step::CreateService {
            desired: 2,
            daemon: false,
            breaker: false,
            balanced: true,
        },
        connect(2, 1024),
        Step::Reconcile { wait: 0 },
        Step::Report {
            nth: 3,
            status: TaskStatus::Stopped,
            port: 0,
            own: true,
        },
        Step::Reconcile { wait: 0 },
        Step::Report {
            nth: 14,
            status: TaskStatus::Running,
            port: 0,
            own: true,
        },
        Step::Reconcile { wait: 0 },
        Step::Fire { wait: 30000 },
        register(0),
        Step::Start { instances: vec![1] },
        run(),
        Step::Target {
            nth: 18,
            health: Some(TargetHealth::Unhealthy),
        },
        Step::Reconcile { wait: 0 },
    ] {
        history.take(&step);
    }
    let changes = history
        .records
        .iter()
        .flat_map(|record| &record.entries)
        .flat_map(|entry| &entry.changes);
    let stops = changes.filter(|change| matches!(change, Change::TaskStopRequested { .. }));
    assert_eq!(stops.count(), 1, "no other place has its port");
}
