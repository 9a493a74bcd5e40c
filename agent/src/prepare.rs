//! What a container needs of the host before Docker is asked for it: secrets and files of environment variables.
//!
//! Reading is repeated for every create and keeps nothing, so that a create may be repeated after any crash. What was
//! read is never written anywhere but into Docker's create request.

mod environment_file;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use berth_agent_core::create::{CreateRequest, Forward};
use berth_agent_core::failure::{Failure, FailureKind};

use crate::host::LogDrivers;
use crate::secrets::{Secret, Secrets};

/// For all files of one container, which may lie on a file system of the network.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the host has of what task definitions name, and where.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Secrets, by name.
    pub(crate) secrets: Secrets,
    /// Files of environment variables, by bucket and key.
    pub(crate) environment_files: PathBuf,
    pub(crate) log_drivers: LogDrivers,
}

/// What joins a create request on its way to Docker.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Environment variables, which none of the request's own names.
    pub(crate) variables: BTreeMap<String, Secret>,
    /// Docker's default log driver takes the place of the one that the request names.
    pub(crate) default_log_driver: bool,
    /// Options of the log driver.
    pub(crate) log_options: BTreeMap<String, Secret>,
    /// The control group of its task; Docker's own choice where absent.
    pub(crate) cgroup_parent: Option<String>,
    /// Ports of the host for the request's ranges.
    pub(crate) forwards: Vec<Forward>,
    /// Where Docker is to take single ports from; its own choice where absent.
    pub(crate) dynamic_ports: Option<RangeInclusive<u16>>,
    /// The runtime of Docker that gives it its GPUs; Docker's own choice where absent.
    pub(crate) runtime: Option<String>,
}

impl Sources {
    /// Reads what the request names.
    ///
    /// # Errors
    /// [`FailureKind::Unprepared`] with what is missing and who names it.
    pub(crate) async fn prepare(&self, request: &CreateRequest) -> Result<Prepared, Failure> {
        let mut prepared = self.read_all(request).await?;
        let log = request.host.log.as_ref();
        prepared.default_log_driver = log.is_some_and(|(driver, _)| self.log_drivers.replaces(driver));
        Ok(prepared)
    }

    async fn read_all(&self, request: &CreateRequest) -> Result<Prepared, Failure> {
        if request.environment_files.is_empty() && request.secrets.is_empty() && request.log_secrets.is_empty() {
            return Ok(Prepared::default());
        }
        let (sources, request) = (self.clone(), request.clone());
        let reading = tokio::task::spawn_blocking(move || sources.read(&request));
        match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(_)) => Err(unprepared(
                "secrets and environment files: reading them broke off".to_owned(),
            )),
            Err(_) => Err(unprepared(format!(
                "secrets and environment files could not be read within {} s",
                DEADLINE.as_secs()
            ))),
        }
    }

    fn read(&self, request: &CreateRequest) -> Result<Prepared, Failure> {
        let mut prepared = Prepared::default();
        let given = |name: &str| {
            request
                .environment
                .iter()
                .any(|variable| variable.split_once('=').is_some_and(|(given, _)| given == name))
        };
        for secret in &request.secrets {
            let value = self.named("secrets", secret)?;
            // What the agent itself says, of GPUs for one, holds against a secret of the name.
            if !given(&secret.name) {
                prepared.variables.insert(secret.name.clone(), value);
            }
        }
        for reference in &request.environment_files {
            let variables = environment_file::read(&self.environment_files, reference)
                .map_err(|why| unprepared(format!("environmentFiles: '{reference}': {why}")))?;
            for (name, value) in variables {
                if !given(&name) {
                    prepared.variables.entry(name).or_insert(value);
                }
            }
        }
        for secret in &request.log_secrets {
            let value = self.named("logConfiguration.secretOptions", secret)?;
            prepared.log_options.insert(secret.name.clone(), value);
        }
        Ok(prepared)
    }

    fn named(&self, member: &str, secret: &berth_model::task_definition::Secret) -> Result<Secret, Failure> {
        let read = self.secrets.read(&secret.value_from);
        read.map_err(|failure| Failure::new(failure.kind, format!("{member}: '{}': {failure}", secret.name)))
    }
}

fn unprepared(message: String) -> Failure {
    Failure::new(FailureKind::Unprepared, message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use berth_model::task_definition::Secret as Reference;

    use super::*;

    fn reference(name: &str, value_from: &str) -> Reference {
        Reference {
            name: name.to_owned(),
            value_from: value_from.to_owned(),
            ..Reference::default()
        }
    }

    fn sources(place: &std::path::Path) -> Sources {
        for directory in ["secrets", "environment/bucket"] {
            fs::create_dir_all(place.join(directory)).unwrap();
        }
        Sources {
            secrets: Secrets::new(place.join("secrets")),
            environment_files: place.join("environment"),
            log_drivers: LogDrivers::default(),
        }
    }

    #[tokio::test]
    async fn the_environment_wins_over_files_and_an_earlier_file_over_a_later() {
        let place = tempfile::tempdir().unwrap();
        let sources = sources(place.path());
        fs::write(place.path().join("secrets/db"), "hunter2\n").unwrap();
        fs::write(
            place.path().join("environment/bucket/1.env"),
            "A=file\nB=first\nPASSWORD=file\n",
        )
        .unwrap();
        fs::write(place.path().join("environment/bucket/2.env"), "B=second\nC=second\n").unwrap();
        let request = CreateRequest {
            environment: vec!["A=own".to_owned()],
            environment_files: vec![
                "arn:aws:s3:::bucket/1.env".to_owned(),
                "arn:aws:s3:::bucket/2.env".to_owned(),
            ],
            secrets: vec![reference("PASSWORD", "db"), reference("A", "db")],
            log_secrets: vec![reference("splunk-token", "db")],
            ..CreateRequest::default()
        };
        let prepared = sources.prepare(&request).await.unwrap();
        let shown = |values: &BTreeMap<String, Secret>| -> Vec<String> {
            values
                .iter()
                .map(|(name, value)| format!("{name}={}", value.expose()))
                .collect()
        };
        assert_eq!(shown(&prepared.variables), ["B=first", "C=second", "PASSWORD=hunter2"]);
        assert_eq!(shown(&prepared.log_options), ["splunk-token=hunter2"]);
        assert!(!format!("{prepared:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_who_asks_for_it() {
        let place = tempfile::tempdir().unwrap();
        let sources = sources(place.path());
        let failure = |request: CreateRequest| {
            let sources = sources.clone();
            async move { sources.prepare(&request).await.unwrap_err() }
        };
        let secret = failure(CreateRequest {
            secrets: vec![reference("PASSWORD", "/prod/db")],
            ..CreateRequest::default()
        });
        let secret = secret.await;
        assert_eq!(secret.kind, FailureKind::Unprepared);
        assert!(
            secret
                .message
                .starts_with("secrets: 'PASSWORD': secret '/prod/db': no file"),
            "{secret}"
        );
        let file = failure(CreateRequest {
            environment_files: vec!["arn:aws:s3:::bucket/no.env".to_owned()],
            ..CreateRequest::default()
        });
        let file = file.await;
        assert_eq!(file.kind, FailureKind::Unprepared);
        assert!(file.message.contains("'arn:aws:s3:::bucket/no.env': no file"), "{file}");
    }
}
