//! Places for the tasks of a deployment.

use std::borrow::Cow;
use std::sync::Arc;

use berth_model::id::{InstanceId, ServiceName, TaskId};
use berth_model::placement::{Constraint, parse_constraints, parse_strategies};
use berth_model::query::Expression;
use berth_model::service::PropagateTags;
use berth_model::tag::Tag;

use super::group;
use crate::change::Change;
use crate::command::Env;
use crate::decide::launch::Admitted;
use crate::keys::InstanceKey;
use crate::launch::{Launch, ServiceLaunch};
use crate::place::{Refusal, Refused, Request, fits};
use crate::reconcile::Place;
use crate::reconcile::events::{self, Obstacle};
use crate::service::Deployment;
use crate::state::{Service, State};

/// Tasks that one step places at most, so that no command waits long behind it.
pub(super) const AT_ONCE: u32 = 500;

/// What tasks of a deployment ask of an instance.
pub(super) struct Placing<'s> {
    service: &'s Service,
    deployment: &'s Deployment,
    admitted: Admitted<'s>,
    request: Request,
}

/// What became of a launch.
pub(super) struct Placed {
    pub(super) tasks: Vec<TaskId>,
    pub(super) change: Option<Change>,
    pub(super) unplaced: Option<Unplaced>,
}

/// Why not all tasks were placed: the instance that came closest, where there is any.
pub(super) struct Unplaced(Option<Refusal>);

impl<'s> Placing<'s> {
    /// What tasks of the deployment ask; nothing where its definition is not there.
    pub(super) fn of(state: &'s State, service: &'s Service, deployment: &'s Deployment) -> Option<Self> {
        let registered = state.definition(&deployment.definition)?;
        let admitted = Admitted {
            state,
            cluster: service.cluster,
            registered,
            effective: Cow::Borrowed(&registered.definition),
            group: group(service),
        };
        // They were checked before they became facts.
        let constraints = parse_constraints(&service.spec.constraints).unwrap_or_default();
        let strategies = parse_strategies(&service.spec.strategies).unwrap_or_default();
        let request = admitted.request(constraints, strategies);
        Some(Self {
            service,
            deployment,
            admitted,
            request,
        })
    }

    pub(super) const fn request(&self) -> &Request {
        &self.request
    }

    /// Whether one more task would find a place now.
    pub(super) fn has_room(&self, state: &State, env: &mut Env<'_>) -> bool {
        let seed = env.draw();
        let index = env.memory().index(state, self.service.cluster);
        !index.place(state, &self.request, 1, seed).placed.is_empty()
    }

    /// Places the tasks, at most `limit` of them.
    pub(super) fn place(&self, state: &State, at: &Place, limit: u32, env: &mut Env<'_>) -> Placed {
        let (instances, unplaced) = match at {
            Place::Anywhere(count) => self.find(state, &self.request, (*count).min(limit), env),
            Place::Zone(zone) => self.find(state, &self.in_zone(zone), limit.min(1), env),
            Place::On(instances) => self.on_each(state, instances, limit),
        };
        let short = instances.len() < usize::try_from(at.count().min(limit)).unwrap_or(usize::MAX);
        let (tasks, change) = if instances.is_empty() {
            (Vec::new(), None)
        } else {
            let (tasks, change) = self.admitted.place(self.launch(state, env), &instances, env);
            (tasks, Some(change))
        };
        Placed {
            tasks,
            change,
            unplaced: short.then_some(unplaced),
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
    fn launch(&self, state: &State, env: &Env<'_>) -> Launch {
        Launch {
            definition: self.deployment.definition.clone(),
            demand: self.request.demand.clone(),
            group: Arc::clone(&self.request.group),
            started_by: Some(self.deployment.id.to_string().into()),
            overrides: berth_model::overrides::TaskOverride::default(),
            tags: self.tags(state),
            launch_type: self.service.spec.launch_type,
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
        let spec = &self.service.spec;
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
