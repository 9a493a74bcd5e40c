//! The agent's settings, and where they come from.
//!
//! A flag wins over the environment, that over `/etc/berth/agent.toml`, that over `/etc/ecs/ecs.config`, that over the
//! default. Everything that is one setting's is in one entry of the list in `settings`. Nothing that is wrong is put
//! right in silence: whatever is unknown or breaks a rule is named, with its source, and the agent does not start.

mod attribute;
mod check;
mod command_line;
mod ecs;
mod env_file;
mod setting;
mod settings;
mod source;
mod toml_file;
mod value;

use std::ffi::OsString;
use std::path::Path;

pub use command_line::command;
pub use settings::Config;

pub(crate) use attribute::Attribute;
pub(crate) use settings::ImagePullBehavior;
pub(crate) use source::Note;
use source::{Gathered, Sources};
pub(crate) use value::Short;

use crate::drain::client::Drain;
use crate::endpoint::host::Network;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// To be the agent of this host.
    Run(Box<Config>),
    /// To say what would be used; this is it.
    Check(String),
    /// To let containers reach the endpoint of their tasks, or to undo it.
    Network(Network),
    /// To tell the agent of this host that the host goes away, or stays.
    Drain(Drain),
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line; clap words it, help and version included.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// Everything that is wrong: each names where it is from, its key, its value and the rule.
    #[error("{}", .0.join("\nberth-agent: "))]
    Settings(Vec<String>),
}

impl Invocation {
    /// Reads the command line, the environment and the files.
    ///
    /// # Errors
    /// Every setting that is wrong or missing.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let environment = environment().map_err(ConfigError::Settings)?;
        let files = [Path::new(source::FILE), Path::new(source::ECS_FILE)];
        Self::of(arguments, environment, files)
    }

    fn of(
        arguments: impl IntoIterator<Item = OsString>,
        environment: Vec<(String, String)>,
        [default_file, default_ecs_file]: [&Path; 2],
    ) -> Result<Self, ConfigError> {
        let flags = &command().try_get_matches_from(arguments)?;
        if let Some((command_line::NETWORK, network)) = flags.subcommand() {
            let down = network.get_one::<String>("way").is_some_and(|way| way == "down");
            return Ok(Self::Network(if down { Network::Down } else { Network::Up }));
        }
        let sources = Sources {
            flags,
            environment,
            default_file,
            default_ecs_file,
        };
        let gathered = Gathered::from(&sources).map_err(ConfigError::Settings)?;
        if let Some((command_line::DRAIN, drain)) = flags.subcommand() {
            let drain = command_line::drain(drain, &gathered);
            return drain
                .map(Self::Drain)
                .map_err(|problem| ConfigError::Settings(vec![problem]));
        }
        let config = Config::read(&gathered).map_err(ConfigError::Settings)?;
        config.consistent().map_err(ConfigError::Settings)?;
        Ok(if flags.get_flag("check-config") {
            Self::Check(check::report(&gathered))
        } else {
            Self::Run(Box::new(config))
        })
    }
}

impl Config {
    /// The settings of a test: these flags and nothing of this machine.
    #[cfg(test)]
    pub(crate) fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let nowhere = Path::new("/dev/null");
        match Invocation::of(arguments, Vec::new(), [nowhere, nowhere])? {
            Invocation::Run(config) => Ok(*config),
            other @ (Invocation::Check(_) | Invocation::Drain(_) | Invocation::Network(_)) => {
                Err(ConfigError::Settings(vec![format!("{other:?}")]))
            }
        }
    }

    /// The cluster's name, also where its ARN is given.
    pub(crate) fn cluster_name(&self) -> &str {
        self.cluster.rsplit('/').next().unwrap_or(&self.cluster)
    }

    /// Whether tasks run without the credentials of their roles: only where there are none.
    pub(crate) fn ignores_task_roles(&self) -> bool {
        self.ignore_task_roles && self.credentials_file.is_none() && self.credentials_command.is_empty()
    }

    /// The settings that say where the join token comes from, of those that are given.
    pub(crate) fn token_settings(&self) -> Vec<&'static str> {
        let given = [
            ("join-token", self.join_token.is_some()),
            ("join-token-file", self.join_token_file.is_some()),
            ("join-token-command", self.join_token_command.is_some()),
            ("join-token-tag", self.join_token_tag.is_some()),
        ];
        given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect()
    }

    /// The rules between settings.
    fn consistent(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if !(self.disk_low_percent <= self.disk_clean_percent && self.disk_clean_percent <= self.disk_refuse_percent) {
            problems.push(format!(
                "disk-low-percent, disk-clean-percent and disk-refuse-percent are {}, {} and {}, they must not go down in this order",
                self.disk_low_percent, self.disk_clean_percent, self.disk_refuse_percent
            ));
        }
        if self.registry_auth_type.is_some() != self.registry_auth_data.is_some() {
            problems.push("registry-auth-type and registry-auth-data must be set together".to_owned());
        }
        if self.credentials_file.is_some() && !self.credentials_command.is_empty() {
            problems.push("credentials-file and credentials-command are set, only one of them can be".to_owned());
        }
        if let Err(rule) = berth_tls::agree(&self.schedulers) {
            problems.push(format!("scheduler {rule}"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// The variables of the environment that may be settings; the others need not even be text.
fn environment() -> Result<Vec<(String, String)>, Vec<String>> {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("BERTH_") || name.starts_with("ECS_") => {
                problems.push(format!("{name} is not text in UTF-8"));
            }
            Err(_) => {}
        }
    }
    if problems.is_empty() {
        Ok(variables)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests;
