//! Tasks that wait, in a history.

use std::time::Duration;

use berth_model::fault::{Fault, FaultClass};
use berth_model::id::TaskId;
use berth_model::placement::Constraint;
use berth_model::query::Expression;
use berth_model::status::{StopCode, TaskStatus};
use berth_scheduler_core::decide::cluster::DeleteCluster;
use berth_scheduler_core::decide::queue::{EndOverdue, MAX_QUEUED, PlaceQueued};
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::RunTask;
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, TaskKey};
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::place::fits;
use berth_scheduler_core::state::{ShapeKey, State};

use super::{History, Step, cluster, observation, register, restored, run_task};

impl History {
    /// Places what waits and has room, as the scheduler does after each record; then nothing waits that has.
    pub(super) fn wake(&mut self) {
        while !self.hints.is_empty() {
            let hints = std::mem::take(&mut self.hints);
            loop {
                let woken = hints.woken(&self.state);
                if woken.is_empty() {
                    break;
                }
                let before = self.state.task_count();
                for (shape, count) in woken {
                    self.place_queued(&shape, count);
                }
                assert!(self.state.task_count() > before, "what is woken finds no room");
            }
        }
        for (name, shape) in self.state.queue().shapes() {
            for instance in self.state.instances_of(name.cluster) {
                let misfits = fits(instance, &shape.request, 0);
                assert!(
                    !misfits.is_empty(),
                    "{:?} waits, {} has room",
                    shape.request,
                    instance.id
                );
            }
        }
    }

    fn place_queued(&mut self, shape: &ShapeKey, count: u32) {
        let line = |state: &State| -> Vec<TaskId> {
            let known = state.queue().shape(shape);
            known.iter().flat_map(|shape| shape.waiting()).collect()
        };
        let before = line(&self.state);
        let overcommitted = invariant::overcommitted(&self.state);
        let shape = shape.clone();
        let cluster = shape.cluster;
        let placed = self.submit(&PlaceQueued { shape, count }).unwrap();
        let (placed, left) = before.split_at(placed);
        assert_eq!(left, line(&self.state), "not the first of the queue were placed");
        for task in placed {
            assert!(self.state.task(TaskKey { cluster, task: *task }).is_some());
        }
        assert_eq!(
            overcommitted,
            invariant::overcommitted(&self.state),
            "a placement took more than there was"
        );
    }

    pub(super) fn nth_queued(&self, nth: usize) -> TaskId {
        let tasks: Vec<TaskId> = self.state.queue().tasks().map(|(key, _)| key.task).collect();
        match tasks.len() {
            0 => TaskId::from_bits(99),
            count => tasks[nth % count],
        }
    }

    /// All tasks of a call that may wait are there, some of them placed; what waits comes behind what waited.
    pub(super) fn queue(&mut self, count: u32, rule: Rule, patience: u64) -> Result<(), Fault> {
        let waited = self.arrivals();
        let launched = self.submit(&patient(count, rule, patience))?;
        assert_eq!(launched.tasks.len(), usize::try_from(count).unwrap());
        assert_eq!(launched.failures, Vec::new());
        let newest = waited.iter().max();
        let later = self.arrivals().into_iter().filter(|arrival| !waited.contains(arrival));
        later.for_each(|arrival| assert!(Some(&arrival) > newest));
        Ok(())
    }

    fn arrivals(&self) -> Vec<u64> {
        let tasks = self.state.queue().tasks();
        tasks
            .filter(|(_, task)| task.is_waiting())
            .map(|(_, task)| task.arrival)
            .collect()
    }

    /// A cluster with one instance of 1,000 CPU units and a definition that takes some of them.
    fn with_one_instance(cpu: u32) -> Self {
        let mut history = Self::new();
        history.take(&Step::Create);
        history.connect(1, 1000);
        history.submit(&register(cpu, 6, 0, 0)).unwrap();
        history
    }

    fn connect(&mut self, instance: u128, cpu: u32) {
        self.take(&Step::Connect {
            instance,
            cpu,
            leaves: false,
        });
    }

    fn run_patiently(&mut self, count: u32) -> Vec<TaskId> {
        let launched = self.submit(&patient(count, Rule::None, 60_000)).unwrap();
        launched.tasks
    }

