//! `berth compose logs`.

use anyhow::bail;
use berth_proto::v1::LogsRequest;

use super::super::logs::{FormArgs, show};
use super::files::Known;
use super::request::{SERVICE, tag};
use super::{check_names, down, families};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;

/// Shows what the project's services have written, or those of them that are named. Of a job that has ended this is its
/// last run.
pub(super) async fn run(
    known: &Known,
    names: &[String],
    form: &FormArgs,
    api: &Api,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let families = families::of_project(api, &known.name).await?;
    check_names(known, &families, names)?;
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|named| named == name);
    let services = down::services_of(api, &known.name).await?;
    let is_service = |name: &str| services.iter().any(|service| tag(&service.tags, SERVICE) == Some(name));
    let mut tasks = Vec::new();
    for job in &families {
        if is_wanted(&job.service) && !is_service(&job.service) {
            tasks.extend(last_run(api, &job.name).await?);
        }
    }
    let services: Vec<String> = services
        .iter()
        .filter(|service| tag(&service.tags, SERVICE).is_some_and(is_wanted))
        .map(|service| service.service_arn().to_owned())
        .collect();
    if services.is_empty() && tasks.is_empty() {
        bail!("nothing of the project \"{}\" has been started", known.name);
    }
    let request = LogsRequest {
        tasks,
        services,
        ..form.request()
    };
    show(form, request, api, output).await
}

/// The tasks of the family that run; where none does, the one that was started last.
async fn last_run(api: &Api, family: &str) -> anyhow::Result<Vec<String>> {
    let running = api.list_tasks(Some(family), "RUNNING").await?;
    if !running.is_empty() {
        return Ok(running);
    }
    let stopped = api.list_tasks(Some(family), "STOPPED").await?;
    let described = api.describe_tasks(&stopped).await?.tasks;
    let last = described
        .iter()
        .max_by(|one, other| one.created_at().total_cmp(&other.created_at()));
    Ok(last.map(|task| task.task_arn().to_owned()).into_iter().collect())
}
