//! What a task definition asks for arrives at Docker and in the container, and what becomes of it is reported.

mod endings;
mod ports;
mod settings;
mod sharing;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use berth_integration_tests::docker::Container;
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, http, tests};
use serde_json::{Value, json};

struct OneHost {
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for OneHost {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("task-features", &["a"])?;
        let cluster = Cluster::start(&bed, "features");
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
        endings::an_image_that_cannot_be_had_fails_the_task,
        endings::a_command_that_does_not_exist_fails_the_task,
        settings::image_digests_are_reported,
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
