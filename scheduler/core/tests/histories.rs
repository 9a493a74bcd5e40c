//! Random histories: whatever is asked, in whatever order, the state stays sound, placements never take more than an
//! instance has, and a replay or a snapshot gives the same state.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "histories/queue.rs"]
mod queue;

use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::DefinitionReference;
use berth_model::fault::Fault;
use berth_model::gpu::GpuId;
use berth_model::id::{ClusterName, Family, InstanceId, ServiceName, TaskId};
use berth_model::overrides::TaskOverride;
use berth_model::placement::{Constraint, PackBy, Strategy as Placing};
use berth_model::quantity::{CpuUnits, MemoryMib, PortSet, Protocol};
use berth_model::service::{DeploymentConfiguration, PropagateTags, SchedulingStrategy, ServiceStatus};
use berth_model::status::{ContainerStatus, HealthStatus, InstanceStatus, LaunchType, StopCode, TaskStatus};
use berth_model::task_definition::capability;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::{Change, Entry, Record};
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::cluster::{CreateCluster, DeleteCluster};
use berth_scheduler_core::decide::definition::{DeregisterDefinition, RegisterDefinition};
use berth_scheduler_core::decide::instance::{
    ConnectInstance, DeregisterInstance, SetConnection, SetInstancesStatus, SetLeaving,
};
use berth_scheduler_core::decide::protection::SetProtection;
use berth_scheduler_core::decide::queue::EndOverdue;
use berth_scheduler_core::decide::reconcile::ReconcileService;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::service::{
    CreateService, DeleteService, ServiceUpdate, StopDeployment, UpdateService,
};
use berth_scheduler_core::decide::start::StartTask;
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::decide::upkeep::{ForgetServices, ForgetStoppedTasks};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey};
use berth_scheduler_core::observation::Observation;
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, NetworkBinding, TaskTimes};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::service::ServiceSpec;
use berth_scheduler_core::snapshot::{self, Restoration};
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;
use proptest::prelude::*;
use queue::Rule;

