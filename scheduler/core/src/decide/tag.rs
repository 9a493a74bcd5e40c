//! TagResource and UntagResource: tags of ours change how a service is treated, all others are only kept.

use std::sync::Arc;

use berth_model::arn::{DefinitionReference, Resource};
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{DefinitionId, DeploymentId, InstanceId, TaskId};
use berth_model::load_balancer::{self, TargetSettings};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::service::{ServiceStatus, lost_grace};
use berth_model::status::InstanceStatus;
use berth_model::tag::{MAX_TAGS, Tag};

use super::capacity::TagCapacityProvider;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{InstanceKey, ServiceKey, Tagged, TaskKey};
use crate::service::{Deployment, ServiceSpec, TaskSet};
use crate::state::State;

/// Sets and removes tags.
#[derive(Debug, Clone)]
pub struct TagResource {
    /// Of what.
    pub resource: Resource,
    /// Tags to add; one that is there gets the value.
    pub set: Vec<Tag>,
    /// Keys of tags to remove; what is not there is no error.
    pub remove: Vec<String>,
}

impl Command for TagResource {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let (of, before) = match &self.resource {
            Resource::Service(cluster, service) => return self.tag_service(state, cluster, service),
            Resource::TaskSet(cluster, service, set) => return self.tag_task_set(state, cluster, service, *set),
            Resource::Cluster(name) => (Tagged::Cluster(name.clone()), &*state.active_cluster(name)?.tags),
            Resource::Task(cluster, task) => task_tags(state, cluster, *task)?,
            Resource::Instance(cluster, instance) => instance_tags(state, cluster, *instance)?,
            Resource::Definition(reference) => definition_tags(state, reference)?,
            Resource::Provider(name) => {
                let command = TagCapacityProvider {
                    name: name.clone(),
                    set: self.set.clone(),
                    remove: self.remove.clone(),
                };
                return command.decide(state, env);
            }
        };
        let tags = self.applied(before)?;
        let changes = match *tags == *before {
            true => Vec::new(),
            false => vec![Change::TagsSet { of, tags }],
        };
        Ok(Decision { changes, outcome: () })
    }
}

fn not_found(what: &str) -> Fault {
    Fault::new(
        FaultClass::ResourceNotFound,
        format!("The specified resource wasn't found: {what}."),
    )
}

fn task_tags<'s>(state: &'s State, name: &ClusterName, task: TaskId) -> Result<(Tagged, &'s [Tag]), Fault> {
    let cluster = state.active_cluster(name)?.key;
    let key = TaskKey { cluster, task };
    let placed = state.task(key).map(|known| (&known.launch, known.is_stopped()));
    let waiting = || {
        let known = state.queue().task(key)?;
        Some((&known.wait.launch, !known.is_waiting()))
    };
    match placed.or_else(waiting) {
        None => Err(not_found(&format!("cluster {name} has no task {task}"))),
        Some((_, true)) => Err(Fault::invalid(
            "The specified task is stopped. Specify a running task and try again.",
        )),
        Some((launch, false)) => Ok((Tagged::Task(cluster, task), &*launch.tags)),
    }
}

fn instance_tags<'s>(state: &'s State, name: &ClusterName, instance: InstanceId) -> Result<(Tagged, &'s [Tag]), Fault> {
    let cluster = state.active_cluster(name)?.key;
    match state.instance(InstanceKey { cluster, instance }) {
        None => Err(not_found(&format!(
            "cluster {name} has no container instance {instance}"
        ))),
        Some(known) if known.status == InstanceStatus::Inactive => Err(Fault::invalid(
            "The specified container instance is inactive. Specify an active container instance and try again.",
        )),
        Some(known) => Ok((Tagged::Instance(cluster, instance), &*known.tags)),
    }
}

fn definition_tags<'s>(state: &'s State, reference: &DefinitionReference) -> Result<(Tagged, &'s [Tag]), Fault> {
    let family = &reference.family;
    let revision = reference
        .revision
        .ok_or_else(|| Fault::client("Revision is missing."))?;
    let id = DefinitionId {
        family: family.clone(),
        revision,
    };
    match state.definition(&id) {
        None => Err(not_found(&format!("there is no task definition {id}"))),
        Some(known) => Ok((Tagged::Definition(id), &*known.tags)),
    }
}

