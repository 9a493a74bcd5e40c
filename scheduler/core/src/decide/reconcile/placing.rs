//! Places for the tasks of a deployment.

use std::borrow::Cow;
use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ServiceName;
use berth_model::placement::{Constraint, parse_constraints, parse_strategies};
use berth_model::query::Expression;
use berth_model::service::PropagateTags;
use berth_model::status::DesiredStatus;
use berth_model::tag::Tag;

use super::group;
use crate::change::Change;
use crate::command::Env;
use crate::decide::ahead::Ahead;
use crate::decide::launch::Admitted;
use crate::decide::route::{Part, Route, provider};
use crate::keys::InstanceKey;
use crate::launch::{Launch, Provider, ServiceLaunch, pool};
use crate::place::{Refusal, Refused, Request, fits};
use crate::reconcile::Place;
use crate::reconcile::events::{self, Obstacle};
use crate::service::{Deployment, ServiceSpec};
use crate::state::{Service, State, Task};

/// Tasks that one step places at most, so that no command waits long behind it.
pub(super) const AT_ONCE: u32 = 500;

/// What tasks of a deployment ask of an instance.
pub(super) struct Placing<'s> {
    service: &'s Service,
    deployment: &'s Deployment,
    /// What the service would be that consists of the deployment alone.
    spec: Cow<'s, ServiceSpec>,
    admitted: Admitted<'s>,
    route: Route,
    /// Of any instance of the cluster, where the service is divided among capacity providers.
    request: Request,
}

/// What became of a launch.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) tasks: Vec<TaskId>,
    pub(super) changes: Vec<Change>,
    pub(super) unplaced: Option<Unplaced>,
}

/// Why not all tasks were placed: the instance that came closest, where there is any.
pub(super) struct Unplaced(Option<Refusal>);

impl<'s> Placing<'s> {
    /// What tasks of the deployment ask; nothing where its definition is not there.
    pub(super) fn of(state: &'s State, service: &'s Service, deployment: &'s Deployment) -> Option<Self> {
        let registered = state.definition(&deployment.definition)?;
        let spec = service.spec.of(deployment);
        let route = Route::as_was(spec.launch_type, &spec.capacity);
        let admitted = Admitted {
            cluster: service.cluster,
            registered,
            effective: Cow::Borrowed(&registered.definition),
            group: group(service),
            launch_type: route.launch_type,
            provider: None,
        };
        // They were checked before they became facts.
        let constraints = parse_constraints(&spec.constraints).unwrap_or_default();
        let strategies = parse_strategies(&spec.strategies).unwrap_or_default();
        let request = admitted.request(constraints, strategies);
        Some(Self {
            service,
            deployment,
            spec,
            admitted,
            route,
            request,
        })
    }

    /// What tasks ask of the instances of each provider that they may go to.
    pub(super) fn requests(&self, state: &State) -> Vec<Request> {
        let items = self.route.strategy.iter();
        let each = items.map(|item| self.of_provider(&self.request, Some(&provider(state, item))));
        match self.route.strategy.is_empty() {
            true => vec![self.request.clone()],
            false => each.collect(),
        }
    }

    fn of_provider(&self, request: &Request, provider: Option<&Provider>) -> Request {
        match provider {
            None => request.clone(),
            Some(_) => Request {
                pool: pool(self.route.launch_type, provider),
                ..request.clone()
            },
        }
    }

    /// Tasks of the deployment that are meant to run, by the parts of the strategy.
    fn divided(&self, state: &State) -> Vec<u32> {
        let mut counts = vec![0_u32; self.route.strategy.len()];
        if counts.is_empty() {
            return counts;
        }
        let of_deployment = |task: &&Arc<Task>| {
            let service = task.launch.service.as_ref();
            task.desired == DesiredStatus::Running
                && service.is_some_and(|service| service.deployment == self.deployment.id)
        };
        for task in state.live_tasks_of(self.service).filter(of_deployment) {
            let name = task.launch.provider.as_ref().map(|provider| &provider.name);
            let mut items = self.route.strategy.iter();
            if let Some(at) = items.position(|item| Some(&item.provider) == name) {
                counts[at] += 1;
            }
        }
        counts
    }

    /// Further tasks by their providers, as those that are meant to run are divided among them.
    fn parts(&self, state: &State, count: u32) -> Vec<Part> {
        self.route.parts(state, &self.divided(state), count)
    }

    /// What tasks that the deployment is to have and has not ask, and how many there are.
    pub(super) fn lacking(&self, state: &State) -> Vec<(Request, u32)> {
        let divided = self.divided(state);
        let missing = self.spec.desired.saturating_sub(divided.iter().sum());
        let parts = self.route.parts(state, &divided, missing).into_iter();
        parts
            .map(|part| (self.of_provider(&self.request, part.provider.as_ref()), part.count))
            .collect()
    }

    /// Whether one more task would find a place now.
    pub(super) fn has_room(&self, state: &State, env: &mut Env<'_>) -> bool {
        let seed = env.draw();
        let Some(part) = self.parts(state, 1).pop() else {
            return false;
        };
        let request = self.of_provider(&self.request, part.provider.as_ref());
        let index = env.memory().index(state, self.service.cluster);
        !index.place(state, &request, 1, seed).placed.is_empty()
    }

