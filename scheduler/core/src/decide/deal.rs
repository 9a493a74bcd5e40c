//! Which GPUs of its instance each container of a copy gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::gpu::{ContainerGpus, GpuId};
use berth_model::id::InstanceId;
use berth_model::task_definition::TaskDefinition;

use crate::keys::{ClusterKey, InstanceKey};
use crate::state::State;

/// Deals the free GPUs of instances to copies that one command places, the smallest ids first and container after
/// container.
pub(super) struct Dealer<'s> {
    state: &'s State,
    cluster: ClusterKey,
    /// GPUs that earlier copies have got, by instance.
    dealt: BTreeMap<InstanceId, usize>,
}

impl<'s> Dealer<'s> {
    /// A dealer that has dealt nothing yet.
    pub(super) const fn new(state: &'s State, cluster: ClusterKey) -> Self {
        Self {
            state,
            cluster,
            dealt: BTreeMap::new(),
        }
    }

    /// The GPUs of the next copy on the instance, which has been found to have room for it.
    pub(super) fn deal(&mut self, definition: &TaskDefinition, instance: InstanceId) -> Arc<[ContainerGpus]> {
        let key = InstanceKey {
            cluster: self.cluster,
            instance,
        };
        let containers = definition.container_definitions.iter();
        let mut shares = containers.filter(|container| !container.gpus().is_none()).peekable();
        let Some(known) = self.state.instance(key).filter(|_| shares.peek().is_some()) else {
            return Arc::default();
        };
        let dealt = self.dealt.entry(instance).or_default();
        let mut free = known.free_gpus().skip(*dealt).cloned();
        let given = shares.map(|container| ContainerGpus {
            container: container.name.as_str().into(),
            ids: free.by_ref().take(container.gpus().0 as usize).collect::<Vec<GpuId>>(),
        });
        let given: Arc<[ContainerGpus]> = given.collect();
        *dealt += given.iter().map(|container| container.ids.len()).sum::<usize>();
        given
    }
}

#[cfg(test)]
mod tests {
    use berth_model::name::ClusterName;
    use berth_model::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::change::Change;
    use crate::fold::fold;
    use crate::observation::InstanceFacts;

    #[test]
    fn copies_and_their_containers_share_nothing() {
        let (cluster, instance) = (ClusterKey(1), InstanceId::from_bits(1));
        let at = Timestamp::from_millis(1);
        let mut state = State::default();
        let gpus = ["GPU-b", "GPU-e", "GPU-a", "GPU-d", "GPU-c", "GPU-f"].map(|id| GpuId::parse(id).unwrap());
        let facts = InstanceFacts {
            gpus: gpus.into(),
            ..InstanceFacts::default()
        };
        let changes = [
            Change::ClusterCreated {
                name: ClusterName::parse("default").unwrap(),
                key: cluster,
                tags: Vec::new(),
            },
            Change::InstanceRegistered {
                cluster,
                instance,
                facts: Arc::new(facts),
                at,
            },
        ];
        changes.iter().for_each(|change| fold(&mut state, change));
        let gpus = |count: &str| json!([{"type": "GPU", "value": count}]);
        let definition = json!({"family": "f", "containerDefinitions": [
            {"name": "train", "image": "a", "resourceRequirements": gpus("2")},
            {"name": "log", "image": "a"},
            {"name": "infer", "image": "a", "resourceRequirements": gpus("1")}]});
        let definition: TaskDefinition = serde_json::from_value(definition).unwrap();
        let mut dealer = Dealer::new(&state, cluster);
        let mut dealt = || -> Vec<(String, String)> {
            let containers = dealer.deal(&definition, instance);
            let words = |one: &ContainerGpus| (one.container.to_string(), one.ids.iter().map(GpuId::as_str).collect());
            containers.iter().map(words).collect()
        };
        let pair = |container: &str, ids: &str| (container.to_owned(), ids.to_owned());
        assert_eq!(dealt(), [pair("train", "GPU-aGPU-b"), pair("infer", "GPU-c")]);
        assert_eq!(dealt(), [pair("train", "GPU-dGPU-e"), pair("infer", "GPU-f")]);
    }
}
