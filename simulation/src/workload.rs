//! What clients ask for, what they were told, and what they may rely on since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::DefinitionReference;
use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::name::{ClusterName, Family, ServiceName};
use berth_model::placement::{Constraint, PackBy, SpreadKey, Strategy};
use berth_model::service::{DeploymentConfiguration, SchedulingStrategy};
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::service::{CreateService, DeleteService, ServiceUpdate, UpdateService};
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::service::ServiceSpec;

use crate::ask::{Answer, Ask, Waits};
use crate::mutant::Mutant;
use crate::random::Random;
use crate::schedules;
use crate::standing::Standing;
use crate::task_sets;

/// What tasks run: for ever, for ever on a port of the host, a while, and for ever with hardly anything.
pub(crate) const FAMILIES: [&str; 5] = ["web", "port", "batch", SMALL, TINY];
/// Of it as many fit as there may be in task sets.
pub(crate) const SMALL: &str = "small";
/// Of it one fits on whatever host.
const TINY: &str = "tiny";
const SERVICES: [&str; 4] = ["api", BALANCED, "jobs", EVERYWHERE];
/// Has as many tasks in one zone as in the other.
const BALANCED: &str = "front";
/// Has a task on every host.
const EVERYWHERE: &str = "each";
/// Tasks that all services together want, at most: they fit on what is left when one host is away.
const DESIRED: usize = 3;

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    CreateCluster,
    Register(&'static str),
    Run {
        count: u32,
        family: &'static str,
        token: Option<u64>,
        waits: bool,
        style: usize,
    },
    Stop(TaskId),
    CreateService {
        name: &'static str,
        desired: u32,
    },
    UpdateService {
        name: &'static str,
        desired: u32,
        deploy: bool,
    },
    DeleteService(&'static str),
    /// A schedule that is due once.
    Schedule(Timestamp),
    /// Something that stays.
    SetUp(Standing),
    /// Something about task sets.
    TaskSet(task_sets::Request),
}

/// Everything that was promised to clients.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    /// Requests whose answer is waited for, with the number of tries.
    pub(crate) open: BTreeMap<u64, (Request, u32)>,
    asked: u64,
    /// Tasks that a client was told of.
    pub(crate) tasks: BTreeSet<TaskId>,
    /// Tasks that a client was told will stop.
    pub(crate) stops: BTreeSet<TaskId>,
    /// How many copies each request is for.
    pub(crate) copies: BTreeMap<u64, u32>,
    /// Services that a client was told exist, and that nobody has asked to delete who may still be heard.
    pub(crate) services: BTreeSet<&'static str>,
    /// Of each service the last request to delete it.
    deletes: BTreeMap<&'static str, u64>,
    /// Services with a request to delete them that may be on its way for ever.
    doubtful: BTreeSet<&'static str>,
    /// Requests to create a service that were made while one to delete it was open: either may have come first.
    raced: BTreeSet<u64>,
    /// How many tasks each service was last said to have.
    desired: BTreeMap<&'static str, u32>,
    /// A service that was just deleted: somebody wants it again at once, as it was.
    renewed: Option<&'static str>,
    registered: BTreeSet<&'static str>,
    cluster: bool,
    /// Requests for schedules that a client was told exist.
    pub(crate) schedules: BTreeSet<u64>,
    /// Requests for what stays that a client was told is there.
    pub(crate) standing: BTreeSet<(u64, Standing)>,
    pub(crate) sets: task_sets::Promised,
}

impl Workload {
    /// A new request of some kind.
    pub(crate) fn next(&mut self, random: &mut Random, now: Timestamp) -> (u64, Request) {
        let request = self.choose(random, now);
        (self.add(request.clone()), request)
    }

    pub(crate) fn add(&mut self, request: Request) -> u64 {
        self.asked += 1;
        match request {
            Request::Run { count, .. } => {
                self.copies.insert(self.asked, count);
            }
            Request::Schedule(_) => {
                self.copies.insert(self.asked, 1);
            }
            Request::CreateCluster
            | Request::Register(_)
            | Request::Stop(_)
            | Request::CreateService { .. }
            | Request::UpdateService { .. }
            | Request::DeleteService(_)
            | Request::SetUp(_)
            | Request::TaskSet(_) => {}
        }
        self.open.insert(self.asked, (request, 0));
        self.asked
    }

