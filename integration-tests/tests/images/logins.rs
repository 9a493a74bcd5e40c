//! Registries that want to know who asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::TestBed;
use berth_integration_tests::agent::Settings;
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::Registry;
use serde_json::json;

use super::{Hosts, brief};

/// `ada:lovelace`, which the registries want.
const LOGIN: &str = "YWRhOmxvdmVsYWNl";
const PASSWORD: &str = "lovelace";
/// Docker's name of the helper that the tests have.
const HELPER: &str = "bed";

/// Registries with a password, and the ways to it.
pub(super) struct Logins {
    directory: PathBuf,
    by_config: Registry,
    by_helper: Registry,
    by_task: Registry,
}

impl Logins {
    pub(super) fn new(bed: &TestBed) -> Result<Self> {
        let host = &bed.hosts()[0];
        let logins = Self {
            directory: bed.data_dir("logins"),
            by_config: Registry::start(host, Some(LOGIN))?,
            by_helper: Registry::start(host, Some(LOGIN))?,
            by_task: Registry::start(host, Some(LOGIN))?,
        };
        let path = |name: &str| logins.directory.join(name);
        fs::create_dir_all(path("secrets")).context("make the directory of secrets")?;
        let mut config = json!({"auths": {}, "credHelpers": {}});
        config["auths"][logins.by_config.host()] = json!({"auth": LOGIN});
        config["credHelpers"][logins.by_helper.host()] = json!(HELPER);
        fs::write(path("config.json"), config.to_string())?;
        let credentials = json!({"username": "ada", "password": PASSWORD});
        fs::write(path("secrets/registry"), credentials.to_string())?;
        // It keeps count of the questions.
        let program = path(&format!("docker-credential-{HELPER}"));
        let script = format!(
            "#!/bin/sh\nread server\necho \"$1 $server\" >>{}\necho '{{\"ServerURL\":\"\",\"Username\":\"ada\",\"Secret\":\"{PASSWORD}\"}}'\n",
            path("asked").display()
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(logins)
    }

    /// Has an agent know of them.
    pub(super) fn told_to(&self, settings: &mut Settings) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let flags = [
            "--docker-config",
            &path("config.json"),
            "--secrets-dir",
            &path("secrets"),
        ];
        settings.arguments.extend(flags.map(str::to_owned));
        let search = std::env::var("PATH").unwrap_or_default();
        let search = format!("{}:{search}", self.directory.display());
        settings.environment.push(("PATH".to_owned(), search));
    }
}

fn opens(hosts: &Hosts, registry: &Registry, mark: &str, credentials: Option<&str>) -> Result<()> {
    let image = pullable(mark, 0)?;
    registry.put("app:1", &image);
    let mut container = brief("main", &registry.name("app:1"));
    if let Some(credentials) = credentials {
        container["repositoryCredentials"] = json!({"credentialsParameter": credentials});
    }
    let task = hosts.ended("always", mark, &container)?;
    ensure!(task["containers"][0]["imageDigest"] == image.digest, "{task}");
    let log = fs::read_to_string(hosts.log("always")).context("read the agent's log")?;
    ensure!(!log.contains(PASSWORD), "the password is in the agent's log");
    Ok(())
}

pub(super) fn dockers_configuration_opens_a_registry(hosts: &Hosts) -> Result<()> {
    opens(hosts, &hosts.logins.by_config, "by-config", None)
}

pub(super) fn a_credential_helper_opens_a_registry_and_is_asked_once(hosts: &Hosts) -> Result<()> {
    let logins = &hosts.logins;
    opens(hosts, &logins.by_helper, "by-helper", None)?;
    opens(hosts, &logins.by_helper, "by-helper-again", None)?;
    let asked = fs::read_to_string(logins.directory.join("asked")).context("read what the helper was asked")?;
    assert_eq!(asked, format!("get {}\n", logins.by_helper.host()));
    Ok(())
}

pub(super) fn repository_credentials_open_a_registry(hosts: &Hosts) -> Result<()> {
    let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:registry-AbCdEf";
    opens(hosts, &hosts.logins.by_task, "by-task", Some(secret))
}

pub(super) fn a_registry_that_is_not_opened_is_named(hosts: &Hosts) -> Result<()> {
    let registry = &hosts.logins.by_task;
    registry.put("closed:1", &pullable("closed", 0)?);
    let name = registry.name("closed:1");
    let reason = hosts.refused("always", "closed", &brief("main", &name))?;
    let begin = format!(
        "CannotPullContainerError: image '{name}': registry '{}': ",
        registry.host()
    );
    ensure!(reason.starts_with(&begin), "{reason}");
    let mut container = brief("main", &name);
    container["repositoryCredentials"] =
        json!({"credentialsParameter": "arn:aws:secretsmanager:us-east-1:000000000000:secret:missing-AbCdEf"});
    let reason = hosts.refused("always", "closed", &container)?;
    ensure!(
        reason.starts_with("ResourceInitializationError") && reason.contains("missing"),
        "{reason}"
    );
    Ok(())
}
