//! `berth clusters`.

use clap::Subcommand;

use super::refuse_failures;
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::clusters as show;

/// The cluster that ECS means where none is named.
const DEFAULT: &str = "default";

#[derive(Debug, Subcommand)]
pub(crate) enum ClustersCommand {
    /// List the clusters
    #[command(after_help = "Example:\n  berth clusters list --output json")]
    List,
    /// Create a cluster, or show the one that has the name already
    #[command(after_help = "Example:\n  berth clusters create staging")]
    Create {
        /// Up to 255 letters, digits, hyphens and underscores
        name: String,
    },
    /// Show one cluster
    #[command(after_help = "Examples:\n  berth clusters show\n  berth clusters show staging")]
    Show {
        /// Name or ARN [default: the one of --cluster, else `default`]
        name: Option<String>,
    },
    /// Delete a cluster that has no container instances and no tasks
    #[command(after_help = "Example:\n  berth clusters delete staging")]
    Delete {
        /// Name or ARN
        name: String,
    },
}

pub(super) async fn run(command: ClustersCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        ClustersCommand::List => {
            let answer = api.all_clusters().await?;
            output.answer(&answer, |answer| show::list(&answer.clusters))?;
        }
        ClustersCommand::Create { name } => {
            let answer = api.create_cluster(name).await?;
            output.answer(&answer, |answer| show::one(answer.cluster.as_ref()))?;
        }
        ClustersCommand::Show { name } => {
            let name = name.unwrap_or_else(|| api.cluster().unwrap_or(DEFAULT).to_owned());
            let answer = api.describe_clusters(vec![name]).await?;
            refuse_failures("cluster", &answer.failures)?;
            output.answer(&answer, |answer| show::one(answer.clusters.first()))?;
        }
        ClustersCommand::Delete { name } => {
            let answer = api.delete_cluster(name).await?;
            output.answer(&answer, |answer| show::one(answer.cluster.as_ref()))?;
        }
    }
    Ok(Ending::Done)
}