    fn choose(&mut self, random: &mut Random, now: Timestamp) -> Request {
        if !self.cluster {
            return Request::CreateCluster;
        }
        if let Some(family) = FAMILIES.iter().find(|family| !self.registered.contains(*family)) {
            return Request::Register(family);
        }
        if !self.sets.service {
            return Request::TaskSet(task_sets::Request::Service);
        }
        if let Some(name) = self.renewed.take() {
            let desired = self.desired.get(name).copied().unwrap_or(0);
            return Request::CreateService { name, desired };
        }
        let service = SERVICES[random.below(SERVICES.len())];
        let desired = u32::try_from(random.below(DESIRED + 1)).unwrap_or(0);
        let tasks: Vec<TaskId> = self.tasks.iter().copied().collect();
        match random.below(31) {
            0..=8 => {
                let count = u32::try_from(random.below(4) + 1).unwrap_or(1);
                let token = random.one_in(3).then(|| random.next());
                Request::Run {
                    count,
                    family: FAMILIES[random.below(FAMILIES.len())],
                    token,
                    waits: random.one_in(5),
                    style: random.below(6),
                }
            }
            9..=12 => random
                .pick(&tasks)
                .map_or(Request::Register("web"), |task| Request::Stop(*task)),
            13..=16 => Request::CreateService { name: service, desired },
            17..=19 => Request::UpdateService {
                name: service,
                desired,
                deploy: random.one_in(2),
            },
            20..=22 => Request::DeleteService(service),
            23 | 24 => Request::Schedule(now + Duration::from_millis(random.next() % 20_000)),
            25 | 26 => Request::SetUp(Standing::any(random)),
            27..=29 => Request::TaskSet(self.sets.choose(random)),
            _ => Request::Register(FAMILIES[random.below(FAMILIES.len())]),
        }
    }

    /// The client has its answer. Says whether it asks again.
    pub(crate) fn answered(&mut self, request: u64, answer: &Answer) {
        let number = request;
        let Some((request, _)) = self.open.remove(&number) else {
            return;
        };
        if let Answer::Refused = answer {
            return;
        }
        match request {
            Request::CreateCluster => self.cluster = true,
            Request::Register(family) => {
                self.registered.insert(family);
            }
            Request::Run { .. } => {
                if let Answer::Tasks(tasks) = answer {
                    self.tasks.extend(tasks);
                }
            }
            Request::Stop(task) => {
                self.stops.insert(task);
            }
            Request::CreateService { name, desired } => {
                self.desired.insert(name, desired);
                let raced = self.raced.contains(&number) || self.is_deleted(name);
                if !raced && self.deletes.get(name).is_none_or(|delete| *delete < number) {
                    self.services.insert(name);
                }
            }
            Request::UpdateService { name, desired, .. } => {
                self.desired.insert(name, desired);
            }
            Request::DeleteService(name) => self.renewed = Some(name),
            Request::Schedule(_) => {
                self.schedules.insert(number);
            }
            Request::SetUp(standing) => {
                self.standing.insert((number, standing));
            }
            Request::TaskSet(request) => self.sets.answered(request, answer),
        }
    }

    /// Whether somebody asks, or may still be heard, who wants the service to go.
    fn is_deleted(&self, name: &str) -> bool {
        let deletes = |(open, _): &(Request, u32)| matches!(open, Request::DeleteService(of) if *of == name);
        self.doubtful.contains(name) || self.open.values().any(deletes)
    }

    /// Nobody waits for anything any more, nor asks again.
    pub(crate) fn give_up(&mut self) {
        self.open.clear();
    }

    /// The client asks: from here on it may happen.
    pub(crate) fn asked(&mut self, number: u64, request: &Request) {
        if let Request::TaskSet(request) = request {
            self.sets.asked(*request);
        }
        if let Request::CreateService { name, .. } = request
            && self.is_deleted(name)
        {
            self.raced.insert(number);
        }
        if let Request::DeleteService(name) = request {
            self.services.remove(name);
            let newest = self.deletes.entry(name).or_default();
            *newest = number.max(*newest);
            if self.open.get(&number).is_some_and(|(_, tries)| *tries > 0) {
                // Asked again: the first may still arrive, however late.
                self.doubtful.insert(name);
            }
        }
    }
}

pub(crate) fn cluster() -> ClusterName {
    name("sim", ClusterName::parse)
}

/// A name of this file's own making, which is a name.
#[expect(clippy::expect_used, reason = "the names are constants")]
pub(crate) fn name<T>(text: &str, parse: impl Fn(&str) -> Result<T, Fault>) -> T {
    parse(text).expect("a valid name")
}

pub(crate) fn reference(family: &str) -> DefinitionReference {
    DefinitionReference::newest(name(family, Family::parse))
}

