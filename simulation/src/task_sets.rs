//! A service whose tasks clients deploy by task sets: what they ask for, what they were told, and what must be true.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::id::DeploymentId;
use berth_model::name::ServiceName;
use berth_model::service::{DeploymentController, Scale, StabilityStatus};
use berth_model::status::{LaunchType, TaskStatus};
use berth_scheduler_core::decide::service::CreateService;
use berth_scheduler_core::decide::task_set::{CreateTaskSet, DeleteTaskSet, Named, SetPrimaryTaskSet, UpdateTaskSet};
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::service::ServiceSpec;
use berth_scheduler_core::state::{Service, State};

use crate::ask::{Answer, Ask, Waits};
use crate::mutant::Mutant;
use crate::random::Random;
use crate::workload::{SMALL, cluster, name, reference};

const SERVICE: &str = "sets";
/// The count that task sets have parts of.
const DESIRED: u32 = 4;
/// What parts they are given, in percent: some lead to the same count.
const PARTS: [u8; 5] = [0, 25, 30, 50, 100];

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// The service itself.
    Service,
    /// A task set with this part of the count.
    Create(u8),
    /// Another part for a task set.
    Scale(DeploymentId, u8),
    /// That it is the primary one.
    Prefer(DeploymentId),
    /// Its end.
    Delete(DeploymentId),
}

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    pub(crate) service: bool,
    /// Task sets that were made, and that nobody has asked to delete.
    made: BTreeSet<DeploymentId>,
    /// Those of which was said that they go.
    deleted: BTreeSet<DeploymentId>,
}

impl Promised {
    /// A request of some kind.
    pub(crate) fn choose(&self, random: &mut Random) -> Request {
        let made: Vec<DeploymentId> = self.made.iter().copied().collect();
        let part = PARTS[random.below(PARTS.len())];
        let Some(&known) = random.pick(&made) else {
            return Request::Create(part);
        };
        match random.below(6) {
            0 | 1 => Request::Create(part),
            2 | 3 => Request::Scale(known, part),
            4 => Request::Prefer(known),
            _ => Request::Delete(known),
        }
    }

    /// A client asks: from here on it may happen.
    pub(crate) fn asked(&mut self, request: Request) {
        if let Request::Delete(set) = request {
            self.made.remove(&set);
        }
    }

    /// A client has been told that it is so.
    pub(crate) fn answered(&mut self, request: Request, answer: &Answer) {
        match (request, answer) {
            (Request::Service, _) => self.service = true,
            (Request::Create(_), Answer::TaskSet(set)) => {
                self.made.insert(*set);
            }
            (Request::Delete(set), _) => {
                self.deleted.insert(set);
            }
            (Request::Create(_) | Request::Scale(..) | Request::Prefer(_), _) => {}
        }
    }

    /// What is not as clients were told, after a long time in which nothing went wrong.
    pub(crate) fn broken(&self, state: &State) -> Option<String> {
        let service = state.services().find(|service| service.name.as_str() == SERVICE);
        let Some(service) = service else {
            return self
                .service
                .then(|| format!("service {SERVICE} was acknowledged and is not there"));
        };
        let there: BTreeSet<DeploymentId> = service.task_sets().map(|(deployment, _)| deployment.id).collect();
        if let Some(lost) = self.made.difference(&there).next() {
            return Some(format!("task set {lost} was acknowledged and is not there"));
        }
        if let Some(left) = self.deleted.intersection(&there).next() {
            return Some(format!("task set {left} was deleted and does not go"));
        }
        unsettled(state, service)
    }
}

/// What a service with task sets lacks.
fn unsettled(state: &State, service: &Service) -> Option<String> {
    let primaries = service
        .task_sets()
        .filter(|(deployment, _)| deployment.is_primary())
        .count();
    if primaries > 1 {
        return Some(format!(
            "{primaries} task sets of service {} are the primary one",
            service.name
        ));
    }
    let mut wanted = 0;
    for (deployment, set) in service.task_sets() {
        let count = set.count(service.spec.desired);
        wanted += count;
        let of_set = |launch: &berth_scheduler_core::launch::ServiceLaunch| launch.deployment == deployment.id;
        let live = state
            .live_tasks_of(service)
            .filter(|task| task.launch.service.as_ref().is_some_and(of_set));
        let running = live.filter(|task| task.last == TaskStatus::Running).count();
        if running != usize::try_from(count).unwrap_or(usize::MAX) || set.stability != StabilityStatus::SteadyState {
            return Some(format!(
                "task set {} is to have {count} tasks, has {running}, and is {:?}",
                deployment.id, set.stability
            ));
        }
    }
    let live = state.live_tasks_of(service).count();
    (live != usize::try_from(wanted).unwrap_or(usize::MAX)).then(|| {
        format!(
            "the task sets of service {} are to have {wanted} tasks, and it has {live}",
            service.name
        )
    })
}

fn named(set: DeploymentId) -> Named {
    Named {
        cluster: cluster(),
        service: name(SERVICE, ServiceName::parse),
        set,
    }
}

/// The command of a request.
pub(crate) fn command(number: u64, request: Request, waits: Waits, mutant: Option<Mutant>) -> Ask {
    let part = |percent: u8| name("PERCENT", |unit| Scale::parse(Some(f64::from(percent)), Some(unit)));
    match request {
        Request::Service => {
            let command = CreateService {
                by_default: false,
                cluster: cluster(),
                name: name(SERVICE, ServiceName::parse),
                definition: None,
                spec: ServiceSpec {
                    controller: DeploymentController::External,
                    ..ServiceSpec::replicas(DESIRED)
                },
                load_balancers: Arc::from([]),
                client_token: None,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::Create(percent) => {
            let command = CreateTaskSet {
                cluster: cluster(),
                service: name(SERVICE, ServiceName::parse),
                definition: reference(SMALL),
                scale: part(percent),
                external_id: None,
                load_balancers: Arc::from([]),
                network: None,
                launch_type: LaunchType::Ec2,
                capacity: Vec::new(),
                platform_version: None,
                by_default: false,
                client_token: Some(ClientToken {
                    token: Arc::from(number.to_string()),
                    fingerprint: 1,
                }),
                tags: Vec::new(),
            };
            Ask::new(command, waits, mutant, |(_, set)| Answer::TaskSet(set))
        }
        Request::Scale(set, percent) => {
            let command = UpdateTaskSet {
                named: named(set),
                scale: part(percent),
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
        Request::Prefer(set) => Ask::new(SetPrimaryTaskSet { named: named(set) }, waits, mutant, |_| Answer::Done),
        Request::Delete(set) => {
            let command = DeleteTaskSet {
                named: named(set),
                force: true,
            };
            Ask::new(command, waits, mutant, |_| Answer::Done)
        }
    }
}
