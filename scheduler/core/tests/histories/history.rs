//! A history: each step is asked of the state that those before it have made, as the engine does.

use std::time::Duration;

use berth_model::arn::{DefinitionReference, Resource};
use berth_model::fault::Fault;
use berth_model::id::{DefinitionId, DefinitionRevision, InstanceId, TaskId};
use berth_model::service::ServiceStatus;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::{Change, Entry, Record};
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::attribute::{DeleteAttributes, PutAttributes};
use berth_scheduler_core::decide::cluster::{CreateCluster, DeleteCluster};
use berth_scheduler_core::decide::definition::{DeleteDefinitions, DeregisterDefinition};
use berth_scheduler_core::decide::instance::{
    ConnectInstance, DeregisterInstance, SetConnection, SetInstancesStatus, SetLeaving,
};
use berth_scheduler_core::decide::protection::SetProtection;
use berth_scheduler_core::decide::queue::EndOverdue;
use berth_scheduler_core::decide::reconcile::ReconcileService;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::service::{DeleteService, ServiceUpdate, StopDeployment, UpdateService};
use berth_scheduler_core::decide::start::{Chosen, StartTask};
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::decide::tag::TagResource;
use berth_scheduler_core::decide::target::RecordTargets;
use berth_scheduler_core::decide::upkeep::{
    ExpireDefinitions, ForgetDefinitions, ForgetServices, ForgetStoppedTasks, unused_definitions,
};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::snapshot::{self, Restoration};
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;

use super::request::{
    call, cluster, create_service, facts, family, key, leaving, load_balancers, observation, register, run_task,
    service,
};
use super::step::Step;
use super::{capacity, schedule};

/// What was asked so far, and the state that it has made.
pub(super) struct History {
    pub(super) state: State,
    pub(super) records: Vec<Record>,
    pub(super) now: i64,
    memory: Memory,
    /// Where there may be room for what waits.
    pub(super) hints: Hints,
}