    fn stop(&mut self, task: TaskId) {
        let command = StopTask {
            cluster: cluster(),
            task,
            reason: None,
        };
        self.submit(&command).unwrap();
    }

    /// The agent says that the task has stopped.
    fn report_stopped(&mut self, task: TaskId) {
        let instance = self.state.task(key_of(task)).unwrap().instance;
        let command = ReportTasks {
            instance: InstanceKey {
                cluster: CLUSTER,
                instance,
            },
            reports: vec![(task, observation(TaskStatus::Stopped, 0))],
        };
        self.submit(&command).unwrap();
    }

    fn is_placed(&self, task: TaskId) -> bool {
        self.state.task(key_of(task)).is_some()
    }

    /// How a task ended that never had an instance.
    fn end_of(&self, task: TaskId) -> (Option<StopCode>, String) {
        let task = self.state.queue().task(key_of(task)).unwrap();
        let stop = &task.end.as_ref().unwrap().stop;
        (stop.code, stop.reason.to_string())
    }

    fn counts(&self) -> (u32, u32, u32) {
        let cluster = self.state.cluster(&cluster()).unwrap();
        (cluster.queued, cluster.pending, cluster.live)
    }
}

const CLUSTER: ClusterKey = ClusterKey(1);

/// What a call that may wait asks of instances.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    None,
    /// No two on one instance.
    Distinct,
    /// Only where one of the group is already.
    Near,
    /// Only where an operator has put a mark.
    Marked,
}

fn key_of(task: TaskId) -> TaskKey {
    TaskKey { cluster: CLUSTER, task }
}

fn patient(count: u32, rule: Rule, millis: u64) -> RunTask {
    let mut command = run_task(count, matches!(rule, Rule::Distinct), false);
    let expression = match rule {
        Rule::None | Rule::Distinct => None,
        Rule::Near => Some("task:group == service:web"),
        Rule::Marked => Some("attribute:mark exists"),
    };
    let expression = expression.map(|text| Constraint::MemberOf(Expression::parse(text).unwrap()));
    command.constraints.extend(expression);
    command.patience = Some(Duration::from_millis(millis));
    command
}

#[test]
fn what_waits_is_placed_in_the_order_in_which_it_came() {
    let mut history = History::with_one_instance(1000);
    let first = history.run_patiently(1)[0];
    let later = history.run_patiently(2);
    let last = history.run_patiently(1)[0];
    assert_eq!(history.counts(), (3, 4, 4));
    history.report_stopped(first);
    history.wake();
    let placed = later.iter().filter(|task| history.is_placed(**task)).count();
    assert_eq!((placed, history.is_placed(last)), (1, false));
    history.connect(2, 2000);
    history.wake();
    assert!(later.iter().chain([&last]).all(|task| history.is_placed(*task)));
    assert_eq!(history.counts(), (0, 3, 3));
}

#[test]
fn a_smaller_task_may_overtake_a_bigger_one_and_none_of_its_own_shape() {
    let mut history = History::with_one_instance(600);
    let running = history.run_patiently(1)[0];
    let big = history.run_patiently(1)[0];
    history.submit(&register(300, 6, 0, 0)).unwrap();
    let small = history.run_patiently(3);
    let placed: Vec<bool> = small.iter().map(|task| history.is_placed(*task)).collect();
    assert_eq!(placed, [true, false, false]);
    // Were it placed at once, it would overtake the two.
    history.connect(2, 300);
    let late = history.run_patiently(1)[0];
    assert!(!history.is_placed(late));
    history.wake();
    assert!(!history.is_placed(late) && !history.is_placed(big));
    history.report_stopped(running);
    history.wake();
    assert!(history.is_placed(big), "what waits longest comes first");
    assert!(!history.is_placed(late));
}

#[test]
fn a_token_gives_the_same_tasks_whether_they_wait_or_not() {
    let mut history = History::with_one_instance(1000);
    let mut command = patient(3, Rule::None, 60_000);
    command.call.client_token = Some(ClientToken {
        token: "once".into(),
        fingerprint: 1,
    });
    let first = history.submit(&command).unwrap();
    assert_eq!(history.submit(&command).unwrap(), first);
    history.connect(2, 1000);
    history.wake();
    assert_eq!(history.submit(&command).unwrap(), first);
    let mut other = command.clone();
    other.call.client_token.as_mut().unwrap().fingerprint = 2;
    assert_eq!(history.submit(&other).unwrap_err().class, FaultClass::Conflict);
    for task in &first.tasks {
        match history.is_placed(*task) {
            true => history.report_stopped(*task),
            false => history.stop(*task),
        }
    }
    history.take(&Step::Forget { age: 0 });
    history.take(&Step::Forget { age: 0 });
    assert_ne!(history.submit(&command).unwrap(), first, "the token is free again");
}