/// One step of a history, over small sets of names so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Delete,
    Register {
        cpu: u32,
        memory: u32,
        port: u16,
        gpus: u32,
    },
    Deregister {
        revision: u32,
    },
    Connect {
        instance: u128,
        cpu: u32,
        leaves: bool,
    },
    Leave {
        instance: u128,
        leaves: bool,
    },
    Disconnect {
        instance: u128,
    },
    Drain {
        instance: u128,
        status: InstanceStatus,
    },
    Remove {
        instance: u128,
        force: bool,
    },
    Run {
        count: u32,
        distinct: bool,
        pack: bool,
    },
    Queue {
        count: u32,
        rule: Rule,
        patience: u64,
    },
    Wake,
    Overdue,
    StopQueued {
        nth: usize,
    },
    Start {
        instances: Vec<u128>,
    },
    Stop {
        nth: usize,
    },
    Protect {
        nth: usize,
        minutes: Option<u64>,
    },
    Report {
        nth: usize,
        status: TaskStatus,
        port: u16,
        own: bool,
    },
    Forget {
        age: u64,
    },
    CreateService {
        desired: u32,
        daemon: bool,
        breaker: bool,
    },
    Update {
        desired: Option<i32>,
        force: bool,
    },
    DeleteService,
    StopDeployment,
    Reconcile {
        wait: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let instance = 1_u128..4;
    let status = prop_oneof![Just(InstanceStatus::Active), Just(InstanceStatus::Draining)];
    let seen = prop_oneof![
        Just(TaskStatus::Pending),
        Just(TaskStatus::Running),
        Just(TaskStatus::Stopping),
        Just(TaskStatus::Stopped),
    ];
    let rule = prop_oneof![3 => Just(Rule::None), 2 => Just(Rule::Distinct), 1 => Just(Rule::Near)];
    prop_oneof![
        1 => Just(Step::Create),
        1 => Just(Step::Delete),
        2 => (0_u32..600, 6_u32..600, 0_u16..3, 0_u32..3)
            .prop_map(|(cpu, memory, port, gpus)| Step::Register { cpu, memory, port, gpus }),
        1 => (1_u32..4).prop_map(|revision| Step::Deregister { revision }),
        3 => (instance.clone(), 1_u32..3, prop::bool::weighted(0.1)).prop_map(|(instance, cpu, leaves)| Step::Connect {
            instance,
            cpu: cpu * 1024,
            leaves
        }),
        1 => (instance.clone(), any::<bool>()).prop_map(|(instance, leaves)| Step::Leave { instance, leaves }),
        1 => instance.clone().prop_map(|instance| Step::Disconnect { instance }),
        1 => (instance.clone(), status).prop_map(|(instance, status)| Step::Drain { instance, status }),
        1 => (instance.clone(), any::<bool>()).prop_map(|(instance, force)| Step::Remove { instance, force }),
        6 => (1_u32..5, any::<bool>(), any::<bool>()).prop_map(|(count, distinct, pack)| Step::Run { count, distinct, pack }),
        4 => (1_u32..5, rule, 1_u64..600)
            .prop_map(|(count, rule, patience)| Step::Queue { count, rule, patience }),
        3 => Just(Step::Wake),
        1 => Just(Step::Overdue),
        1 => (0_usize..20).prop_map(|nth| Step::StopQueued { nth }),
        2 => prop::collection::vec(instance, 1..4).prop_map(|instances| Step::Start { instances }),
        2 => (0_usize..20).prop_map(|nth| Step::Stop { nth }),
        1 => (0_usize..20, prop::option::of(1_u64..3)).prop_map(|(nth, minutes)| Step::Protect { nth, minutes }),
        8 => (0_usize..20, seen, 0_u16..4, prop::bool::weighted(0.9))
            .prop_map(|(nth, status, port, own)| Step::Report { nth, status, port, own }),
        1 => (0_u64..50).prop_map(|age| Step::Forget { age }),
        2 => (0_u32..5, prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(desired, daemon, breaker)| Step::CreateService { desired, daemon, breaker }),
        2 => (prop::option::of(0_i32..5), any::<bool>()).prop_map(|(desired, force)| Step::Update { desired, force }),
        1 => Just(Step::DeleteService),
        1 => Just(Step::StopDeployment),
        8 => prop_oneof![0_i64..100, 30_000_i64..90_000].prop_map(|wait| Step::Reconcile { wait }),
    ]
}

struct History {
    state: State,
    records: Vec<Record>,
    now: i64,
    memory: Memory,
    /// Where there may be room for what waits.
    hints: Hints,
}

