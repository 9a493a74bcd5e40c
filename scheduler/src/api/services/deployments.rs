//! ListServiceDeployments, DescribeServiceDeployments, DescribeServiceRevisions, StopServiceDeployment.

use std::cmp::Reverse;

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::service::StopDeployment;
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::service::Deployment;
use berth_scheduler_core::state::{Service, State};

use crate::api::describe::{missing, service as show};
use crate::api::page::Page;
use crate::api::request::{at_most, given, one_of, required};
use crate::api::{Api, Caller};

/// ARNs in one request, and items in one page where nothing is said (ECS API).
const MAX_DESCRIBED: usize = 20;
const LISTED: usize = 20;
const STATUSES: [&str; 9] = [
    "PENDING",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "IN_PROGRESS",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
];

pub(crate) async fn list(
    api: &Api,
    request: ecs::ListServiceDeploymentsRequest,
    _caller: &Caller,
) -> Result<ecs::ListServiceDeploymentsResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let service = required("service", request.service.as_ref())?;
    let service = api.namespace.parse_service(&name, service)?;
    for status in &request.status {
        one_of("status", status, &STATUSES)?;
    }
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let key = ServiceKey { cluster, service };
    let known = state.service(&key).ok_or_else(Fault::service_not_found)?;
    let range = request.created_at.unwrap_or_default();
    let in_range = |at: Timestamp| {
        let at = at.as_epoch_seconds();
        range.after.is_none_or(|after| at > after) && range.before.is_none_or(|before| at < before)
    };
    let own = known
        .deployments
        .iter()
        .filter(|deployment| deployment.task_set.is_none());
    let mut newest_first: Vec<&Deployment> = own.collect();
    newest_first.sort_by_key(|deployment| Reverse((deployment.created_at, deployment.id)));
    let after = page.after.clone();
    let rest = newest_first
        .into_iter()
        .filter(|deployment| in_range(deployment.created_at))
        .filter(|deployment| {
            let status = show::deployment_status(deployment);
            request.status.is_empty() || request.status.iter().any(|wanted| wanted == status)
        })
        .filter(|deployment| after.as_deref().is_none_or(|after| *place(deployment) < *after));
    let (deployments, next_token) = page.take(rest, |deployment| place(deployment));
    Ok(ecs::ListServiceDeploymentsResponse {
        service_deployments: deployments
            .into_iter()
            .map(|deployment| show::deployment_brief(known, deployment, &name, &api.namespace))
            .collect(),
        next_token,
    })
}

/// Its place in the list: the same number of digits for every time and id.
fn place(deployment: &Deployment) -> String {
    format!("{:020}/{}", deployment.created_at.as_millis(), deployment.id)
}

/// What an ARN of something that belongs to a service names.
struct Named {
    cluster: ClusterName,
    service: ServiceName,
    id: String,
}

impl Named {
    fn read(api: &Api, kind: &str, text: &str) -> Result<Self, Fault> {
        let (cluster, service, id) = api.namespace.parse_of_service(kind, text)?;
        Ok(Self {
            cluster,
            service,
            id: id.to_owned(),
        })
    }

    /// Its service and the deployment of it that the id is of, where there is one.
    fn find<'s>(
        &self,
        state: &'s State,
        is: impl Fn(&Deployment, &str) -> bool,
    ) -> Option<(&'s Service, &'s Deployment)> {
        let key = ServiceKey {
            cluster: state.cluster(&self.cluster)?.key,
            service: self.service.clone(),
        };
        let service = state.service(&key)?;
        // Task sets are no deployments of the scheduler's.
        let mut own = service.deployments.iter().filter(|one| one.task_set.is_none());
        let deployment = own.find(|deployment| is(deployment, &self.id))?;
        Some((service, deployment))
    }
}

fn has_name(deployment: &Deployment, id: &str) -> bool {
    show::deployment_name(deployment.id) == id
}

fn is_of_revision(deployment: &Deployment, id: &str) -> bool {
    deployment.revision.to_string() == id
}

pub(crate) async fn describe(
    api: &Api,
    request: ecs::DescribeServiceDeploymentsRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeServiceDeploymentsResponse, Fault> {
    check("serviceDeploymentArns", &request.service_deployment_arns)?;
    let arns = request.service_deployment_arns;
    let (service_deployments, failures) = named(api, "service-deployment", arns, has_name, show::service_deployment)?;
    Ok(ecs::DescribeServiceDeploymentsResponse {
        service_deployments,
        failures,
    })
}

pub(crate) async fn describe_revisions(
    api: &Api,
    request: ecs::DescribeServiceRevisionsRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeServiceRevisionsResponse, Fault> {
    check("serviceRevisionArns", &request.service_revision_arns)?;
    let arns = request.service_revision_arns;
    let (service_revisions, failures) = named(api, "service-revision", arns, is_of_revision, show::revision)?;
    Ok(ecs::DescribeServiceRevisionsResponse {
        service_revisions,
        failures,
    })
}

/// What the ARNs name, described, and those of them that name nothing.
fn named<T>(
    api: &Api,
    kind: &str,
    arns: Vec<String>,
    is: impl Fn(&Deployment, &str) -> bool,
    describe: impl Fn(&State, &Service, &Deployment, &ClusterName, &Namespace) -> T,
) -> Result<(Vec<T>, Vec<ecs::Failure>), Fault> {
    let state = api.view();
    let (mut described, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let named = Named::read(api, kind, &arn)?;
        match named.find(&state, &is) {
            Some((service, found)) => described.push(describe(&state, service, found, &named.cluster, &api.namespace)),
            None => failures.push(missing(arn)),
        }
    }
    Ok((described, failures))
}

fn check(name: &str, arns: &[String]) -> Result<(), Fault> {
    if arns.is_empty() {
        return Err(Fault::invalid(format!("{name} cannot be empty.")));
    }
    at_most(name, arns, MAX_DESCRIBED)
}

pub(crate) async fn stop(
    api: &Api,
    request: ecs::StopServiceDeploymentRequest,
    caller: &Caller,
) -> Result<ecs::StopServiceDeploymentResponse, Fault> {
    let arn = required("serviceDeploymentArn", request.service_deployment_arn.as_ref())?;
    let kind = given(request.stop_type.as_ref()).unwrap_or("ROLLBACK");
    one_of("stopType", kind, &["ABORT", "ROLLBACK"])?;
    if kind == "ABORT" {
        return Err(Fault::unsupported("stopType ABORT is not supported by this scheduler."));
    }
    let named = Named::read(api, "service-deployment", arn)?;
    let state = api.view();
    let found = named.find(&state, has_name).map(|(_, deployment)| deployment.id);
    let deployment =
        found.ok_or_else(|| Fault::new(FaultClass::ServiceDeploymentNotFound, "Service deployment not found."))?;
    drop(state);
    let command = StopDeployment {
        cluster: named.cluster,
        service: named.service,
        deployment,
    };
    api.submit(command, caller).await?;
    Ok(ecs::StopServiceDeploymentResponse {
        service_deployment_arn: Some(arn.to_owned()),
    })
}