#[test]
fn a_task_that_waits_is_stopped_at_once_and_forgotten_like_any() {
    let mut history = History::with_one_instance(1000);
    let tasks = history.run_patiently(2);
    history.stop(tasks[1]);
    let by_user = (Some(StopCode::UserInitiated), "Task stopped by user".to_owned());
    assert_eq!(history.end_of(tasks[1]), by_user);
    assert_eq!(history.counts(), (0, 1, 1));
    let records = history.records.len();
    history.stop(tasks[1]);
    assert_eq!(history.records.len(), records, "a second stop changes something");
    history.take(&Step::Forget { age: 0 });
    assert!(history.state.queue().task(key_of(tasks[1])).is_none());
}

#[test]
fn at_its_deadline_a_task_ends_with_what_kept_it_from_being_placed() {
    let mut history = History::with_one_instance(2000);
    let too_big = history.submit(&patient(1, Rule::None, 500)).unwrap().tasks[0];
    history.submit(&EndOverdue).unwrap();
    assert_eq!(history.counts(), (1, 1, 1), "ended before its time");
    history.now += 500;
    history.submit(&EndOverdue).unwrap();
    let failed = |reason: &str| {
        (
            Some(StopCode::TaskFailedToStart),
            format!("TaskFailedToStart: {reason}"),
        )
    };
    assert_eq!(history.end_of(too_big), failed("RESOURCE:CPU"));
    history.take(&Step::Remove {
        instance: 1,
        force: true,
    });
    let nowhere = history.submit(&patient(1, Rule::None, 500)).unwrap().tasks[0];
    history.now += 500;
    history.submit(&EndOverdue).unwrap();
    assert_eq!(history.end_of(nowhere), failed("NO ACTIVE INSTANCES"));
}

#[test]
fn a_cluster_in_which_a_task_waits_is_not_deleted() {
    let mut history = History::with_one_instance(1000);
    history.take(&Step::Remove {
        instance: 1,
        force: true,
    });
    let task = history.run_patiently(1)[0];
    let delete = DeleteCluster { name: cluster() };
    assert_eq!(
        history.submit(&delete).unwrap_err().class,
        FaultClass::ClusterContainsTasks
    );
    history.stop(task);
    history.submit(&delete).unwrap();
}

#[test]
fn a_task_keeps_its_place_when_its_definition_is_deregistered() {
    let mut history = History::with_one_instance(1000);
    history.run_patiently(1);
    let waiting = history.run_patiently(1)[0];
    history.take(&Step::Deregister { revision: 1 });
    history.connect(2, 1000);
    history.wake();
    assert!(history.is_placed(waiting));
}

#[test]
fn no_more_tasks_wait_than_the_limit_says() {
    let mut history = History::with_one_instance(2000);
    history.run_patiently(MAX_QUEUED - 1);
    let fault = history.submit(&patient(2, Rule::None, 60_000)).unwrap_err();
    assert_eq!(fault.class, FaultClass::LimitExceeded);
    assert_eq!(
        fault.message,
        "9999 tasks wait for room in cluster test, at most 10000 may; 2 more do not."
    );
    history.run_patiently(1);
}

#[test]
fn a_snapshot_takes_nothing_from_a_task_whose_gpus_an_ended_one_had() {
    let mut history = History::with_one_instance(100);
    // It has two GPUs, and each task wants both. Their ids are in no order, as they began at once.
    history.connect(1, 1024);
    history.submit(&register(0, 6, 0, 2)).unwrap();
    let tasks = history.run_patiently(8);
    for _ in &tasks {
        let running = tasks.iter().find(|task| {
            let known = history.state.task(key_of(**task));
            known.is_some_and(|known| !known.is_stopped())
        });
        history.report_stopped(*running.unwrap());
        history.wake();
        assert!(restored(&history.state) == history.state);
    }
}