impl History {
    /// Decides the command and adds its changes, as the engine does.
    fn submit<C: Command>(&mut self, command: &C) -> Result<C::Outcome, Fault> {
        self.now += 10;
        let seed = u64::try_from(self.now).unwrap();
        let now = Timestamp::from_millis(self.now);
        let decision = command.decide(&self.state, &mut Env::new(now, seed, &mut self.memory))?;
        let forgetful = command.decide(&self.state, &mut Env::new(now, seed, &mut Memory::default()))?;
        assert_eq!(
            decision.changes, forgetful.changes,
            "what is remembered changed what is decided"
        );
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
            for change in record.entries.iter().flat_map(|entry| &entry.changes) {
                self.hints.note(&self.state, change);
            }
            self.records.push(record);
        }
        Ok(decision.outcome)
    }

    fn new() -> Self {
        Self {
            state: State::default(),
            records: Vec::new(),
            now: 1_000_000,
            memory: Memory::default(),
            hints: Hints::default(),
        }
    }

    fn nth_task(&self, nth: usize) -> (TaskId, InstanceId) {
        let tasks: Vec<_> = self.state.tasks_of(ClusterKey(1), None).collect();
        match tasks.len() {
            0 => (TaskId::from_bits(99), InstanceId::from_bits(1)),
            count => (tasks[nth % count].id, tasks[nth % count].instance),
        }
    }

    /// Takes the step; a refusal is as good an answer as any.
    fn take(&mut self, step: &Step) {
        let ignored = match step {
            Step::CreateService {
                desired,
                daemon,
                breaker,
            } => self.submit(&create_service(*desired, *daemon, *breaker)).map(drop),
            Step::Update { desired, force } => self
                .submit(&UpdateService {
                    cluster: cluster(),
                    service: service().service,
                    update: ServiceUpdate {
                        definition: Some(call().definition),
                        force_new_deployment: *force,
                        desired: *desired,
                        ..ServiceUpdate::default()
                    },
                })
                .map(drop),
            Step::DeleteService => self
                .submit(&DeleteService {
                    cluster: cluster(),
                    service: service().service,
                    force: true,
                })
                .map(drop),
            Step::StopDeployment => {
                let known = self.state.service(&service());
                let Some(primary) = known.and_then(|service| service.primary()) else {
                    return;
                };
                let deployment = primary.id;
                self.submit(&StopDeployment {
                    cluster: cluster(),
                    service: service().service,
                    deployment,
                })
            }
            Step::Reconcile { wait } => {
                self.now += wait;
                self.reconcile()
            }
            Step::Create => self.submit(&CreateCluster {
                name: cluster(),
                tags: Vec::new(),
            }),
            Step::Delete => self.submit(&DeleteCluster { name: cluster() }),
            Step::Register {
                cpu,
                memory,
                port,
                gpus,
            } => self.submit(&register(*cpu, *memory, *port, *gpus)).map(drop),
            Step::Deregister { revision } => {
                let reference = DefinitionReference {
                    family: family(),
                    revision: Some(berth_model::id::DefinitionRevision(*revision)),
                };
                self.submit(&DeregisterDefinition { reference }).map(drop)
            }
            Step::Connect { instance, cpu, leaves } => self
                .submit(&ConnectInstance {
                    cluster: cluster(),
                    instance: InstanceId::from_bits(*instance),
                    facts: facts(*cpu),
                    leaving: leaving(*leaves),
                })
                .map(drop),
            Step::Leave { instance, leaves } => self.submit(&SetLeaving {
                key: key(*instance),
                leaving: leaving(*leaves),
            }),
            Step::Disconnect { instance } => self.submit(&SetConnection {
                key: key(*instance),
                connected: false,
            }),
            Step::Drain { instance, status } => self
                .submit(&SetInstancesStatus {
                    cluster: cluster(),
                    instances: vec![InstanceId::from_bits(*instance)],
                    status: *status,
                })
                .map(drop),
            Step::Remove { instance, force } => self
                .submit(&DeregisterInstance {
                    cluster: cluster(),
                    instance: InstanceId::from_bits(*instance),
                    force: *force,
                })
                .map(drop),
            Step::Run { count, distinct, pack } => self.run(*count, *distinct, *pack),
            Step::Queue { count, rule, patience } => self.queue(*count, *rule, *patience),
            Step::Wake => {
                self.wake();
                Ok(())
            }
            Step::Overdue => self.submit(&EndOverdue).map(drop),
            Step::StopQueued { nth } => {
                let task = self.nth_queued(*nth);
                self.submit(&StopTask {
                    cluster: cluster(),
                    task,
                    reason: None,
                })
                .map(drop)
            }
            Step::Start { instances } => self
                .submit(&StartTask {
                    call: call(),
                    instances: instances.iter().map(|id| InstanceId::from_bits(*id)).collect(),
                })
                .map(drop),
            Step::Stop { nth } => {
                let task = self.nth_task(*nth).0;
                self.submit(&StopTask {
                    cluster: cluster(),
                    task,
                    reason: None,
                })
                .map(drop)
            }
            Step::Protect { nth, minutes } => {
                let task = self.nth_task(*nth).0;
                self.submit(&SetProtection {
                    cluster: cluster(),
                    tasks: vec![task],
                    span: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
                })
                .map(drop)
            }
            Step::Report { nth, status, port, own } => {
                let (task, instance) = self.nth_task(*nth);
                let instance = if *own { instance } else { InstanceId::from_bits(77) };
                self.submit(&ReportTasks {
                    instance: InstanceKey {
                        cluster: ClusterKey(1),
                        instance,
                    },
                    reports: vec![(task, observation(*status, *port))],
                })
            }
            Step::Forget { age } => {
                let retention = Duration::from_millis(*age);
                drop(self.submit(&ForgetServices { retention }));
                self.submit(&ForgetStoppedTasks { retention, limit: 3 }).map(drop)
            }
        };
        drop(ignored);
    }

    /// Takes the service's next step; one right after it finds nothing more to do.
    fn reconcile(&mut self) -> Result<(), Fault> {
        let step = ReconcileService {
            key: service(),
            timing: Timing::default(),
        };
        let before = invariant::overcommitted(&self.state);
        let records = self.records.len();
        self.submit(&step)?;
        assert_eq!(
            before,
            invariant::overcommitted(&self.state),
            "a step took more than there was"
        );
        let known = self.state.service(&service());
        let unaccounted = known.map_or(0, |service| service.ended.len());
        let is_over = known.is_none_or(|service| service.status == ServiceStatus::Inactive);
        assert!(unaccounted == 0 || is_over, "a step leaves ended tasks unaccounted for");
        if self.records.len() > records {
            // What it has stopped or placed is no reason to do more at once.
            self.now -= 10;
            let records = self.records.len();
            self.submit(&step)?;
            let again = self.records[records..].iter().flat_map(|record| &record.entries);
            let acts = |change: &Change| !matches!(change, Change::ServiceStepped { .. });
            let acts = again.flat_map(|entry| &entry.changes).find(|change| acts(change));
            assert_eq!(acts, None, "the same step twice");
        }
        Ok(())
    }

    fn run(&mut self, count: u32, distinct: bool, pack: bool) -> Result<(), Fault> {
        let before = invariant::overcommitted(&self.state);
        let launched = self.submit(&run_task(count, distinct, pack))?;
        assert!(launched.tasks.len() <= usize::try_from(count).unwrap());
        let complete = launched.tasks.len() == usize::try_from(count).unwrap();
        assert_eq!(
            launched.failures.is_empty(),
            complete,
            "a shortfall is explained, a success is not"
        );
        assert_eq!(
            before,
            invariant::overcommitted(&self.state),
            "a placement took more than there was"
        );
        Ok(())
    }
}

