//! `berth history`.

use berth_proto::v1::HistoryRequest;
use clap::{Args, Subcommand};

use super::{instances, ps};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::history as show;

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Tell what happened to a task
    #[command(after_help = "\
Examples:
  berth history task 3f2a
  berth history task 0199a7c1e6d27f5a8b1c2d3e4f506172 --oldest-first")]
    Task {
        /// An ARN, an id, or while it is still described the beginning of one with at least four characters
        id: String,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Tell what happened to a service
    #[command(after_help = "\
Examples:
  berth history service web --limit 20
  berth history service web --at 2026-11-21T06:30:00Z")]
    Service {
        /// Name or ARN
        name: String,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Tell what happened to a container instance
    #[command(after_help = "Example:\n  berth history instance 7c1e --output json")]
    Instance {
        /// An ARN, an id, or the beginning of one with at least four characters
        id: String,
        #[command(flatten)]
        how: HowArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// Tell the oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How many lines to tell
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn run(command: HistoryCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let mut request = HistoryRequest::default();
    let how = match command {
        HistoryCommand::Task { id, how } => {
            request.task = ps::named(api, &[id]).await?.pop();
            how
        }
        HistoryCommand::Service { name, how } => {
            request.service = Some(name);
            how
        }
        HistoryCommand::Instance { id, how } => {
            request.container_instance = Some(instances::named(api, id).await?);
            how
        }
    };
    request.oldest_first = how.oldest_first;
    let limit = usize::try_from(how.limit).unwrap_or(usize::MAX);
    let answer = api.history(request, limit).await?;
    output.answer(&answer, show::lines)?;
    if answer.lines.is_empty() {
        output.progress(&show::nothing(&answer))?;
    } else if answer.next_token.is_some() {
        output.progress("there is more: --limit sets how many lines are told")?;
    }
    Ok(Ending::Done)
}
