//! Images: when registries are asked, what becomes of a task when they do not answer, who the agent is to them, and
//! how room is kept on Docker's disk.

mod behaviors;
mod disk;
mod logins;
mod retention;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::{container_of, start_agent};
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::{Value, json};

const CLUSTER: &str = "images";

/// Several agents on one host, each with settings of its own, and one on a host with a small disk.
struct Hosts {
    logins: logins::Logins,
    cluster: Cluster,
    /// For tests that kill it.
    pinning: Mutex<Agent>,
    bed: Arc<TestBed>,
}

impl Fixture for Hosts {
    const AT_ONCE: Option<usize> = Some(8);

    fn start() -> Result<Self> {
        let bed = TestBed::new("images", &["a", "small"])?;
        let hosts = Self::on(&bed);
        if hosts.is_err() {
            bed.note_failure();
        }
        hosts
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        disk::a_full_disk_is_cleaned_then_refuses_tasks_and_recovers,
        behaviors::default_asks_each_time_and_falls_back_on_the_copy,
        behaviors::always_fails_without_the_registry,
        behaviors::once_asks_until_this_agent_has_pulled,
        behaviors::prefer_cached_never_asks_for_what_is_there,
        behaviors::ten_containers_of_one_image_are_one_pull,
        behaviors::the_containers_of_a_task_keep_one_image_while_its_tag_moves,
        trouble::a_pull_that_hangs_ends_and_delays_no_other_registry,
        trouble::a_busy_registry_is_asked_again_after_a_pause,
        trouble::an_image_without_a_registry_starts_at_once_from_its_copy,
        logins::dockers_configuration_opens_a_registry,
        logins::a_credential_helper_opens_a_registry_and_is_asked_once,
        logins::repository_credentials_open_a_registry,
        logins::a_registry_that_is_not_opened_is_named,
        retention::ended_tasks_beyond_the_number_go_first_come_first,
        retention::images_unused_for_long_go_and_those_in_use_stay,
    ])
}

impl Hosts {
    fn on(bed: &Arc<TestBed>) -> Result<Self> {
        let logins = logins::Logins::new(bed)?;
        disk::make_small(bed)?;
        let cluster = Cluster::start_on(bed, CLUSTER, &[], &Settings::default())?;
        let start = |host: &str, name: &str, arguments: &[&str]| {
            let mut settings = Settings::with_arguments(arguments);
            settings.attributes.push(("agent".to_owned(), name.to_owned()));
            name.clone_into(&mut settings.name);
            // They share a host, and these addresses can be had once.
            let alone = ["--endpoint-address", "off", "--introspection-address", "off"];
            settings.arguments.extend(alone.map(str::to_owned));
            logins.told_to(&mut settings);
            start_agent(bed, host, &cluster.scheduler, CLUSTER, &settings)
        };
        let agents = [
            start("a", "default", &[])?,
            start("a", "always", &["--image-pull-behavior", "always"])?,
            start("a", "once", &["--image-pull-behavior", "once"])?,
            start("a", "cached", &["--image-pull-behavior", "prefer-cached"])?,
            start("a", "hasty", &["--pull-inactivity-timeout", "3s"])?,
            start("a", "few", &["--stopped-container-count", "2"])?,
            start(
                "a",
                "tidy",
                &[
                    "--stopped-container-retention",
                    "0s",
                    "--image-cleanup-interval",
                    "2s",
                    "--image-minimum-age",
                    "0s",
                ],
            )?,
            start(
                "small",
                "small",
                &[
                    "--disk-low-percent",
                    "70",
                    "--disk-clean-percent",
                    "80",
                    "--disk-refuse-percent",
                    "90",
                ],
            )?,
        ];
        let pinning = start("a", "pinning", &[])?;
        let mut hosts = Self {
            logins,
            cluster,
            pinning: Mutex::new(pinning),
            bed: Arc::clone(bed),
        };
        hosts.cluster.agents.extend(agents);
        hosts.cluster.wait_connected(hosts.cluster.agents.len() + 1)?;
        Ok(hosts)
    }

    fn host(&self) -> &Host {
        &self.bed.hosts()[0]
    }

    fn pinning(&self) -> MutexGuard<'_, Agent> {
        self.pinning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task of these containers on the agent.
    fn run(&self, agent: &str, family: &str, containers: Value) -> Result<String> {
        let mut definition = json!({"family": family});
        definition["containerDefinitions"] = containers;
        let definition = self.cluster.register(&definition)?;
        let place = json!([{"type": "memberOf", "expression": format!("attribute:agent == {agent}")}]);
        let arns = self
            .cluster
            .run(&definition, 1, &json!({"placementConstraints": place}))?;
        arns.into_iter().next().context("no task")
    }

    /// Runs a task of one container that goes on, and waits until it runs. Returns its ARN and the digest of its image.
    fn running(&self, agent: &str, family: &str, image: &str) -> Result<(String, String)> {
        let arn = self.run(agent, family, json!([sleeper("main", image)]))?;
        let task = self.cluster.wait_running(std::slice::from_ref(&arn))?.remove(0);
        let digest = container_of(&task, "main")?["imageDigest"].as_str().unwrap_or_default();
        Ok((arn, digest.to_owned()))
    }

    /// Runs a task of one container that ends at once, and waits for its end.
    fn ended(&self, agent: &str, family: &str, container: &Value) -> Result<Value> {
        let arn = self.run(agent, family, json!([container]))?;
        Ok(self.cluster.wait_stopped(&[arn])?.remove(0))
    }

    /// Runs a task whose image cannot be had, and returns the reason of its container.
    fn refused(&self, agent: &str, family: &str, container: &Value) -> Result<String> {
        let task = self.ended(agent, family, container)?;
        ensure!(task["stopCode"] == "TaskFailedToStart", "{task}");
        let reason = container_of(&task, "main")?["reason"].as_str().map(str::to_owned);
        reason.ok_or_else(|| anyhow!("no reason: {task}"))
    }

    /// The log of an agent of the first host.
    fn log(&self, agent: &str) -> PathBuf {
        self.bed.lane().log_dir().join(format!("a-agent-{agent}.log"))
    }
}

/// A container that ends at once.
fn brief(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image, "memory": 16, "cpu": 1, "command": ["true"]})
}

/// A container that goes on.
fn sleeper(name: &str, image: &str) -> Value {
    let mut container = brief(name, image);
    container["command"] = json!(["sleep", "600"]);
    container["stopTimeout"] = json!(1);
    container
}