/// The state as a snapshot of it gives it back.
fn restored(state: &State) -> State {
    let mut restored = Restoration::default();
    for piece in snapshot::pieces(state) {
        let bytes = serde_json::to_vec(&piece).unwrap();
        restored.add(serde_json::from_slice(&bytes).unwrap());
    }
    restored.finish(state.revision())
}

fn run_task(count: u32, distinct: bool, pack: bool) -> RunTask {
    let constraints = distinct.then_some(Constraint::DistinctInstance);
    let strategies = pack.then_some(Placing::Binpack(PackBy::Cpu));
    RunTask {
        call: call(),
        count,
        constraints: constraints.into_iter().collect(),
        strategies: strategies.into_iter().collect(),
        patience: None,
    }
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn family() -> Family {
    Family::parse("web").unwrap()
}

fn key(instance: u128) -> InstanceKey {
    InstanceKey {
        cluster: ClusterKey(1),
        instance: InstanceId::from_bits(instance),
    }
}

fn leaving(leaves: bool) -> Option<Arc<str>> {
    leaves.then(|| "Host EC2 (instance i-1) stopped.".into())
}

fn facts(cpu: u32) -> Arc<InstanceFacts> {
    Arc::new(InstanceFacts {
        cpu: CpuUnits(cpu),
        memory: MemoryMib(2048),
        reserved_ports: PortSet::default(),
        // A host comes back with other GPUs too.
        gpus: (0..=cpu / 1024)
            .map(|number| GpuId::parse(&format!("GPU-{number}")).unwrap())
            .collect(),
        attributes: [(capability::GPU.to_owned(), None)].into(),
        ..InstanceFacts::default()
    })
}

fn register(cpu: u32, memory: u32, port: u16, gpus: u32) -> RegisterDefinition {
    let ports = match port {
        0 => serde_json::json!([]),
        port => serde_json::json!([{"containerPort": 80, "hostPort": 8000 + port}]),
    };
    let resources = match gpus {
        0 => serde_json::json!([]),
        gpus => serde_json::json!([{"type": "GPU", "value": gpus.to_string()}]),
    };
    let definition = serde_json::json!({
        "family": "web",
        "containerDefinitions": [
            {"name": "app", "image": "busybox", "cpu": cpu, "memory": memory, "portMappings": ports,
                "resourceRequirements": resources},
            {"name": "side", "image": "busybox", "memory": 6},
        ],
    });
    RegisterDefinition {
        family: family(),
        definition: Arc::new(serde_json::from_value(definition).unwrap()),
        tags: Vec::new(),
    }
}

fn call() -> Call {
    Call {
        cluster: cluster(),
        definition: DefinitionReference {
            family: family(),
            revision: None,
        },
        overrides: TaskOverride::default(),
        // A service's tasks can be protected; to all else a group is a name.
        group: Some("service:web".into()),
        started_by: None,
        tags: Vec::new(),
        propagate_definition_tags: false,
        launch_type: LaunchType::Ec2,
        has_network_configuration: false,
        client_token: None,
    }
}

fn service() -> ServiceKey {
    ServiceKey {
        cluster: ClusterKey(1),
        service: ServiceName::parse("api").unwrap(),
    }
}

fn create_service(desired: u32, daemon: bool, breaker: bool) -> CreateService {
    let scheduling = if daemon {
        SchedulingStrategy::Daemon
    } else {
        SchedulingStrategy::Replica
    };
    let mut configuration = DeploymentConfiguration::default_of(scheduling);
    configuration.circuit_breaker.enable = breaker;
    configuration.circuit_breaker.rollback = breaker;
    CreateService {
        cluster: cluster(),
        name: service().service,
        definition: call().definition,
        spec: ServiceSpec {
            scheduling,
            desired: if daemon { 0 } else { desired },
            configuration,
            constraints: Vec::new(),
            strategies: Vec::new(),
            health_check_grace_seconds: 0,
            zone_rebalancing: false,
            network: None,
            launch_type: LaunchType::Ec2,
            tags: Vec::new(),
            propagate_tags: PropagateTags::None,
            managed_tags: true,
            execute_command: false,
        },
        client_token: None,
    }
}

fn observation(status: TaskStatus, port: u16) -> Arc<Observation> {
    let last = if status == TaskStatus::Stopped {
        ContainerStatus::Stopped
    } else if status >= TaskStatus::Running {
        ContainerStatus::Running
    } else {
        ContainerStatus::Pending
    };
    let binding = NetworkBinding {
        bind_ip: "0.0.0.0".into(),
        container_port: 80,
        host_port: 32768 + port,
        protocol: Protocol::Tcp,
        range: 0,
    };
    Arc::new(Observation {
        last_status: status,
        containers: Arc::new([ContainerState {
            name: "app".into(),
            last,
            runtime_id: None,
            image_digest: None,
            exit_code: None,
            reason: None,
            bindings: if port == 0 { Vec::new() } else { vec![binding] },
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
        }]),
        stop_code: (status == TaskStatus::Stopped).then_some(StopCode::EssentialContainerExited),
        stopped_reason: None,
        times: TaskTimes::default(),
    })
}

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
