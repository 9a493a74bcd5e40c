//! `berth services rollback`.

use std::time::Duration;

use anyhow::{Context, bail};
use berth_proto::ecs::v1::{Service, ServiceDeploymentBrief, UpdateServiceRequest};
use tokio::time::{Instant, sleep};

use super::{PAUSE, look};
use crate::api::Api;
use crate::output::Output;
use crate::show::ids;

/// How long a deployment that is given up may take to be replaced by the one before it.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(30);

/// Begins to go back, says to what, and answers with the service as it then is.
///
/// # Errors
/// A call fails, or there is nothing to go back to.
pub(super) async fn start(api: &Api, output: &mut Output, name: String) -> anyhow::Result<Service> {
    let known = api.service_deployments(name.clone()).await?.service_deployments;
    let newest = known.first().context("the service has had no deployment")?;
    match newest.status() {
        "PENDING" | "IN_PROGRESS" => give_up(api, output, newest).await,
        "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => {
            output.progress("it is going back already")?;
            look(api, newest.service_arn()).await
        }
        _ => deploy_earlier(api, output, name, &known).await,
    }
}

/// Stops a deployment that is going on, and waits until another one is the newest.
async fn give_up(api: &Api, output: &mut Output, deployment: &ServiceDeploymentBrief) -> anyhow::Result<Service> {
    let before = look(api, deployment.service_arn()).await?;
    let given_up = before.deployments.first().map(|primary| primary.id().to_owned());
    api.roll_back(deployment.service_deployment_arn().to_owned()).await?;
    output.progress("the deployment that was going on is given up")?;
    let deadline = Instant::now() + GIVEN_UP_WITHIN;
    loop {
        let service = look(api, deployment.service_arn()).await?;
        let primary = service.deployments.first().map(|primary| primary.id());
        if primary != given_up.as_deref() {
            return Ok(service);
        }
        if Instant::now() >= deadline {
            bail!(
                "the deployment was told to stop and is still the service's first after {} s",
                GIVEN_UP_WITHIN.as_secs()
            );
        }
        sleep(PAUSE).await;
    }
}

/// Deploys the definition of the newest deployment that succeeded with another one than the service has.
async fn deploy_earlier(
    api: &Api,
    output: &mut Output,
    name: String,
    known: &[ServiceDeploymentBrief],
) -> anyhow::Result<Service> {
    let newest = known.first().context("the service has had no deployment")?;
    let now = look(api, newest.service_arn()).await?;
    let succeeded = known.iter().skip(1).filter(|earlier| earlier.status() == "SUCCESSFUL");
    for earlier in succeeded {
        let revision = earlier.target_service_revision_arn().to_owned();
        let described = api.service_revision(revision).await?;
        let Some(revision) = described.service_revisions.into_iter().next() else {
            continue;
        };
        if revision.task_definition() == now.task_definition() {
            continue;
        }
        output.progress(&format!("going back to {}", ids::of_arn(revision.task_definition())))?;
        let request = UpdateServiceRequest {
            service: Some(name),
            task_definition: revision.task_definition,
            ..Default::default()
        };
        let answer = api.update_service(request).await?;
        return answer
            .service
            .context("the scheduler does not say what became of the service");
    }
    bail!(
        "there is nothing to go back to: no earlier deployment that is remembered succeeded with another definition than {}",
        ids::of_arn(now.task_definition())
    )
}
