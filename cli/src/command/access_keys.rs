//! `berth access-keys`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use berth_model::name::ClusterName;
use berth_model::policy::{Policy, Role};
use berth_proto::v1::{
    CreateCertificateRequest, GetSessionTokenRequest, RotateAccessKeyRequest, UpdateAccessKeyRequest,
};
use berth_tls::NewKey;
use clap::{Args, Subcommand, ValueEnum};

use super::trust::{lifetime, seconds};
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::credentials::configuration;
use crate::output::Output;
use crate::show::Now;
use crate::show::access_keys as show;
use crate::tls;

#[derive(Debug, Subcommand)]
pub(crate) enum AccessKeysCommand {
    /// Create an access key, and show its secret: it is not shown again
    #[command(after_help = "\
Examples:
  berth access-keys create ops --admin
  berth access-keys create ci --policy deploy.json
  berth access-keys create dashboard --role read --in-cluster prod
  sudo berth --master-key-file /var/lib/berth-scheduler/master.key access-keys create ops --admin")]
    Create {
        /// Who it is for: up to 64 letters, digits and +=,.@_- characters
        user: String,
        #[command(flatten)]
        policy: PolicyArgs,
        /// Cluster in which the role may do it; may be repeated. Without it everywhere
        #[arg(long = "in-cluster", value_name = "NAME", value_parser = cluster_name)]
        clusters: Vec<ClusterName>,
    },
    /// List the access keys
    #[command(after_help = "Example:\n  berth access-keys list --user ci")]
    List {
        /// Only those for this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Show one access key and its policy
    #[command(after_help = "Example:\n  berth access-keys show AKIAQ4ZUXK2M5DJ7W3PT")]
    Show {
        /// The access key's id
        id: String,
    },
    /// Refuse all calls of an access key and its sessions until it is enabled
    #[command(after_help = "Example:\n  berth access-keys disable AKIAQ4ZUXK2M5DJ7W3PT")]
    Disable {
        /// The access key's id
        id: String,
    },
    /// Take the calls of an access key again
    #[command(after_help = "Example:\n  berth access-keys enable AKIAQ4ZUXK2M5DJ7W3PT")]
    Enable {
        /// The access key's id
        id: String,
    },
    /// Delete an access key; its sessions end with it
    #[command(after_help = "Example:\n  berth access-keys delete AKIAQ4ZUXK2M5DJ7W3PT")]
    Delete {
        /// The access key's id
        id: String,
    },
    /// Give an access key another policy
    #[command(after_help = "Example:\n  berth access-keys set-policy AKIAQ4ZUXK2M5DJ7W3PT --policy deploy.json")]
    SetPolicy {
        /// The access key's id
        id: String,
        #[command(flatten)]
        policy: PolicyArgs,
        /// Cluster in which the role may do it; may be repeated. Without it everywhere
        #[arg(long = "in-cluster", value_name = "NAME", value_parser = cluster_name)]
        clusters: Vec<ClusterName>,
    },
    /// Create another access key in place of one, which is good for a while besides it
    #[command(after_help = "Example:\n  berth access-keys rotate AKIAQ4ZUXK2M5DJ7W3PT --grace 1h")]
    Rotate {
        /// The access key's id
        id: String,
        /// For how long the old one is good besides the new one
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
        grace: Duration,
    },
    /// Create a certificate by which this machine calls as the access key, and keep it with its key
    #[command(after_help = "\
Examples:
  berth access-keys certificate AKIAQ4ZUXK2M5DJ7W3PT
  berth access-keys certificate AKIAQ4ZUXK2M5DJ7W3PT --lifetime 8h --directory ./ci")]
    Certificate {
        /// The access key's id
        id: String,
        /// For how long it is good: a minute to 365 days
        #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = lifetime)]
        lifetime: Duration,
        /// Where key.pem, certificate.pem and ca.pem are put [default: ~/.config/berth, where berth looks for them]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Make credentials for a while, which may do what the access key may
    #[command(after_help = "\
Examples:
  berth access-keys session --duration 15m
  berth access-keys session AKIAQ4ZUXK2M5DJ7W3PT --output json")]
    Session {
        /// The access key's id [default: the one that this call is signed with]
        id: Option<String>,
        /// For how long they are good: a minute to 36 hours
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
        duration: Duration,
    },
}

/// What a key may do: said one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PolicyArgs {
    /// What it may do: a file with a policy in IAM's form, or - for standard input
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// It may do everything
    #[arg(long)]
    admin: bool,
    /// What a role may do: read what there is; operate services, tasks and schedules as well; or everything
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,
}

/// A policy that is ready.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Read,
    Operate,
    Admin,
}

