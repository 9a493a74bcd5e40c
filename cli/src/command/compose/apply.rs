//! One service as it is to be: what differs is changed, and nothing else.

use anyhow::{Context, bail};
use berth_compose::Service as Wanted;
use berth_proto::ecs::v1::Service;

use super::request::{self, DIGEST, PROJECT, digest, tag};
use crate::api::Api;

/// What is to be done about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct Plan {
    /// The revision that is there already and is the same.
    pub(in crate::command) definition: Option<String>,
    /// What else.
    pub(in crate::command) step: Step,
}

/// What is to be done about a service, beside its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Step {
    /// It is not there.
    Create,
    /// It runs another definition, or is otherwise another.
    Update { definition: bool, settings: bool },
    /// It is as it is to be.
    Nothing,
}

/// Compares what is wanted with what is there.
///
/// # Errors
/// A call fails, or what is there belongs to somebody else or cannot become what is wanted.
pub(in crate::command) async fn plan(
    api: &Api,
    wanted: &Wanted,
    project: &str,
    there: Option<&Service>,
) -> anyhow::Result<Plan> {
    let name = &wanted.service_name;
    let wanted_digest = digest(&wanted.task_definition)?;
    let newest = api.newest_definition(name).await?;
    let same = newest.filter(|answer| tag(&answer.tags, DIGEST) == Some(&wanted_digest));
    let definition = same.and_then(|answer| answer.task_definition?.task_definition_arn);
    let Some(there) = there else {
        let step = Step::Create;
        return Ok(Plan { definition, step });
    };
    if tag(&there.tags, PROJECT) != Some(project) {
        bail!("the service \"{name}\" is there and not of the project \"{project}\": choose another name");
    }
    let (_, strategy) = request::scheduling(wanted);
    if there.scheduling_strategy() != strategy {
        let is = there.scheduling_strategy();
        bail!("the service \"{name}\" is {is} and cannot become {strategy}: delete it first");
    }
    let other_definition = definition.as_deref() != Some(there.task_definition());
    let other_settings = tag(&there.tags, DIGEST) != Some(&digest(&wanted.settings())?);
    let step = match (other_definition, other_settings) {
        (false, false) => Step::Nothing,
        (definition, settings) => Step::Update { definition, settings },
    };
    Ok(Plan { definition, step })
}

/// The ARN of the wanted definition, registered where it is not there.
pub(in crate::command) async fn definition(
    api: &Api,
    wanted: &Wanted,
    project: &str,
    plan: &Plan,
) -> anyhow::Result<String> {
    if let Some(arn) = &plan.definition {
        return Ok(arn.clone());
    }
    let answer = api
        .register_task_definition(request::register(wanted, project)?)
        .await?;
    let registered = answer
        .task_definition
        .and_then(|registered| registered.task_definition_arn);
    registered.context("the scheduler does not say what it has registered")
}

/// Does what the plan says, and answers with the service as it is then.
pub(in crate::command) async fn apply(
    api: &Api,
    wanted: &Wanted,
    project: &str,
    plan: &Plan,
    cluster: Option<&str>,
) -> anyhow::Result<Option<Service>> {
    match plan.step {
        Step::Nothing => Ok(None),
        Step::Create => {
            let definition = definition(api, wanted, project, plan).await?;
            let request = request::create(wanted, project, &definition, cluster)?;
            Ok(api.create_service(request).await?.service)
        }
        Step::Update {
            definition: other,
            settings,
        } => {
            let arn = match other {
                true => Some(definition(api, wanted, project, plan).await?),
                false => None,
            };
            let request = request::update(wanted, arn.as_deref(), settings, cluster)?;
            let service = api.update_service(request).await?.service;
            // Last, so that what was interrupted is done again.
            if let Some(service) = service.as_ref().filter(|_| settings) {
                api.tag(service.service_arn(), request::service_tags(wanted, project)?)
                    .await?;
            }
            Ok(service)
        }
    }
}