impl TagResource {
    fn tag_service(&self, state: &State, cluster: &ClusterName, service: &ServiceName) -> Result<Decision<()>, Fault> {
        let key = ServiceKey {
            cluster: state.active_cluster(cluster)?.key,
            service: service.clone(),
        };
        let known = state
            .service(&key)
            .filter(|service| service.status != ServiceStatus::Inactive);
        let service = known.ok_or_else(|| not_found(&format!("cluster {cluster} has no service {service}")))?;
        let tags = self.applied(&service.spec.tags)?;
        let has_targets = service
            .primary()
            .is_some_and(|primary| !primary.load_balancers.is_empty());
        if !has_targets {
            load_balancer::refuse_settings(&self.set)?;
        }
        let spec = ServiceSpec {
            targets: TargetSettings::parse(&tags)?,
            lost_grace_seconds: lost_grace(&tags)?,
            tags,
            ..ServiceSpec::clone(&service.spec)
        };
        if spec == *service.spec {
            return Ok(Decision::unchanged(()));
        }
        let updated = Change::ServiceUpdated {
            cluster: key.cluster,
            service: key.service,
            spec: Arc::new(spec),
            deployments: Vec::new(),
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: (),
        })
    }

    fn tag_task_set(
        &self,
        state: &State,
        cluster: &ClusterName,
        service: &ServiceName,
        set: DeploymentId,
    ) -> Result<Decision<()>, Fault> {
        let key = ServiceKey {
            cluster: state.active_cluster(cluster)?.key,
            service: service.clone(),
        };
        let known = state.service(&key).and_then(|known| {
            let found = known.task_sets().find(|(deployment, _)| deployment.id == set);
            found.map(|found| (known, found))
        });
        let (known, (deployment, before)) =
            known.ok_or_else(|| not_found(&format!("service {service} of cluster {cluster} has no task set {set}")))?;
        let tags = self.applied(&before.tags)?;
        if tags == before.tags {
            return Ok(Decision::unchanged(()));
        }
        let tagged = TaskSet {
            tags,
            ..TaskSet::clone(before)
        };
        let updated = Change::ServiceUpdated {
            cluster: key.cluster,
            service: key.service,
            spec: Arc::clone(&known.spec),
            deployments: vec![Deployment {
                task_set: Some(Arc::new(tagged)),
                ..deployment.clone()
            }],
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: (),
        })
    }

    /// The tags from now on, those that are new last.
    fn applied(&self, before: &[Tag]) -> Result<Vec<Tag>, Fault> {
        let mut tags: Vec<Tag> = before
            .iter()
            .filter(|tag| !self.remove.contains(&tag.key))
            .cloned()
            .collect();
        for tag in &self.set {
            match tags.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value.clone_from(&tag.value),
                None => tags.push(tag.clone()),
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!("It would have {} tags, at most {MAX_TAGS} are allowed.", tags.len()),
            ));
        }
        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use berth_model::id::DefinitionRevision;
    use berth_model::time::Timestamp;

    use super::*;
    use crate::command::Memory;
    use crate::fold::fold;
    use crate::keys::ClusterKey;
    use crate::launch::{Launch, Placement};

    const CLUSTER: ClusterKey = ClusterKey(1);

    fn name() -> ClusterName {
        ClusterName::parse("here").unwrap()
    }

    /// Two tasks of one call with a tag.
    fn state() -> State {
        let mut state = State::default();
        let launch = serde_json::json!({
            "definition": {"family": "web", "revision": 1}, "demand": {"cpu": 0, "memory": 0, "ports": [], "gpus": 0},
            "group": "g", "tags": [{"key": "a", "value": "1"}], "created_at": 1,
        });
        let launch: Launch = serde_json::from_value(launch).unwrap();
        let placement = |task| Placement {
            task: TaskId::from_bits(task),
            instance: InstanceId::from_bits(1),
            gpus: Arc::new([]),
        };
        for change in [
            Change::ClusterCreated {
                name: name(),
                key: CLUSTER,
                tags: Vec::new(),
            },
            Change::TasksPlaced {
                cluster: CLUSTER,
                launch: Arc::new(launch),
                placements: vec![placement(1), placement(2)],
            },
        ] {
            fold(&mut state, &change);
        }
        state
    }

    fn tag(state: &mut State, resource: Resource, set: &[(&str, &str)], remove: &[&str]) -> Result<usize, Fault> {
        let command = TagResource {
            resource,
            set: set
                .iter()
                .map(|(key, value)| Tag {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                })
                .collect(),
            remove: remove.iter().map(|key| (*key).to_owned()).collect(),
        };
        let mut memory = Memory::default();
        let decision = command.decide(state, &mut Env::new(Timestamp::from_millis(2), 1, &mut memory))?;
        decision.changes.iter().for_each(|change| fold(state, change));
        Ok(decision.changes.len())
    }

    #[test]
    fn a_task_gets_tags_of_its_own() {
        let mut state = state();
        let task = |task| Resource::Task(name(), TaskId::from_bits(task));
        let tags = |state: &State, task| {
            let key = TaskKey {
                cluster: CLUSTER,
                task: TaskId::from_bits(task),
            };
            let tags = state.task(key).unwrap().launch.tags.clone();
            let written = tags.into_iter().map(|tag| format!("{}={}", tag.key, tag.value));
            written.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tag(&mut state, task(1), &[("a", "2"), ("b", "3")], &[]), Ok(1));
        assert_eq!(
            (tags(&state, 1), tags(&state, 2)),
            ("a=2 b=3".to_owned(), "a=1".to_owned())
        );
        assert_eq!(tag(&mut state, task(1), &[("b", "3")], &["c"]), Ok(0), "nothing new");
        assert_eq!(tag(&mut state, task(1), &[], &["a"]), Ok(1));
        assert_eq!(tags(&state, 1), "b=3");
        let fault = tag(&mut state, task(3), &[], &[]).unwrap_err();
        assert_eq!(fault.class, FaultClass::ResourceNotFound);
    }

    #[test]
    fn nothing_has_more_than_fifty() {
        let mut state = state();
        let keys: Vec<String> = (0..MAX_TAGS).map(|at| at.to_string()).collect();
        let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!(tag(&mut state, Resource::Cluster(name()), &many, &[]), Ok(1));
        let fault = tag(&mut state, Resource::Cluster(name()), &[("more", "")], &[]).unwrap_err();
        assert_eq!(fault.class, FaultClass::LimitExceeded, "{fault}");
    }

    #[test]
    fn a_definition_is_tagged_by_its_revision() {
        let mut state = state();
        let reference = |revision| {
            Resource::Definition(DefinitionReference {
                family: berth_model::name::Family::parse("web").unwrap(),
                revision,
            })
        };
        let fault = tag(&mut state, reference(None), &[("a", "b")], &[]).unwrap_err();
        assert_eq!(fault.message, "Revision is missing.");
        let unknown = reference(Some(DefinitionRevision(9)));
        assert!(tag(&mut state, unknown, &[("a", "b")], &[]).is_err());
    }
}
