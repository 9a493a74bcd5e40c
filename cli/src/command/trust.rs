//! `berth tokens`, `berth members` and `berth ca`.

use std::time::Duration;

use berth_proto::v1::CreateJoinTokenRequest;
use clap::{Args, Subcommand, ValueEnum};

use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::Now;
use crate::show::trust as show;

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Create a token with which hosts join the cluster, and show it: it is not shown again
    #[command(after_help = "\
Examples:
  berth --cluster prod tokens create > join-token
  berth --cluster prod tokens create --uses 20 --lifetime 7d --attribute rack=r12
  berth --cluster prod tokens create --role gateway

On the host: put it into /etc/berth/join-token, for its owner alone, and start berth-agent.")]
    Create {
        /// As what hosts join with it
        #[arg(long, value_name = "ROLE", default_value = "instance")]
        role: Role,
        /// How many hosts may join with it
        #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10_000))]
        uses: i32,
        /// For how long hosts may join with it: a minute to 365 days, such as 30m, 8h or 7d
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
        lifetime: Duration,
        /// Attribute that hosts may claim, with any value or this one; may be repeated. Without it they may claim any
        #[arg(long = "attribute", value_name = "NAME[=VALUE]")]
        attributes: Vec<String>,
    },
    /// List the cluster's tokens, those too with which nobody can join any more
    #[command(after_help = "Example:\n  berth --cluster prod tokens list")]
    List,
    /// Let nobody join with a token any more; who has joined stays
    #[command(after_help = "Example:\n  berth --cluster prod tokens revoke 0123456789abcdef")]
    Revoke {
        /// The token's id, which stands in it behind the first dot
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// List the hosts and gateways that have joined the cluster, and when their certificates end
    #[command(after_help = "Example:\n  berth --cluster prod members list")]
    List,
    /// Refuse the certificate of a host or a gateway from now on. Its tasks go on: drain or deregister an instance as well
    #[command(after_help = "Example:\n  berth --cluster prod members remove --role gateway 4f1d...")]
    Remove {
        /// As what it has joined
        #[arg(long, value_name = "ROLE", default_value = "instance")]
        role: Role,
        /// Its id: 32 hexadecimal digits
        id: String,
    },
}

/// Show who vouches for the schedulers, and for how many members each authority has signed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth ca
  berth ca --pem > ca.pem                                    for other clients, such as AWS_CA_BUNDLE

`berth-scheduler ca rotate`, on the scheduler's host, makes a new one.")]
pub(crate) struct CaArgs {
    /// Print their certificates in PEM and nothing else
    #[arg(long)]
    pem: bool,
}

/// As what something joins.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// A container instance
    Instance,
    /// A gateway
    Gateway,
}

impl Role {
    fn name(self) -> String {
        match self {
            Self::Instance => "instance".to_owned(),
            Self::Gateway => "gateway".to_owned(),
        }
    }
}

pub(super) async fn tokens(command: TokensCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        TokensCommand::Create {
            role,
            uses,
            lifetime,
            attributes,
        } => {
            let request = CreateJoinTokenRequest {
                cluster: None,
                role: Some(role.name()),
                uses: Some(uses),
                lifetime_seconds: Some(seconds(lifetime)),
                attributes,
            };
            let answer = api.create_join_token(request).await?;
            output.answer(&answer, show::created)?;
        }
        TokensCommand::List => {
            let answer = api.all_join_tokens().await?;
            output.answer(&answer, |answer| show::tokens(&answer.join_tokens, Now::of_the_clock()))?;
        }
        TokensCommand::Revoke { id } => {
            let answer = api.revoke_join_token(id).await?;
            output.answer(&answer, show::revoked)?;
        }
    }
    Ok(Ending::Done)
}

pub(super) async fn members(command: MembersCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        MembersCommand::List => {
            let answer = api.all_members().await?;
            output.answer(&answer, |answer| show::members(&answer.members, Now::of_the_clock()))?;
        }
        MembersCommand::Remove { role, id } => {
            let answer = api.remove_member(role.name(), id.clone()).await?;
            output.answer(&answer, |_| show::removed(&id))?;
        }
    }
    Ok(Ending::Done)
}

pub(super) async fn ca(args: &CaArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let answer = api.authorities().await?;
    output.answer(&answer, |answer| match args.pem {
        true => show::pem(answer),
        false => show::authorities(answer, Now::of_the_clock()),
    })?;
    Ok(Ending::Done)
}

/// As [`duration`], and `7d`.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 60 * 60;
    let Some(days) = text.strip_suffix('d') else {
        return duration(text);
    };
    match days.parse::<u64>() {
        Ok(days @ 1..=365) => Ok(Duration::from_secs(days * DAY)),
        Ok(_) | Err(_) => {
            Err("it must be a whole number and a unit, such as 30m, 8h or 7d, and at most 365 days".to_owned())
        }
    }
}

pub(super) fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}