#[expect(clippy::expect_used, reason = "the definitions are constants")]
fn definition(family: &str) -> RegisterDefinition {
    let app = match family {
        "web" => serde_json::json!({"name": "app", "image": "i", "cpu": 256, "memory": 128}),
        "port" => serde_json::json!({"name": "app", "image": "i", "cpu": 128, "memory": 64,
            "portMappings": [{"containerPort": 80, "hostPort": 8080}]}),
        SMALL => serde_json::json!({"name": "app", "image": "i", "cpu": 16, "memory": 8}),
        TINY => serde_json::json!({"name": "app", "image": "i", "memory": 6}),
        _ => serde_json::json!({"name": "app", "image": "i", "cpu": 128, "memory": 64}),
    };
    let side = serde_json::json!({"name": "side", "image": "i", "cpu": 32, "memory": 16, "essential": false});
    let containers = if family == "batch" { vec![app, side] } else { vec![app] };
    let definition = serde_json::json!({"family": family, "containerDefinitions": containers});
    RegisterDefinition {
        family: name(family, Family::parse),
        definition: Arc::new(serde_json::from_value(definition).expect("a valid definition")),
        tags: Vec::new(),
    }
}

fn call(number: u64, family: &str, token: Option<u64>) -> Call {
    Call {
        started_by: Some(number.to_string().into()),
        client_token: token.map(|token| ClientToken {
            token: Arc::from(token.to_string()),
            fingerprint: 1,
        }),
        ..Call::of(cluster(), reference(family))
    }
}

/// The service of the name.
fn service_of(name: &str, desired: u32) -> ServiceSpec {
    let plain = ServiceSpec::replicas(desired);
    match name {
        BALANCED => ServiceSpec {
            zone_rebalancing: true,
            ..plain
        },
        EVERYWHERE => ServiceSpec {
            scheduling: SchedulingStrategy::Daemon,
            configuration: DeploymentConfiguration::default_of(SchedulingStrategy::Daemon),
            desired: 0,
            ..plain
        },
        _ => plain,
    }
}

/// What the tasks of the service of the name run.
fn runs(service: &str) -> DefinitionReference {
    reference(match service {
        EVERYWHERE => TINY,
        _ => "web",
    })
}

/// The command of a request.
pub(crate) fn command(number: u64, request: &Request, mutant: Option<Mutant>) -> Ask {
    let waits = Waits::Client(number);
    match request {
        Request::CreateCluster => {
            let command = CreateCluster {
                providers: Vec::new(),
                strategy: Vec::new(),
                name: cluster(),
                tags: Vec::new(),
            };
            Ask::new(command, waits, mutant, |()| Answer::Done)
        }
        Request::Register(family) => Ask::new(definition(family), waits, mutant, |_| Answer::Done),
        Request::Run {
            count,
            family,
            token,
            waits: patient,
            style,
        } => {
            let (constraints, strategies) = match style {
                0 => (vec![Constraint::DistinctInstance], Vec::new()),
                1 => (Vec::new(), vec![Strategy::Binpack(PackBy::Memory)]),
                2 => (Vec::new(), vec![Strategy::Random]),
                3 => (Vec::new(), vec![Strategy::Spread(SpreadKey::Instance)]),
                _ => (Vec::new(), Vec::new()),
            };
            let command = RunTask {
                call: call(number, family, *token),
                count: *count,
                constraints,
                strategies,
                patience: patient.then_some(Duration::from_secs(30)),
            };
            Ask::new(command, waits, mutant, |launched| Answer::Tasks(launched.tasks))
        }
        Request::Stop(task) => {
            let command = StopTask {
                cluster: cluster(),
                task: *task,
                reason: None,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::CreateService { name: service, desired } => {
            let command = CreateService {
                by_default: false,
                cluster: cluster(),
                name: name(service, ServiceName::parse),
                definition: Some(runs(service)),
                spec: service_of(service, *desired),
                load_balancers: Arc::from([]),
                client_token: None,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::UpdateService {
            name: service,
            desired,
            deploy,
        } => {
            let update = ServiceUpdate {
                definition: deploy.then(|| runs(service)),
                force_new_deployment: *deploy,
                desired: (*service != EVERYWHERE).then(|| i32::try_from(*desired).unwrap_or(0)),
                ..ServiceUpdate::default()
            };
            let command = UpdateService {
                cluster: cluster(),
                service: name(service, ServiceName::parse),
                update,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::DeleteService(service) => {
            let command = DeleteService {
                cluster: cluster(),
                service: name(service, ServiceName::parse),
                force: true,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::Schedule(due) => {
            let command = schedules::once(number, *due, call(number, "batch", None));
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::SetUp(standing) => standing.ask(number, waits, mutant),
        Request::TaskSet(request) => task_sets::command(number, *request, waits, mutant),
    }
}
