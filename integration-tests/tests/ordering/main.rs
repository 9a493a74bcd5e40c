//! In which order the containers of a task start and stop, what they wait for, and what becomes of one that ends.

mod dependencies;
mod health;
mod restarts;
mod stops;
mod waits;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use berth_integration_tests::docker::{Container, Engine};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::{Value, json};

struct OneHost {
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for OneHost {
    // They mostly wait.
    const AT_ONCE: Option<usize> = Some(12);

    fn start() -> Result<Self> {
        let bed = TestBed::new("ordering", &["a"])?;
        let cluster = Cluster::start(&bed, "ordering");
        if cluster.is_err() {
            bed.note_failure();
        }
        Ok(Self { cluster: cluster?, bed })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<OneHost>(tests![
        restarts::a_container_is_started_again_in_its_place_and_its_task_runs_on,
        restarts::a_task_that_is_stopped_while_its_container_restarts_stays_stopped,
        health::a_check_that_passes_fails_and_passes_again_is_reported,
        dependencies::every_condition_is_met_before_the_container_is_created,
        dependencies::a_dependency_that_fails_fails_what_needs_its_success,
        dependencies::a_dependency_that_takes_too_long_fails_what_waits_for_it,
        dependencies::an_order_that_goes_round_in_a_circle_is_refused,
        stops::containers_stop_against_the_order_of_starts,
        stops::each_container_has_its_own_time_to_stop,
        stops::a_process_that_heeds_no_signal_ends_at_once_under_an_init,
        waits::a_start_waits_for_a_port_that_is_taken_and_says_so,
        waits::a_task_that_waits_for_a_port_can_be_stopped,
    ])
}

impl OneHost {
    fn engine(&self) -> &Engine {
        self.bed.hosts()[0].engine()
    }

    fn run(&self, family: &str, containers: &Value) -> Result<String> {
        self.cluster
            .run_one(&json!({"family": family, "containerDefinitions": containers}))
    }

    fn describe(&self, arn: &str) -> Result<Value> {
        let tasks = self.cluster.describe(&[arn.to_owned()])?;
        tasks.into_iter().next().context("no task")
    }

    fn running(&self, arn: &str) -> Result<Value> {
        let tasks = self.cluster.wait_running(&[arn.to_owned()])?;
        tasks.into_iter().next().context("no task")
    }

    fn stopped(&self, arn: &str) -> Result<Value> {
        let tasks = self.cluster.wait_stopped(&[arn.to_owned()])?;
        tasks.into_iter().next().context("no task")
    }

    fn stop(&self, arn: &str) -> Result<Value> {
        self.cluster.stop(&[arn.to_owned()])?;
        self.stopped(arn)
    }

    fn container(&self, arn: &str, name: &str) -> Result<Container> {
        self.cluster.container(arn, name)
    }

    /// A directory of the host, for a test to speak with containers.
    fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.bed.data_dir("shared").join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }
}

/// A point in time that Docker tells of a container.
fn moment(container: &Container, what: &str) -> String {
    let from_state = container.inspect["State"][what].as_str();
    let text = from_state.or(container.inspect[what].as_str()).unwrap_or_default();
    // All in UTC; cut to a length they compare as texts.
    text.trim_end_matches('Z').chars().take(23).collect()
}

/// A small container of BusyBox that runs a shell script.
fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name,
        "image": "busybox",
        "memory": 16,
        "entryPoint": ["sh", "-c"],
        "command": [script],
        "stopTimeout": 1,
    })
}

/// A container with further members.
fn with(mut container: Value, more: &Value) -> Value {
    for (member, value) in more.as_object().into_iter().flatten() {
        container[member] = value.clone();
    }
    container
}

/// A definition whose containers see the directory of the host at `/shared`.
fn sharing(family: &str, directory: &Path, mut containers: Value) -> Value {
    for container in containers.as_array_mut().into_iter().flatten() {
        container["mountPoints"] = json!([{"sourceVolume": "shared", "containerPath": "/shared"}]);
    }
    json!({
        "family": family,
        "volumes": [{"name": "shared", "host": {"sourcePath": directory}}],
        "containerDefinitions": containers,
    })
}
