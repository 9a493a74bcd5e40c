//! A cluster with one service and simulated time: does what steps ask for, as slowly and as badly as it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::id::{DefinitionId, DefinitionRevision, DeploymentId, InstanceId, ServiceRevisionId, TaskId};
use berth_model::name::{Family, ServiceName};
use berth_model::placement::parse_strategies;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::service::{
    CircuitBreaker, DeploymentConfiguration, DeploymentStatus, RolloutState, SchedulingStrategy, ServiceStatus,
};
use berth_model::status::{HealthStatus, StopCode};
use berth_model::time::Timestamp;
use berth_scheduler_core::reconcile::events::{self, Obstacle};
use berth_scheduler_core::reconcile::{
    Host, Launch, Phase, Place, Presence, Step, TaskView, Timing, View, step, unplaced,
};
use berth_scheduler_core::service::{Deployment, ServiceSpec};

/// What the tasks of a release do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Run, and pass their checks where they have any.
    Good,
    /// End before they are RUNNING.
    CannotStart,
    /// End so many seconds after they are RUNNING.
    Crashes(i64),
    /// Run, and fail their checks.
    Sick,
}

#[derive(Debug, Clone)]
pub(crate) struct SimHost {
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) slots: usize,
    pub(crate) draining: bool,
    pub(crate) away_since: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(crate) struct SimTask {
    pub(crate) view: TaskView,
    /// When it does what it does next, and what that is.
    next: Option<(Timestamp, Next)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Run,
    FailToStart,
    Report(HealthStatus),
    Crash,
    BeginToStop,
    End,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) name: ServiceName,
    pub(crate) spec: ServiceSpec,
    pub(crate) status: ServiceStatus,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) tasks: BTreeMap<TaskId, SimTask>,
    pub(crate) hosts: BTreeMap<InstanceId, SimHost>,
    pub(crate) has_check: bool,
    pub(crate) releases: BTreeMap<u32, Release>,
    pub(crate) room_since: Option<Timestamp>,
    pub(crate) events: Vec<String>,
    pub(crate) wake: Option<Timestamp>,
    pub(crate) random: Random,
    /// Deployments that have left the service.
    pub(crate) left: Vec<Deployment>,
    next_task: u128,
    next_release: u32,
}

/// Splitmix64: the same seed gives the same world.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

pub(crate) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap())
}

pub(crate) fn spec(desired: u32, minimum: u32, maximum: u32) -> ServiceSpec {
    ServiceSpec {
        configuration: DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
            shift: None,
            rolling_bake_minutes: 0,
        },
        ..ServiceSpec::replicas(desired)
    }
}

impl World {
    /// A service that was just created, on so many hosts with room for so many tasks each.
    pub(crate) fn new(spec: ServiceSpec, hosts: usize, slots: usize, seed: u64) -> Self {
        let mut world = Self {
            now: Timestamp::from_millis(1_000_000),
            name: ServiceName::parse("web").unwrap(),
            spec,
            status: ServiceStatus::Active,
            deployments: Vec::new(),
            tasks: BTreeMap::new(),
            hosts: BTreeMap::new(),
            has_check: false,
            releases: BTreeMap::new(),
            room_since: None,
            events: Vec::new(),
            wake: None,
            random: Random(seed),
            left: Vec::new(),
            next_task: 1,
            next_release: 0,
        };
        for _ in 0..hosts {
            world.add_host(None, slots);
        }
        world.deploy(Release::Good);
        world
    }

    pub(crate) fn add_host(&mut self, zone: Option<&str>, slots: usize) -> InstanceId {
        let id = InstanceId::from_bits(u128::try_from(self.hosts.len()).unwrap() + 1);
        let host = SimHost {
            zone: zone.map(Into::into),
            slots,
            draining: false,
            away_since: None,
        };
        self.hosts.insert(id, host);
        self.room_since = Some(self.now);
        id
    }

    /// What UpdateService does with a new task definition.
    pub(crate) fn deploy(&mut self, release: Release) -> DeploymentId {
        self.next_release += 1;
        self.releases.insert(self.next_release, release);
        for deployment in &mut self.deployments {
            deployment.status = DeploymentStatus::Active;
        }
        let bits = u64::from(self.next_release);
        let definition = DefinitionId {
            family: Family::parse("web").unwrap(),
            revision: DefinitionRevision(self.next_release),
        };
        let revision = ServiceRevisionId::from_random(bits);
        let id = DeploymentId::from_random(bits);
        let deployment = Deployment::new(id, revision, definition, Arc::new([]), self.now);
        self.deployments.insert(0, deployment);
        self.deployments[0].id
    }

    pub(crate) fn primary(&self) -> &Deployment {
        let primary: Vec<_> = self
            .deployments
            .iter()
            .filter(|deployment| deployment.is_primary())
            .collect();
        assert_eq!(primary.len(), 1, "a service has one primary deployment");
        primary[0]
    }

    pub(crate) fn presence(&self) -> Presence {
        let away = |host: &&SimHost| host.away_since.is_some();
        Presence {
            instances: u32::try_from(self.hosts.len()).unwrap(),
            lost: u32::try_from(self.hosts.values().filter(away).count()).unwrap(),
        }
    }

