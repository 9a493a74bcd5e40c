//! DescribeUsage: what the hosts use now, as their agents last said.

use berth_model::fault::Fault;
use berth_proto::v1::{DescribeUsageRequest, DescribeUsageResponse, InstanceUsage};
use berth_scheduler_core::keys::InstanceKey;

use super::Api;
use super::request::given;

pub(super) fn describe(api: &Api, request: &DescribeUsageRequest) -> Result<DescribeUsageResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let state = api.engine.view();
    let cluster = state.active_cluster(&name)?.key;
    let instances = state.instances_of(cluster).filter_map(|instance| {
        let key = InstanceKey {
            cluster,
            instance: instance.id,
        };
        let (usage, age) = api.registry.usage(key)?;
        Some(InstanceUsage {
            container_instance_arn: api.namespace.instance(&name, instance.id),
            usage: Some(usage),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        })
    });
    Ok(DescribeUsageResponse {
        instances: instances.collect(),
    })
}