    /// Places the tasks, at most `limit` of them.
    pub(super) fn place(&self, state: &State, at: &Place, limit: u32, env: &mut Env<'_>) -> Placed {
        let (count, request) = match at {
            Place::Anywhere(count) => ((*count).min(limit), Cow::Borrowed(&self.request)),
            Place::Zone(zone) => (limit.min(1), Cow::Owned(self.in_zone(zone))),
            Place::On(instances) => {
                let found = self.on_each(state, instances, limit);
                let part = Part {
                    count: at.count().min(limit),
                    provider: None,
                };
                let mut placed = Placed::default();
                self.take(state, part, found, &mut placed, env);
                return placed;
            }
        };
        let mut placed = Placed::default();
        let mut ahead = Ahead::of(state);
        // In turn, as an instance may be of both of Fargate's providers.
        for part in self.parts(state, count) {
            ahead.take(&placed.changes);
            let state = ahead.state();
            let request = self.of_provider(&request, part.provider.as_ref());
            let found = self.find(state, &request, part.count, env);
            self.take(state, part, found, &mut placed, env);
        }
        ahead.leave(self.service.cluster, env);
        placed
    }

    /// Adds the tasks of a part for which instances were found.
    fn take(
        &self,
        state: &State,
        part: Part,
        (instances, unplaced): (Vec<InstanceId>, Unplaced),
        placed: &mut Placed,
        env: &mut Env<'_>,
    ) {
        if instances.len() < usize::try_from(part.count).unwrap_or(usize::MAX) {
            placed.unplaced.get_or_insert(unplaced);
        }
        if !instances.is_empty() {
            let (tasks, change) = self
                .admitted
                .place(self.launch(state, part.provider, env), state, &instances, env);
            placed.tasks.extend(tasks);
            placed.changes.push(change);
        }
    }

    fn find(&self, state: &State, request: &Request, count: u32, env: &mut Env<'_>) -> (Vec<InstanceId>, Unplaced) {
        let seed = env.draw();
        let index = env.memory().index(state, self.service.cluster);
        let solution = index.place(state, request, count, seed);
        (solution.placed, Unplaced::of(solution.refused))
    }

    fn in_zone(&self, zone: &str) -> Request {
        let mut request = self.request.clone();
        let quoted = zone.replace(['\'', '\\'], "");
        let only = Expression::parse(&format!("attribute:{} == '{quoted}'", super::view::ZONE));
        request.constraints.extend(only.ok().map(Constraint::MemberOf));
        request
    }

    fn on_each(&self, state: &State, instances: &[InstanceId], limit: u32) -> (Vec<InstanceId>, Unplaced) {
        let mut placed = Vec::new();
        let mut refused = None;
        for id in instances.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            let key = InstanceKey {
                cluster: self.service.cluster,
                instance: *id,
            };
            let Some(instance) = state.instance(key) else { continue };
            let misfits = fits(instance, &self.request, 0);
            if misfits.is_empty() {
                placed.push(*id);
            } else {
                refused.get_or_insert(Refusal { instance: *id, misfits });
            }
        }
        (placed, Unplaced(refused))
    }

    /// What the tasks have in common.
    fn launch(&self, state: &State, provider: Option<Provider>, env: &Env<'_>) -> Launch {
        Launch {
            definition: self.deployment.definition.clone(),
            demand: self.request.demand.clone(),
            group: Arc::clone(&self.request.group),
            started_by: Some(self.deployment.id.to_string().into()),
            overrides: berth_model::overrides::TaskOverride::default(),
            tags: self.tags(state),
            launch_type: self.route.launch_type,
            provider,
            execute_command: self.service.spec.execute_command,
            subnet: spec_subnet(&self.spec),
            client_token: None,
            service: Some(ServiceLaunch {
                service: self.service.name.clone(),
                deployment: self.deployment.id,
            }),
            schedule: None,
            created_at: env.now(),
        }
    }

    fn tags(&self, state: &State) -> Vec<Tag> {
        let spec = &self.spec;
        let mut tags = match spec.propagate_tags {
            PropagateTags::None => Vec::new(),
            PropagateTags::Service => spec.tags.clone(),
            PropagateTags::TaskDefinition => self.admitted.registered.tags.clone(),
        };
        if spec.managed_tags {
            let managed = |key: &str, value: &str| Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            if let Some(cluster) = state.cluster_name(self.service.cluster) {
                tags.push(managed("aws:ecs:clusterName", cluster.as_str()));
            }
            tags.push(managed("aws:ecs:serviceName", self.service.name.as_str()));
        }
        tags
    }
}

/// What tasks of the service show as their subnet.
fn spec_subnet(spec: &ServiceSpec) -> Option<Arc<str>> {
    let subnet = spec.network.as_ref()?.subnets.first()?;
    Some(Arc::from(subnet.as_str()))
}

impl Unplaced {
    fn of(refused: Option<Refused>) -> Self {
        Self(refused.and_then(|refused| refused.explanation.closest))
    }

    /// The event's text.
    pub(super) fn explain(&self, service: &ServiceName) -> String {
        let closest = self.0.as_ref();
        let obstacle = match closest.and_then(|closest| Some((closest.instance, closest.misfits.first()?))) {
            None => Obstacle::NoInstance,
            Some((instance, misfit)) => Obstacle::Closest(instance, misfit.reason()),
        };
        events::unplaced(service, obstacle)
    }
}
