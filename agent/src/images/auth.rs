//! Who the agent is to a registry: what the task definition names, else what the agent was given, else Docker's own
//! `config.json` with its credential helpers.
//!
//! The helpers are run here and not by the crate `docker_credential`: that one blocks a thread without a bound of
//! time, and a helper that hangs could not be ended.

mod config;
mod helper;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use serde::Deserialize;
use tokio::time::Instant;

use super::Settings;
use crate::docker::Login;
use crate::secrets::{Secret, Secrets};
use config::{Auths, ConfigFile, Source};

/// How long the answer of a helper is good for: as long as a token of ECR.
const REMEMBERED: Duration = Duration::from_secs(12 * 3600);

/// Finds out who the agent is.
#[derive(Debug)]
pub(super) struct Logins {
    docker_config: PathBuf,
    given: Option<Secret>,
    secrets: Secrets,
    /// What helpers have said, by registry.
    remembered: Mutex<BTreeMap<String, (Instant, Login)>>,
}

/// A login and where it is from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) login: Login,
    /// It was heard from a helper earlier, and may have run out since.
    pub(super) remembered: bool,
}

/// What a secret for `repositoryCredentials` holds (ECS guide, "Private registry authentication").
#[derive(Deserialize)]
struct RepositoryCredentials {
    username: String,
    password: String,
}

impl Logins {
    pub(super) fn new(settings: &Settings, secrets: Secrets) -> Self {
        Self {
            docker_config: settings.docker_config.clone(),
            given: settings.given.clone(),
            secrets,
            remembered: Mutex::default(),
        }
    }

    /// The login for the registry; none where it is to be asked without.
    pub(super) async fn of(&self, registry: &str, credentials: Option<&str>) -> Result<Option<Found>, Failure> {
        let fresh = |login| Found {
            login,
            remembered: false,
        };
        if let Some(name) = credentials {
            return self.of_task(name).await.map(|login| Some(fresh(login)));
        }
        if let Some(given) = &self.given
            && let Some(login) = Auths::parse(given.expose()).map_err(refused)?.login(registry)
        {
            return login.map(|login| Some(fresh(login))).map_err(refused);
        }
        let Some(file) = self.config_file().await? else {
            return Ok(None);
        };
        match file.source(registry) {
            None => Ok(None),
            Some(Source::Here(login)) => login.map(|login| Some(fresh(login))).map_err(refused),
            Some(Source::Helper(helper)) => self.of_helper(helper, registry).await,
        }
    }

    /// The registry did not take what a helper had said.
    pub(super) fn forget(&self, registry: &str) {
        self.remembered().remove(registry);
    }

    async fn of_task(&self, name: &str) -> Result<Login, Failure> {
        let (secrets, from) = (self.secrets.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || secrets.read(&from)).await;
        let secret = read.map_err(|error| refused(format!("reading secret '{name}' broke off: {error}")))??;
        // serde's own words would show part of the secret.
        let read: RepositoryCredentials = serde_json::from_str(secret.expose()).map_err(|_| {
            let message = format!("secret '{name}' must be a JSON object with 'username' and 'password'");
            Failure::new(FailureKind::Unprepared, message)
        })?;
        Ok(Login::Password {
            user: read.username,
            password: Secret::new(read.password),
        })
    }

    async fn of_helper(&self, helper: &str, registry: &str) -> Result<Option<Found>, Failure> {
        let known = self.remembered().get(registry).cloned();
        if let Some((heard, login)) = known.filter(|(heard, _)| heard.elapsed() < REMEMBERED) {
            tracing::trace!(registry, age = heard.elapsed().as_secs(), "credentials remembered");
            return Ok(Some(Found {
                login,
                remembered: true,
            }));
        }
        let login = helper::ask(helper, config::server(registry)).await.map_err(refused)?;
        if let Some(login) = &login {
            let mut remembered = self.remembered();
            remembered.retain(|_, (heard, _)| heard.elapsed() < REMEMBERED);
            remembered.insert(registry.to_owned(), (Instant::now(), login.clone()));
        }
        Ok(login.map(|login| Found {
            login,
            remembered: false,
        }))
    }

    /// Read each time: `docker login` may have changed it.
    async fn config_file(&self) -> Result<Option<ConfigFile>, Failure> {
        let path = self.docker_config.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        read.map_err(|error| refused(format!("reading Docker's configuration broke off: {error}")))?
            .map_err(refused)
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Login)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Option<ConfigFile>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("'{}': {error}", path.display())),
    };
    ConfigFile::parse(&text)
        .map(Some)
        .map_err(|problem| format!("'{}': {problem}", path.display()))
}

/// Another try would end the same way.
fn refused(message: String) -> Failure {
    Failure::new(FailureKind::Refused, message)
}

#[cfg(test)]
mod tests;
