//! A scheduler with one service on a large host, whose load is given minute by minute.

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, Family, PolicyName, ServiceName};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::scaling::{Metric, PredefinedMetric, RawTracking, TargetTracking};
use berth_model::status::{DesiredStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::{Entry, Record};
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::ConnectInstance;
use berth_scheduler_core::decide::reconcile::ReconcileService;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::scaling::scale::{Measured, ScaleService, running, verdict};
use berth_scheduler_core::decide::scaling::{PutScalingPolicy, RegisterScalableTarget};
use berth_scheduler_core::decide::service::{CreateService, ServiceUpdate, UpdateService};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey};
use berth_scheduler_core::observation::{InstanceFacts, Observation, TaskTimes};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::scale::{PERIOD, Sample};
use berth_scheduler_core::service::ServiceSpec;
use berth_scheduler_core::state::{Service, State};

const CPU: Metric = Metric::Predefined(PredefinedMetric::Cpu);
/// Between two samples, in milliseconds.
const STEP: i64 = 15_000;

pub(crate) struct World {
    state: State,
    now: i64,
    memory: Memory,
    samples: Vec<Sample>,
    /// Whether tasks that are launched reach RUNNING.
    starts: bool,
    /// When looks found a deployment going on.
    deploying: Vec<Timestamp>,
}

fn cluster() -> ClusterName {
    ClusterName::parse("default").unwrap()
}

fn key() -> ServiceKey {
    ServiceKey {
        cluster: ClusterKey(1),
        service: ServiceName::parse("web").unwrap(),
    }
}

fn definition() -> DefinitionReference {
    DefinitionReference::newest(Family::parse("web").unwrap())
}

/// A policy with cooldowns of five minutes, and steps where they are given: out, then in.
pub(crate) fn policy(target: f64, steps: Option<(i64, i64)>) -> TargetTracking {
    let raw = RawTracking {
        target: Some(target),
        most_out: steps.map(|steps| steps.0),
        most_in: steps.map(|steps| steps.1),
        ..RawTracking::default()
    };
    TargetTracking::checked(CPU, &raw).unwrap()
}

impl World {
    /// A service of so many tasks, which run.
    pub(crate) fn new(desired: u32) -> Self {
        let mut world = Self {
            state: State::default(),
            now: 1_763_700_000_000,
            memory: Memory::default(),
            samples: Vec::new(),
            starts: true,
            deploying: Vec::new(),
        };
        world.must(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        });
        world.must(&ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(1),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1_000_000),
                memory: MemoryMib(1_000_000),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
        let registered = serde_json::json!({"family": "web", "containerDefinitions": [
            {"name": "app", "image": "busybox", "cpu": 100, "memory": 100},
        ]});
        world.must(&RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(registered).unwrap()),
            tags: Vec::new(),
        });
        world.must(&CreateService {
            by_default: false,
            cluster: cluster(),
            name: key().service,
            definition: Some(definition()),
            spec: ServiceSpec::replicas(desired),
            load_balancers: Arc::new([]),
            client_token: None,
        });
        for _ in 0..8 {
            world.step();
        }
        world
    }

    fn must<C: Command>(&mut self, command: &C) -> C::Outcome {
        let now = Timestamp::from_millis(self.now);
        let seed = u64::try_from(self.now).unwrap() ^ self.state.revision().0;
        let decision = command.decide(&self.state, &mut Env::new(now, seed, &mut self.memory));
        let decision = decision.unwrap();
        if !decision.changes.is_empty() {
            let record = Record {
                v: Record::FORMAT,
                revision: self.state.revision().next(),
                entries: vec![Entry {
                    at: now,
                    by: "test".into(),
                    changes: decision.changes,
                }],
            };
            fold_record(&mut self.state, &record);
            assert_eq!(invariant::violations(&self.state), Vec::<String>::new());
        }
        decision.outcome
    }

    pub(crate) fn service(&self) -> &Service {
        self.state.service(&key()).unwrap()
    }

    pub(crate) fn desired(&self) -> u32 {
        self.service().spec.desired
    }

    /// Whether a deployment went on when the service was looked at.
    pub(crate) fn deployed_at(&self, at: Timestamp) -> bool {
        self.deploying.contains(&at)
    }

    pub(crate) fn scale(&mut self, min: i64, max: i64, tracking: TargetTracking) {
        self.must(&RegisterScalableTarget {
            cluster: cluster(),
            service: key().service,
            min: Some(min),
            max: Some(max),
            scale_in_suspended: None,
            scale_out_suspended: None,
            scheduled_suspended: None,
        });
        self.must(&PutScalingPolicy {
            cluster: cluster(),
            service: key().service,
            name: PolicyName::parse("cpu").unwrap(),
            tracking,
        });
    }

    pub(crate) fn deploy(&mut self) {
        self.must(&UpdateService {
            cluster: cluster(),
            service: key().service,
            update: ServiceUpdate {
                force_new_deployment: true,
                ..ServiceUpdate::default()
            },
        });
    }

    pub(crate) fn deploy_what_does_not_start(&mut self) {
        self.starts = false;
        self.deploy();
    }

    /// A minute passes with the load; it is measured or not. At its end the service is looked at.
    pub(crate) fn minute(&mut self, load: f64, measured: bool) {
        for _ in 0..PERIOD.as_secs() / 15 {
            self.step();
            let running = running(&self.state, self.service());
            if measured && running > 0 {
                self.samples.push(Sample {
                    at: Timestamp::from_millis(self.now),
                    value: load / f64::from(running),
                    whole: true,
                });
            }
        }
        let old = self.samples.len().saturating_sub(64);
        self.samples.drain(..old);
        self.look();
    }

    /// Looks at the service, and does what follows.
    pub(crate) fn look(&mut self) {
        let now = Timestamp::from_millis(self.now);
        let measured = Measured::from([(CPU, self.samples.clone())]);
        let service = self.service();
        if service.is_deploying() {
            self.deploying.push(now);
        }
        let service = self.service();
        let (verdict, running) = verdict(&self.state, service, &measured, PERIOD, now).unwrap();
        if let Some(command) = ScaleService::by(service, &verdict, running) {
            assert!(self.must(&command));
        }
    }

    /// A quarter of a minute passes: the service takes its steps, and tasks start and stop.
    fn step(&mut self) {
        self.now += STEP;
        let mut reports = Vec::new();
        for task in self.state.live_tasks_of(self.service()) {
            match (task.desired, task.last) {
                (DesiredStatus::Stopped, _) => reports.push((task.id, observed(TaskStatus::Stopped))),
                (DesiredStatus::Running, TaskStatus::Running) => {}
                (DesiredStatus::Running, _) if self.starts => reports.push((task.id, observed(TaskStatus::Running))),
                (DesiredStatus::Running, _) => {}
            }
        }
        self.report(reports);
        self.must(&ReconcileService {
            key: key(),
            timing: Timing::default(),
        });
    }

    fn report(&mut self, reports: Vec<(TaskId, Arc<Observation>)>) {
        self.must(&ReportTasks {
            instance: InstanceKey {
                cluster: ClusterKey(1),
                instance: InstanceId::from_bits(1),
            },
            reports,
        });
    }
}

fn observed(status: TaskStatus) -> Arc<Observation> {
    Arc::new(Observation {
        last_status: status,
        containers: Arc::new([]),
        stop_code: (status == TaskStatus::Stopped).then_some(StopCode::ServiceSchedulerInitiated),
        stopped_reason: None,
        times: TaskTimes::default(),
    })
}