impl History {
    /// Decides the command and adds its changes, as the engine does.
    pub(super) fn submit<C: Command>(&mut self, command: &C) -> Result<C::Outcome, Fault> {
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

    pub(super) fn new() -> Self {
        Self {
            state: State::default(),
            records: Vec::new(),
            now: 1_000_000,
            memory: Memory::default(),
            hints: Hints::default(),
        }
    }

    pub(super) fn nth_task(&self, nth: usize) -> (TaskId, InstanceId) {
        let tasks: Vec<_> = self.state.tasks_of(ClusterKey(1), None).collect();
        match tasks.len() {
            0 => (TaskId::from_bits(99), InstanceId::from_bits(1)),
            count => (tasks[nth % count].id, tasks[nth % count].instance),
        }
    }

    /// Takes the step; a refusal is as good an answer as any.
    pub(super) fn take(&mut self, step: &Step) {
        let ignored = match step {
            Step::CreateService {
                desired,
                daemon,
                breaker,
                balanced,
            } => self
                .submit(&create_service(*desired, *daemon, *breaker, *balanced))
                .map(drop),
            Step::Update {
                desired,
                force,
                balanced,
            } => self
                .submit(&UpdateService {
                    cluster: cluster(),
                    service: service().service,
                    update: ServiceUpdate {
                        definition: Some(call().definition),
                        force_new_deployment: *force,
                        desired: *desired,
                        load_balancers: balanced.map(load_balancers),
                        ..ServiceUpdate::default()
                    },
                })
                .map(drop),
            Step::Target { nth, health } => {
                let (task, _) = self.nth_task(*nth);
                self.submit(&RecordTargets {
                    cluster: ClusterKey(1),
                    health: health
                        .iter()
                        .map(|health| (task, *health, "status 500".into()))
                        .collect(),
                    drained: if health.is_none() { vec![task] } else { Vec::new() },
                })
            }
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
            Step::CreateSchedule { wish } => self.submit(&schedule::create(wish)).map(drop),
            Step::UpdateSchedule { wish, enable } => self.submit(&schedule::update(wish, *enable)).map(drop),
            Step::DeleteSchedule => self.submit(&schedule::delete()),
            Step::Fire { wait } => {
                self.now += wait;
                self.fire()
            }
            Step::SetScaling { bounds, target, name } => self.set_scaling(*bounds, *target, *name),
            Step::EndScaling { name } => self.end_scaling(*name),
            Step::Measure { value } => self.measure(*value),
            Step::RunSchedule => self.submit(&schedule::run()).map(drop),
            Step::CreateAccessKey { user } => self.create_access_key(*user),
            Step::RotateAccessKey { grace } => self.rotate_access_key(*grace),
            Step::UpdateAccessKey {
                nth,
                active,
                everything,
            } => self.update_access_key(*nth, *active, *everything),
            Step::DeleteAccessKey { nth } => self.delete_access_key(*nth),
            Step::CreateJoinToken { uses, lifetime } => self.create_join_token(&cluster(), *uses, *lifetime),
            Step::RevokeJoinToken => self.revoke_join_token(),
            Step::Enroll { nth, key, sends } => self.enroll(*nth, *key, *sends),
            Step::Renew { nth } => self.renew(*nth),
            Step::RemoveMember { nth } => self.remove_member(*nth),
            Step::Create => self.submit(&CreateCluster {
                providers: Vec::new(),
                strategy: Vec::new(),
                name: cluster(),
                tags: Vec::new(),
            }),
            Step::Capacity(act) => self.act(act),
            Step::Deploy(act) => self.deploy(act),
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
                    revision: Some(DefinitionRevision(*revision)),
                };
                self.submit(&DeregisterDefinition { reference }).map(drop)
            }
            Step::DeleteDefinition { revision } => self
                .submit(&DeleteDefinitions {
                    ids: vec![DefinitionId {
                        family: family(),
                        revision: DefinitionRevision(*revision),
                    }],
                })
                .map(drop),
            Step::ExpireDefinitions => self
                .submit(&ExpireDefinitions {
                    retention: Duration::from_millis(100),
                    limit: 1,
                })
                .map(drop),
            Step::Connect { instance, cpu, leaves } => self
                .submit(&ConnectInstance {
                    cluster: cluster(),
                    instance: InstanceId::from_bits(*instance),
                    facts: capacity::placed(*instance, facts(*cpu)),
                    leaving: leaving(*leaves),
                    via: None,
                })
                .map(drop),
            Step::Leave { instance, leaves } => self.submit(&SetLeaving {
                key: key(*instance),
                leaving: leaving(*leaves),
            }),
            Step::Disconnect { instance } => self.submit(&SetConnection {
                key: key(*instance),
                connected: false,
                via: None,
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
            Step::Mark { instance, marked } => self.mark(*instance, *marked),
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
                    instances: instances.iter().map(|id| self.chosen(*id)).collect(),
                })
                .map(drop),
            Step::Tag { nth, of, set } => self.tag(*nth, *of, *set),
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
                let unused = unused_definitions(&self.state);
                drop(self.submit(&ForgetDefinitions { unused }));
                self.submit(&ForgetStoppedTasks { retention, limit: 3 }).map(drop)
            }
        };
        drop(ignored);
    }

    /// Takes the service's next step; one right after it finds nothing more to do.
    pub(super) fn reconcile(&mut self) -> Result<(), Fault> {
        let step = ReconcileService {
            key: service(),
            timing: Timing::default(),
        };
        let before = invariant::overcommitted(&self.state);
        let records = self.records.len();
        let taken = self.submit(&step)?;
        assert_eq!(
            before,
            invariant::overcommitted(&self.state),
            "a step took more than there was"
        );
        let known = self.state.service(&service());
        let unaccounted = known.map_or(0, |service| service.ended.len());
        let is_over = known.is_none_or(|service| service.status == ServiceStatus::Inactive);
        assert!(unaccounted == 0 || is_over, "a step leaves ended tasks unaccounted for");
        let acts = |records: &[Record]| {
            let changes = records
                .iter()
                .flat_map(|record| &record.entries)
                .flat_map(|entry| &entry.changes);
            let mut acts = changes.filter(|change| !matches!(change, Change::ServiceStepped { .. }));
            acts.next().cloned()
        };
        if taken.waits_for_room && self.records.len() > records && acts(&self.records[records..]).is_none() {
            // That there is no place is news: the next step may make room, and must then be the last.
            self.now -= 10;
            self.submit(&step)?;
        }
        if self.records.len() > records {
            // What it has stopped or placed is no reason to do more at once.
            self.now -= 10;
            let records = self.records.len();
            self.submit(&step)?;
            assert_eq!(acts(&self.records[records..]), None, "the same step twice");
        }
        Ok(())
    }

    /// An instance as StartTask names it: every other one with its version, which no other task of the call changes.
    pub(super) fn chosen(&self, id: u128) -> Chosen {
        let instance = InstanceId::from_bits(id);
        let known = self.state.instance(InstanceKey {
            cluster: ClusterKey(1),
            instance,
        });
        Chosen {
            instance,
            version: known.map(|known| known.version).filter(|_| id.is_multiple_of(2)),
        }
    }

    pub(super) fn tag(&mut self, nth: usize, of: u8, set: bool) -> Result<(), Fault> {
        let (task, instance) = self.nth_task(nth);
        let resource = match of {
            0 => Resource::Task(cluster(), task),
            1 => Resource::Task(cluster(), self.nth_queued(nth)),
            2 => Resource::Instance(cluster(), instance),
            3 => Resource::Cluster(cluster()),
            _ => Resource::Definition(DefinitionReference {
                family: family(),
                revision: Some(DefinitionRevision(1)),
            }),
        };
        let tag = Tag {
            key: "team".to_owned(),
            value: nth.to_string(),
        };
        self.submit(&TagResource {
            resource,
            set: set.then_some(tag).into_iter().collect(),
            remove: if set { Vec::new() } else { vec!["team".to_owned()] },
        })
    }

    pub(super) fn mark(&mut self, instance: u128, marked: bool) -> Result<(), Fault> {
        let attributes = [(InstanceId::from_bits(instance), [("mark".to_owned(), None)].into())].into();
        let cluster = cluster();
        match marked {
            true => self.submit(&PutAttributes { cluster, attributes }),
            false => self.submit(&DeleteAttributes { cluster, attributes }).map(drop),
        }
    }

    pub(super) fn run(&mut self, count: u32, distinct: bool, pack: bool) -> Result<(), Fault> {
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
pub(super) fn restored(state: &State) -> State {
    let mut restored = Restoration::default();
    for piece in snapshot::pieces(state) {
        let bytes = serde_json::to_vec(&piece).unwrap();
        restored.add(serde_json::from_slice(&bytes).unwrap());
    }
    restored.finish(state.revision())
}
