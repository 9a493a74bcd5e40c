//! The task definitions of a project: those that carry its tag.

use super::request::{PROJECT, SERVICE, tag};
use crate::api::Api;

/// A family of a project.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    /// The service of the files that it is of.
    pub(super) service: String,
}

/// The families whose newest ACTIVE revision is of the project.
pub(super) async fn of_project(api: &Api, project: &str) -> anyhow::Result<Vec<Family>> {
    let mut ours = Vec::new();
    for family in api.list_families(&format!("{project}-")).await? {
        // Another client may have deregistered it since.
        if let Some(answer) = api.newest_definition(&family).await?
            && tag(&answer.tags, PROJECT) == Some(project)
        {
            ours.push(Family {
                service: tag(&answer.tags, SERVICE).unwrap_or_default().to_owned(),
                name: family,
            });
        }
    }
    Ok(ours)
}

/// Deregisters the revisions of the family that are of the project.
pub(super) async fn deregister(api: &Api, project: &str, family: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    for arn in api
        .list_task_definitions(Some(family), "ACTIVE")
        .await?
        .task_definition_arns
    {
        let described = api.describe_task_definition(arn.clone()).await?;
        if tag(&described.tags, PROJECT) == Some(project) {
            api.deregister_task_definition(arn).await?;
            count += 1;
        }
    }
    Ok(count)
}
