//! `berth task-definitions`.

mod document;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::refuse_failures;
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::{Now, task_definitions as show};

#[derive(Debug, Subcommand)]
pub(crate) enum TaskDefinitionsCommand {
    /// Register the next revision of a family from ECS's JSON
    #[command(after_help = "\
Examples:
  berth task-definitions register web.json
  berth task-definitions register - <<'END'
  {\"family\": \"web\", \"containerDefinitions\": [
    {\"name\": \"app\", \"image\": \"nginx:1.29\", \"memory\": 128, \"portMappings\": [{\"containerPort\": 80}]}
  ]}
  END")]
    Register {
        /// A file with the input of RegisterTaskDefinition; `-` reads standard input
        file: PathBuf,
    },
    /// List the registered revisions
    #[command(after_help = "\
Examples:
  berth task-definitions list
  berth td list --family web --status inactive")]
    List {
        /// Only revisions of this family
        #[arg(long)]
        family: Option<String>,
        /// Only revisions in this status
        #[arg(long, default_value = "active")]
        status: Status,
    },
    /// Show one revision; the newest ACTIVE one where only the family is named
    #[command(after_help = "\
Examples:
  berth task-definitions show web
  berth td show web:3 --output json")]
    Show {
        /// FAMILY, FAMILY:REVISION or an ARN
        #[arg(value_name = "FAMILY[:REVISION]")]
        name: String,
    },
    /// Turn one revision INACTIVE: what runs of it goes on, nothing new is started
    #[command(after_help = "Example:\n  berth task-definitions deregister web:3")]
    Deregister {
        /// FAMILY:REVISION or an ARN
        #[arg(value_name = "FAMILY:REVISION")]
        name: String,
    },
    /// Delete INACTIVE revisions, each as soon as nothing uses it any more
    #[command(after_help = "Example:\n  berth task-definitions delete web:1 web:2")]
    Delete {
        /// FAMILY:REVISION or ARNs, up to 10
        #[arg(value_name = "FAMILY:REVISION", required = true)]
        names: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Status {
    Active,
    Inactive,
    /// Deleted, and still used
    DeleteInProgress,
}

impl Status {
    /// ECS's spelling.
    fn as_ecs(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

pub(super) async fn run(command: TaskDefinitionsCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let now = Now::of_the_clock();
    match command {
        TaskDefinitionsCommand::Register { file } => {
            let answer = api.register_task_definition(document::read(&file)?).await?;
            output.answer(&answer, |answer| show::one(answer.task_definition.as_ref(), now))?;
        }
        TaskDefinitionsCommand::List { family, status } => {
            let status = status.as_ecs();
            let answer = api.list_task_definitions(family.as_deref(), status).await?;
            output.answer(&answer, |answer| show::list(&answer.task_definition_arns))?;
        }
        TaskDefinitionsCommand::Show { name } => {
            let answer = api.describe_task_definition(name).await?;
            output.answer(&answer, |answer| show::one(answer.task_definition.as_ref(), now))?;
        }
        TaskDefinitionsCommand::Deregister { name } => {
            let answer = api.deregister_task_definition(name).await?;
            output.answer(&answer, |answer| show::one(answer.task_definition.as_ref(), now))?;
        }
        TaskDefinitionsCommand::Delete { names } => {
            let answer = api.delete_task_definitions(names).await?;
            output.answer(&answer, |answer| show::statuses(&answer.task_definitions))?;
            refuse_failures("task definition", &answer.failures)?;
        }
    }
    Ok(Ending::Done)
}
