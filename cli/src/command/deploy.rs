//! `berth deploy`.

use std::time::Duration;

use anyhow::Context;
use berth_proto::ecs::v1::UpdateServiceRequest;
use clap::Args;

use super::services::watch;
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, services as show};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth deploy web nginx:5
  berth deploy web nginx              the newest revision of the family
  berth deploy web nginx:5 --timeout-after 30m

Ctrl-C ends the watching, not the deployment.
Exit status 1: the deployment failed (and was rolled back, where the service says so), or did not end in time.")]
pub(crate) struct DeployArgs {
    /// Name or ARN of the service
    service: String,
    /// What it is to run: FAMILY, FAMILY:REVISION or an ARN
    #[arg(value_name = "TASKDEF")]
    task_definition: String,
    /// How long the deployment is watched
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    timeout_after: Duration,
}

pub(super) async fn run(args: DeployArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let request = UpdateServiceRequest {
        service: Some(args.service),
        task_definition: Some(args.task_definition),
        // The definition that it has already is rolled out again, as it was asked for.
        force_new_deployment: Some(true),
        ..Default::default()
    };
    let answer = api.update_service(request).await?;
    let service = answer
        .service
        .context("the scheduler does not say what became of the service")?;
    let (ending, service) = watch::deployment(api, output, &service, args.timeout_after).await?;
    output.answer(&service, |service| {
        show::one(Some(service), &[], None, Now::of_the_clock())
    })?;
    Ok(ending)
}
