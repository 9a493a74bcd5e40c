//! `berth settings`.

use clap::{Args, Subcommand};

use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::settings as show;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth settings
  berth settings set containerInsights enhanced
  berth settings unset containerInsights")]
pub(crate) struct SettingsArgs {
    /// A user or a role, by its ARN [default: the account, for all that have no setting of their own]
    #[arg(long, global = true, value_name = "ARN")]
    principal: Option<String>,
    #[command(subcommand)]
    command: Option<SettingsCommand>,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// List all settings as they hold (the default)
    #[command(after_help = "Example:\n  berth settings list --principal arn:aws:iam::000000000000:user/ann")]
    List,
    /// Give a setting a value
    #[command(after_help = "Example:\n  berth settings set containerInsights enabled")]
    Set {
        /// As ECS calls it
        name: String,
        /// One of those that the setting knows
        value: String,
    },
    /// Take back what was set
    #[command(after_help = "Example:\n  berth settings unset containerInsights")]
    Unset {
        /// As ECS calls it
        name: String,
    },
}

pub(super) async fn run(args: SettingsArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let principal = args.principal;
    match args.command.unwrap_or(SettingsCommand::List) {
        SettingsCommand::List => {
            let answer = api.account_settings(principal).await?;
            output.answer(&answer, |answer| show::list(&answer.settings))?;
        }
        SettingsCommand::Set { name, value } => {
            let answer = api.put_account_setting(name, value, principal).await?;
            output.answer(&answer, |answer| show::list(answer.setting.as_slice()))?;
        }
        SettingsCommand::Unset { name } => {
            let answer = api.delete_account_setting(name, principal).await?;
            output.answer(&answer, |answer| show::list(answer.setting.as_slice()))?;
        }
    }
    Ok(Ending::Done)
}
