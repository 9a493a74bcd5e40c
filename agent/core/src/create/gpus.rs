//! GPUs: those that the scheduler has given to a container, and none to any other.

use berth_model::gpu::GpuId;
use berth_model::task_definition::ContainerDefinition;

use crate::spec::TaskSpec;

/// By which NVIDIA's runtime knows which GPUs to show to a container.
const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

/// The GPUs of the container: as many as its definition asks for.
pub(super) fn given(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<GpuId>, String> {
    let other = container
        .resource_requirements
        .iter()
        .find(|required| !required.is_gpu());
    if let Some(other) = other {
        return Err(format!(
            "resourceRequirements asks for '{}', which this agent does not have",
            other.kind
        ));
    }
    let ids: Vec<GpuId> = of(spec, container).to_vec();
    let asked = container.gpus();
    if u32::try_from(ids.len()) != Ok(asked.0) {
        return Err(format!(
            "resourceRequirements asks for {asked} GPUs and the scheduler has given {}",
            ids.len()
        ));
    }
    Ok(ids)
}

/// What the runtime is told: it holds against any value that the definition gives (amazon-ecs-agent, `agent/api/task`).
pub(super) fn variable(spec: &TaskSpec, container: &ContainerDefinition) -> Option<(&'static str, String)> {
    let ids: Vec<&str> = of(spec, container).iter().map(GpuId::as_str).collect();
    (!ids.is_empty()).then(|| (VISIBLE, ids.join(",")))
}

fn of<'s>(spec: &'s TaskSpec, container: &ContainerDefinition) -> &'s [GpuId] {
    let mut all = spec.context.gpus.iter();
    let own = all.find(|given| *given.container == *container.name);
    own.map_or(&[], |given| &given.ids)
}

#[cfg(test)]
mod tests {
    use berth_model::gpu::ContainerGpus;
    use serde_json::json;

    use super::*;
    use crate::create::{CreateRequest, Unfit, create_request};
    use crate::machine::testing::spec;

    /// A container that asks for two GPUs and got these, and one that asks for none.
    fn requests(given: &[&str]) -> Result<[CreateRequest; 2], Unfit> {
        let mut spec = spec(&json!([
            {"name": "train", "image": "a", "memory": 8, "environment": [{"name": VISIBLE, "value": "all"}],
                "resourceRequirements": [{"type": "GPU", "value": "2"}]},
            {"name": "log", "image": "a", "memory": 8},
        ]));
        spec.context.gpus = vec![ContainerGpus {
            container: "train".into(),
            ids: given.iter().map(|id| GpuId::parse(id).unwrap()).collect(),
        }];
        Ok([create_request(&spec, 0)?, create_request(&spec, 1)?])
    }

    #[test]
    fn a_container_sees_its_own_gpus_and_another_sees_none() {
        let [train, log] = requests(&["GPU-a", "GPU-c"]).unwrap();
        assert_eq!(train.environment, ["NVIDIA_VISIBLE_DEVICES=GPU-a,GPU-c"]);
        assert_eq!(train.host.gpus.len(), 2);
        assert!(log.environment.is_empty() && log.host.gpus.is_empty());
    }

    #[test]
    fn a_container_runs_with_as_many_as_it_asks_for_or_not_at_all() {
        let short = requests(&["GPU-a"]).unwrap_err().to_string();
        assert!(
            short.contains("asks for 2 GPUs and the scheduler has given 1"),
            "{short}"
        );
    }
}