    pub(crate) fn is_storm(&self) -> bool {
        let presence = self.presence();
        presence.lost >= 3 && presence.lost > presence.instances / 2
    }

    pub(crate) fn view(&self) -> View<'_> {
        let takes = |(id, host): (&InstanceId, &SimHost)| (!host.draining && host.away_since.is_none()).then_some(*id);
        let mut zones: Vec<_> = self.hosts.values().filter_map(|host| host.zone.clone()).collect();
        zones.sort();
        zones.dedup();
        let task = |task: &SimTask| {
            let mut view = task.view.clone();
            view.host = self.host_view(view.host.id);
            view
        };
        View {
            name: &self.name,
            spec: &self.spec,
            strategies: parse_strategies(&self.spec.strategies).unwrap(),
            status: self.status,
            deployments: &self.deployments,
            tasks: self.tasks.values().map(task).collect(),
            places: match self.spec.scheduling {
                SchedulingStrategy::Replica => Vec::new(),
                SchedulingStrategy::Daemon => self.hosts.iter().filter_map(takes).collect(),
            },
            zones,
            presence: self.presence(),
            room_since: self.room_since,
            timing: Timing::default(),
        }
    }

    fn host_view(&self, id: InstanceId) -> Host {
        let host = &self.hosts[&id];
        // A slot is a unit of each.
        let free = u32::try_from(host.slots.saturating_sub(self.tasks_on(id))).unwrap();
        Host {
            id,
            zone: host.zone.clone(),
            free_cpu: CpuUnits(free),
            free_memory: MemoryMib(free),
            draining: host.draining,
            has_replicas: self.spec.scheduling == SchedulingStrategy::Replica,
            disconnected_since: host.away_since,
        }
    }

    /// The step that the service needs, without doing it.
    pub(crate) fn look(&self) -> Step {
        step(&self.view(), self.now)
    }

    /// Does what the step asks for; says whether all launches found room.
    pub(crate) fn apply(&mut self, step: &Step) -> bool {
        let before = self.deployments.clone();
        for changed in &step.deployments {
            self.replace(changed.clone());
        }
        self.events.extend(step.events.iter().cloned());
        for id in &step.accounted {
            let ended = self.tasks.remove(id).expect("an ended task is accounted once");
            assert_eq!(ended.view.phase, Phase::Stopped, "only ended tasks are accounted");
        }
        for stop in &step.stops {
            let delay = seconds(1);
            let task = self.tasks.get_mut(&stop.task).expect("a task that is stopped is there");
            assert!(task.view.wanted, "a task is stopped once");
            task.view.wanted = false;
            task.view.stop_code = Some(StopCode::ServiceSchedulerInitiated);
            task.next = Some((self.now + delay, Next::BeginToStop));
        }
        let mut placed = true;
        for launch in &step.launches {
            placed &= self.launch(launch, &before);
        }
        if step.drained {
            self.status = ServiceStatus::Inactive;
        }
        self.wake = step.wake;
        self.deployments.retain(|deployment| {
            let inactive = deployment.status == DeploymentStatus::Inactive;
            if inactive {
                self.left.push(deployment.clone());
            }
            !inactive
        });
        placed
    }

    fn replace(&mut self, changed: Deployment) {
        let at = self
            .deployments
            .iter()
            .position(|deployment| deployment.id == changed.id);
        let at = at.expect("a step changes deployments that there are");
        self.deployments[at] = changed;
    }

    fn launch(&mut self, launch: &Launch, before: &[Deployment]) -> bool {
        let mut placed = Vec::new();
        for nth in 0..usize::try_from(launch.place.count()).unwrap() {
            let place = match &launch.place {
                Place::Anywhere(_) => self.roomiest(None),
                Place::Zone(zone) => self.roomiest(Some(zone)),
                Place::On(instances) => Some(instances[nth]).filter(|id| self.has_room(*id)),
            };
            placed.extend(place.map(|instance| self.start(launch.deployment, instance)));
        }
        self.events.extend(events::launched(&self.name, launch, &placed));
        let complete = placed.len() == usize::try_from(launch.place.count()).unwrap();
        if !complete {
            let newest = self
                .deployments
                .iter()
                .find(|deployment| deployment.id == launch.deployment);
            let newest = newest.expect("what launches is there");
            let why = events::unplaced(&self.name, Obstacle::Closest(InstanceId::from_bits(1), "RESOURCE:CPU"));
            let view = View {
                deployments: before,
                ..self.view()
            };
            let (waits, event) = unplaced(&view, newest, launch, why, self.now);
            self.replace(waits);
            self.events.extend(event);
        }
        complete
    }

    fn tasks_on(&self, id: InstanceId) -> usize {
        let here = |task: &&SimTask| task.view.host.id == id && task.view.phase != Phase::Stopped;
        self.tasks.values().filter(here).count()
    }

    fn has_room(&self, id: InstanceId) -> bool {
        let host = &self.hosts[&id];
        !host.draining && host.away_since.is_none() && self.tasks_on(id) < host.slots
    }

    fn roomiest(&self, zone: Option<&Arc<str>>) -> Option<InstanceId> {
        let fits =
            |id: &InstanceId| self.has_room(*id) && zone.is_none_or(|zone| self.hosts[id].zone.as_ref() == Some(zone));
        self.hosts
            .keys()
            .copied()
            .filter(fits)
            .min_by_key(|id| self.tasks_on(*id))
    }

    fn start(&mut self, deployment: DeploymentId, instance: InstanceId) -> TaskId {
        let id = TaskId::from_bits(self.next_task);
        self.next_task += 1;
        let release = self.release_of(deployment);
        let delay = seconds(1 + i64::try_from(self.random.below(4)).unwrap());
        let next = match release {
            Release::CannotStart => Next::FailToStart,
            Release::Good | Release::Crashes(_) | Release::Sick => Next::Run,
        };
        let view = TaskView {
            id,
            deployment,
            host: self.host_view(instance),
            cpu: CpuUnits(1),
            memory: MemoryMib(1),
            phase: Phase::Pending,
            wanted: true,
            health: HealthStatus::Unknown,
            has_check: self.has_check,
            created_at: self.now,
            running_since: None,
            ended_at: None,
            protected_until: None,
            target: None,
            stop_code: None,
            cause: None,
        };
        self.tasks.insert(
            id,
            SimTask {
                view,
                next: Some((self.now + delay, next)),
            },
        );
        id
    }

    pub(crate) fn release_of(&self, deployment: DeploymentId) -> Release {
        let known = self
            .deployments
            .iter()
            .chain(&self.left)
            .find(|known| known.id == deployment);
        known.map_or(Release::Good, |known| self.releases[&known.definition.revision.0])
    }

    /// Has the task end by itself soon.
    pub(crate) fn crash(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id).filter(|task| task.view.phase == Phase::Running) {
            task.next = Some((self.now, Next::Crash));
        }
    }

    /// Has the task report this health, if it runs and has a check.
    pub(crate) fn report(&mut self, id: TaskId, health: HealthStatus) {
        let task = self.tasks.get_mut(&id);
        if let Some(task) = task.filter(|task| task.view.phase == Phase::Running && task.view.has_check) {
            task.view.health = health;
        }
    }

    /// When a task does something, or a step would, next.
    pub(crate) fn next_event(&self) -> Option<Timestamp> {
        let there = |task: &&SimTask| self.hosts[&task.view.host.id].away_since.is_none();
        let tasks = self.tasks.values().filter(there).filter_map(|task| task.next);
        let next = tasks.map(|(at, _)| at).min();
        [next, self.wake].into_iter().flatten().min().map(|at| at.max(self.now))
    }

    /// Lets tasks do what is due. Those whose agent is away are not heard of, and go on when it is back.
    pub(crate) fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        for id in self.tasks.keys().copied().collect::<Vec<_>>() {
            while let Some((at, next)) = self.tasks[&id].next {
                let away = self.hosts[&self.tasks[&id].view.host.id].away_since.is_some();
                if at > self.now || away {
                    break;
                }
                self.happen(id, next);
            }
        }
    }

    fn happen(&mut self, id: TaskId, next: Next) {
        let (now, has_check) = (self.now, self.has_check);
        let release = self.release_of(self.tasks[&id].view.deployment);
        let slow = seconds(i64::try_from(self.random.below(10)).unwrap());
        let task = self.tasks.get_mut(&id).expect("the caller has it");
        task.next = match next {
            Next::Run => {
                task.view.phase = Phase::Running;
                task.view.running_since = Some(now);
                match release {
                    Release::Crashes(after) => Some((now + seconds(after), Next::Crash)),
                    Release::Sick if has_check => Some((now + slow, Next::Report(HealthStatus::Unhealthy))),
                    Release::Good | Release::CannotStart | Release::Sick => {
                        has_check.then_some((now + slow, Next::Report(HealthStatus::Healthy)))
                    }
                }
            }
            Next::Report(health) => {
                task.view.health = health;
                None
            }
            Next::BeginToStop => {
                task.view.phase = Phase::Stopping;
                Some((now + slow, Next::End))
            }
            Next::FailToStart | Next::Crash | Next::End => {
                task.view.stop_code = task.view.stop_code.or(Some(if next == Next::FailToStart {
                    StopCode::TaskFailedToStart
                } else {
                    StopCode::EssentialContainerExited
                }));
                task.view.phase = Phase::Stopped;
                task.view.wanted = false;
                task.view.ended_at = Some(now);
                None
            }
        };
    }

    /// Whether the service is as its user wants it: one deployment that has completed, and nothing missing.
    pub(crate) fn is_steady(&self) -> bool {
        let count = match self.spec.scheduling {
            SchedulingStrategy::Replica => usize::try_from(self.spec.desired).unwrap(),
            SchedulingStrategy::Daemon => self.view().places.len(),
        };
        self.deployments.len() == 1
            && self.primary().rollout.state == RolloutState::Completed
            && self.tasks.values().filter(|task| task.view.wanted).count() == count
            && self.tasks.len() == count
    }
}