impl PolicyArgs {
    fn document(&self, clusters: &[ClusterName]) -> anyhow::Result<String> {
        if let Some(role) = self.role {
            let role = match role {
                RoleName::Read => Role::Read,
                RoleName::Operate => Role::Operate,
                RoleName::Admin => Role::Admin,
            };
            return Ok(Policy::of_role(role, clusters).to_json());
        }
        anyhow::ensure!(
            clusters.is_empty(),
            "--in-cluster belongs to --role: a policy says itself where it applies"
        );
        match &self.policy {
            None => Ok(Policy::everything().to_json()),
            Some(path) if path == Path::new("-") => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .context("cannot read standard input")?;
                Ok(text)
            }
            Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

pub(super) async fn run(command: AccessKeysCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        AccessKeysCommand::Create { user, policy, clusters } => {
            let answer = api.create_access_key(user, policy.document(&clusters)?).await?;
            output.answer(&answer, |answer| {
                show::with_secret(answer.access_key.as_ref(), &answer.secret_access_key)
            })?;
        }
        AccessKeysCommand::List { user } => {
            let answer = api.all_access_keys(user).await?;
            output.answer(&answer, |answer| show::list(&answer.access_keys, Now::of_the_clock()))?;
        }
        AccessKeysCommand::Show { id } => {
            let answer = api.access_key(id).await?;
            output.answer(&answer, |answer| {
                show::one(answer.access_key.as_ref(), Now::of_the_clock())
            })?;
        }
        AccessKeysCommand::Disable { id } => set(api, output, id, Some("Inactive"), None).await?,
        AccessKeysCommand::Enable { id } => set(api, output, id, Some("Active"), None).await?,
        AccessKeysCommand::SetPolicy { id, policy, clusters } => {
            set(api, output, id, None, Some(policy.document(&clusters)?)).await?;
        }
        AccessKeysCommand::Delete { id } => {
            let answer = api.delete_access_key(id.clone()).await?;
            output.answer(&answer, |_| show::deleted(&id))?;
        }
        AccessKeysCommand::Rotate { id, grace } => {
            let request = RotateAccessKeyRequest {
                access_key_id: Some(id),
                grace_seconds: Some(seconds(grace)),
            };
            let answer = api.rotate_access_key(request).await?;
            output.answer(&answer, |answer| {
                show::with_secret(answer.access_key.as_ref(), &answer.secret_access_key)
            })?;
        }
        AccessKeysCommand::Certificate {
            id,
            lifetime,
            directory,
        } => {
            let directory = directory.or_else(configuration);
            let directory = directory.context("--directory must be given: there is no home directory")?;
            let drawn = NewKey::draw().context("cannot draw a key")?;
            let request = CreateCertificateRequest {
                access_key_id: Some(id),
                certificate_request: Some(drawn.request),
                lifetime_seconds: Some(seconds(lifetime)),
            };
            let answer = api.create_certificate(request).await?;
            tls::keep(&directory, [&drawn.key, &answer.certificate, &answer.authorities])?;
            output.answer(&answer, |answer| {
                show::certificate(answer, &directory, Now::of_the_clock())
            })?;
        }
        AccessKeysCommand::Session { id, duration } => {
            let request = GetSessionTokenRequest {
                access_key_id: id,
                duration_seconds: Some(seconds(duration)),
            };
            let answer = api.session(request).await?;
            output.answer(&answer, show::session)?;
        }
    }
    Ok(Ending::Done)
}

async fn set(
    api: &Api,
    output: &mut Output,
    id: String,
    status: Option<&str>,
    policy_document: Option<String>,
) -> anyhow::Result<()> {
    let request = UpdateAccessKeyRequest {
        access_key_id: Some(id),
        status: status.map(str::to_owned),
        policy_document,
    };
    let answer = api.update_access_key(request).await?;
    output.answer(&answer, |answer| {
        show::one(answer.access_key.as_ref(), Now::of_the_clock())
    })
}

fn cluster_name(text: &str) -> Result<ClusterName, String> {
    ClusterName::parse(text).map_err(|fault| fault.message)
}
