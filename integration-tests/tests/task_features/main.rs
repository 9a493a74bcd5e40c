//! What a task definition asks for arrives at Docker and in the container, and what becomes of it is reported.

mod endings;
mod inside;
mod placing;
mod ports;
mod secrets;
mod settings;
mod sharing;
mod unfit;
mod volumes;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::docker::Container;
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, http, tests};
use serde_json::{Value, json};

/// Seconds that ended containers are kept: long enough to look at them on a busy machine, short enough to see what goes
/// with them.
const RETENTION: &str = "30";

struct OneHost {
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for OneHost {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("task-features", &["a"])?;
        let settings = Settings::with_arguments(&[
            "--secrets-dir",
            &bed.data_dir("secrets").to_string_lossy(),
            "--environment-files-dir",
            &bed.data_dir("environment").to_string_lossy(),
            "--stopped-container-retention",
            RETENTION,
            "--ignore-task-roles",
            // There is no registry to ask whether there is a newer image.
            "--image-pull-behavior",
            "prefer-cached",
            // All that there is to say: secrets are looked for in it.
            "--log",
            "trace",
        ]);
        let cluster = Cluster::start_on(&bed, "features", &["a"], &settings);
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
        settings::environment_command_and_entry_point_reach_the_container,
        settings::overrides_replace_the_command_and_merge_the_environment,
        settings::cpu_memory_and_reservation_reach_docker,
        settings::every_container_carries_the_labels_of_its_task,
        inside::every_setting_is_seen_from_inside_the_container,
        inside::a_privileged_container_is_made_as_one,
        inside::swap_is_limited_where_the_host_can_and_refused_by_name_where_not,
        inside::swappiness_is_set_where_the_host_can_and_refused_by_name_where_not,
        placing::a_task_for_another_processor_or_system_is_refused_by_name,
        placing::the_constraints_of_a_definition_hold_for_its_tasks,
        secrets::secrets_and_environment_files_reach_the_container_and_nothing_else,
        secrets::a_missing_secret_fails_the_task_and_is_named,
        unfit::what_no_host_has_is_refused_at_placement_by_name,
        unfit::overrides_may_ask_for_what_the_host_has_not,
        volumes::a_docker_volume_of_the_task_goes_with_it_and_a_shared_one_stays,
        volumes::a_shared_volume_that_does_not_exist_fails_the_task_by_name,
        ports::a_fixed_port_is_served_and_reported,
        ports::a_port_left_to_the_host_is_chosen_and_reported,
        ports::a_udp_port_carries_datagrams,
        ports::two_tasks_on_one_fixed_port_are_refused_for_their_ports,
        ports::a_port_is_free_again_when_its_task_has_stopped,
        sharing::a_host_volume_shows_the_hosts_directory,
        sharing::a_tasks_volume_is_shared_through_volumes_from_and_goes_with_the_task,
        sharing::a_link_reaches_the_other_container_by_its_alias,
        endings::an_essential_containers_end_stops_the_others,
        endings::another_containers_end_does_not,
        endings::exit_codes_are_reported_as_they_are,
        endings::a_container_that_ignores_sigterm_is_killed_at_its_stop_timeout,
        endings::a_reason_given_to_stop_task_is_reported,
        endings::a_container_that_runs_out_of_memory_says_so,
        endings::an_image_that_cannot_be_had_fails_the_task,
        endings::a_command_that_does_not_exist_fails_the_task,
        settings::image_digests_are_reported,
        settings::a_definition_that_was_written_for_aws_runs_as_it_stands,
    ])
}

impl OneHost {
    fn host(&self) -> &Host {
        &self.bed.hosts()[0]
    }

    /// Runs one task of these containers and waits until it runs.
    fn running(&self, family: &str, containers: Value) -> Result<(String, Value)> {
        let arn = self.cluster.run_one(&definition(family, containers))?;
        let mut tasks = self.cluster.wait_running(std::slice::from_ref(&arn))?;
        Ok((arn, tasks.remove(0)))
    }

    /// Runs one task of these containers and waits until it has stopped by itself.
    fn ended(&self, family: &str, containers: Value) -> Result<(String, Value)> {
        let arn = self.cluster.run_one(&definition(family, containers))?;
        let task = self.stopped(&arn)?;
        Ok((arn, task))
    }

    fn stopped(&self, arn: &str) -> Result<Value> {
        let mut tasks = self.cluster.wait_stopped(&[arn.to_owned()])?;
        Ok(tasks.remove(0))
    }

    /// Stops a task and waits until it has stopped.
    fn stop(&self, arn: &str) -> Result<Value> {
        self.cluster.stop(&[arn.to_owned()])?;
        self.stopped(arn)
    }

    /// Sees that no host takes the task, for want of this attribute.
    fn refused_for(&self, definition: &Value, attribute: &str) -> Result<()> {
        let definition = self.cluster.register(definition)?;
        let input = json!({"cluster": self.cluster.name(), "taskDefinition": definition});
        let answer = self.cluster.ecs().call("RunTask", &input)?;
        let failure = &answer["failures"][0];
        ensure!(answer["tasks"] == json!([]), "it was placed: {answer}");
        assert_eq!(failure["reason"], "ATTRIBUTE", "{answer}");
        // What else is missing is told behind it.
        let detail = failure["detail"].as_str().unwrap_or_default();
        let missing = format!("the attribute {attribute} is missing");
        ensure!(detail.starts_with(&missing), "{answer}");
        Ok(())
    }

    fn container(&self, task: &str, name: &str) -> Result<Container> {
        self.cluster.container(task, name)
    }

    /// What a container has printed.
    fn printed(&self, task: &str, name: &str) -> Result<String> {
        let container = self.container(task, name)?;
        self.host().engine().logs(container.id())
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.host().address(), port))
    }

    /// The page that a port of the host serves.
    fn page(&self, port: u16, path: &str) -> Result<String> {
        let request = http::request("GET", path, &[], &[]);
        Ok(http::tcp(self.at(port), &request)?.text())
    }
}

fn definition(family: &str, containers: Value) -> Value {
    let mut definition = json!({"family": family});
    definition["containerDefinitions"] = containers;
    definition
}

/// A small container of BusyBox that runs a shell script and ends soon when told to.
fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name,
        "image": "busybox",
        "memory": 32,
        "cpu": 10,
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
