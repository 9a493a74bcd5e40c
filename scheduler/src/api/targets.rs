//! DescribeTargets: how the tasks of a service are doing as targets of its load balancers.

use berth_model::fault::Fault;
use berth_model::load_balancer::LoadBalancer;
use berth_proto::gateway::v1::Endpoint;
use berth_proto::v1::{DescribeTargetsRequest, DescribeTargetsResponse, TargetDescription};
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::target::{Target, TargetHealth};

use super::Api;
use super::request::{given, required};
use crate::gateways::endpoints::Place;

pub(super) fn describe(api: &Api, request: &DescribeTargetsRequest) -> Result<DescribeTargetsResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let service = required("service", Some(&request.service))?;
    let service = api.namespace.parse_service(&name, service)?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let known = state.service(&ServiceKey { cluster, service });
    let service = known.ok_or_else(Fault::service_not_found)?;
    let place = Place {
        state: &state,
        key: cluster,
        cluster: &name,
        namespace: &api.namespace,
    };
    let mut targets = Vec::new();
    for task in state.live_tasks_of(service) {
        let Some(target) = &task.target else { continue };
        let endpoint = place.endpoint(service, task);
        for load_balancer in service.load_balancers_of_task(task) {
            let (word, reason) = words(target);
            targets.push(TargetDescription {
                task_arn: api.namespace.task(&name, task.id),
                container_instance_arn: api.namespace.instance(&name, task.instance),
                deployment: task
                    .launch
                    .service
                    .as_ref()
                    .map_or_else(String::new, |launch| launch.deployment.to_string()),
                target_group_arn: load_balancer.target_group_arn.clone(),
                address: endpoint
                    .as_ref()
                    .and_then(|endpoint| address(endpoint, load_balancer))
                    .unwrap_or_default(),
                state: word.to_owned(),
                reason: reason.to_owned(),
                deregister_by: target.deregister_by.map(|by| by.as_epoch_seconds()),
            });
        }
    }
    Ok(DescribeTargetsResponse { targets })
}

/// The state in Elastic Load Balancing's words, and why it is so.
fn words(target: &Target) -> (&'static str, &str) {
    match (target.deregister_by, target.health) {
        (Some(_), _) => ("draining", ""),
        (None, TargetHealth::Initial) => ("initial", ""),
        (None, TargetHealth::Healthy) => ("healthy", ""),
        (None, TargetHealth::Unhealthy) => ("unhealthy", &target.reason),
    }
}

fn address(endpoint: &Endpoint, load_balancer: &LoadBalancer) -> Option<String> {
    let arn = &load_balancer.target_group_arn;
    let target = endpoint.targets.iter().find(|target| target.target_group == *arn)?;
    match endpoint.address.contains(':') {
        true => Some(format!("[{}]:{}", endpoint.address, target.host_port)),
        false => Some(format!("{}:{}", endpoint.address, target.host_port)),
    }
}
