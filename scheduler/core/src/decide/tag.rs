//! TagResource and UntagResource of services: tags of ours change how a service is treated, the others are only kept.

use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{ClusterName, ServiceName};
use berth_model::load_balancer::{self, TargetSettings};
use berth_model::service::{ServiceStatus, lost_grace};
use berth_model::tag::{MAX_TAGS, Tag};

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ServiceKey;
use crate::service::ServiceSpec;
use crate::state::State;

/// Sets and removes tags of a service.
#[derive(Debug, Clone)]
pub struct TagService {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// Tags to add; one that is there gets the value.
    pub set: Vec<Tag>,
    /// Keys of tags to remove; what is not there is no error.
    pub remove: Vec<String>,
}

impl Command for TagService {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let key = ServiceKey {
            cluster: state.active_cluster(&self.cluster)?.key,
            service: self.service.clone(),
        };
        let known = state
            .service(&key)
            .filter(|service| service.status != ServiceStatus::Inactive);
        let service = known.ok_or_else(|| {
            Fault::new(
                FaultClass::ResourceNotFound,
                format!(
                    "The specified resource wasn't found: cluster {} has no service {}.",
                    self.cluster, self.service
                ),
            )
        })?;
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
}

impl TagService {
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
                format!(
                    "Service {} would have {} tags, at most {MAX_TAGS} are allowed.",
                    self.service,
                    tags.len()
                ),
            ));
        }
        Ok(tags)
    }
}
