//! What the containers of a task share: an address, processes, memory, limits; and what they have to themselves.

mod address;
mod limits;
mod ranges;
mod recovery;
mod sharing;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::{SOON, container_of, start_agent};
use berth_integration_tests::command;
use berth_integration_tests::daemon::in_namespace;
use berth_integration_tests::docker::Container;
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use serde_json::{Value, json};

/// The pause container's name, as the ECS agent has it.
const PAUSE: &str = "~internal~ecs~pause";
const QUICK: Duration = Duration::from_secs(10);

/// Two hosts in one cluster: `a`, which all tests share, and `b`, whose agent is killed.
struct Hosts {
    victim: Mutex<Agent>,
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for Hosts {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("namespaces", &["a", "b"])?;
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
        address::tasks_with_the_same_port_are_reached_at_their_own_addresses,
        address::containers_of_a_task_reach_each_other_at_localhost,
        address::the_host_publishes_nothing_for_a_task_with_its_own_address,
        address::a_network_configuration_belongs_to_tasks_with_their_own_address,
        address::a_task_without_a_network_has_its_loopback_alone,
        sharing::a_task_of_one_process_namespace_sees_all_its_processes,
        sharing::a_task_of_the_hosts_process_namespace_sees_the_hosts_processes,
        sharing::a_task_of_one_ipc_namespace_shares_its_memory,
        sharing::containers_share_nothing_that_is_not_asked_for,
        limits::a_quarter_of_a_core_is_shared_by_all_containers_of_the_task,
        limits::a_container_without_a_limit_is_killed_at_the_tasks_memory,
        limits::groups_that_a_killed_agent_left_are_swept,
        ranges::every_port_of_a_range_is_forwarded_from_ports_in_a_row,
        recovery::a_killed_agent_finds_the_task_at_its_address_and_makes_no_second_pause_container,
        recovery::the_end_of_the_pause_container_ends_the_task,
        recovery::a_pruned_pause_image_and_network_are_made_again,
    ])
}

impl Hosts {
    fn on(bed: &Arc<TestBed>) -> Result<Self> {
        let settings = Settings::with_arguments(&["--task-network-subnet", "10.77.0.0/24", "--task-pids-limit", "500"]);
        let cluster = Cluster::start_on(bed, "namespaces", &["a"], &settings)?;
        let victim = start_agent(bed, "b", &cluster.scheduler, cluster.name(), &Settings::default())?;
        cluster.wait_connected(2)?;
        Ok(Self {
            victim: Mutex::new(victim),
            cluster,
            bed: Arc::clone(bed),
        })
    }

    fn host(&self, name: &str) -> Result<&Host> {
        self.bed.host(name)
    }

    /// Starts tasks on a host.
    fn start_on(&self, host: &str, definition: &Value, count: usize) -> Result<Vec<String>> {
        let mut more = json!({"placementConstraints": [
            {"type": "memberOf", "expression": format!("attribute:host == {host}")}]});
        if definition["networkMode"] == "awsvpc" {
            more["networkConfiguration"] = json!({"awsvpcConfiguration": {"subnets": ["any"]}});
        }
        self.cluster.run(&self.cluster.register(definition)?, count, &more)
    }

    /// Runs tasks on host `a` and waits until they run.
    fn running(&self, definition: &Value, count: usize) -> Result<Vec<Value>> {
        let arns = self.start_on("a", definition, count)?;
        self.cluster.wait_running(&arns)
    }

    fn stop(&self, tasks: &[Value]) -> Result<Vec<Value>> {
        let arns: Vec<String> = tasks.iter().map(arn).collect::<Result<_>>()?;
        self.cluster.stop(&arns)?;
        self.cluster.wait_stopped(&arns)
    }

    fn container(&self, task: &Value, name: &str) -> Result<Container> {
        self.cluster.container(&arn(task)?, name)
    }

    /// Waits until a container on host `a` has printed a line.
    fn wait_printed(&self, task: &Value, name: &str, line: &str) -> Result<()> {
        let container = self.container(task, name)?;
        self.host("a")?
            .engine()
            .wait_printed(container.id(), &format!("{line}\n"))
    }

    /// Waits until the web server at an address serves a page to its host.
    fn wait_page(&self, host: &str, address: &str, port: u16, page: &str) -> Result<()> {
        // A static program cannot look up names on every machine; the shell's own connections need none.
        let get =
            format!(r"exec 3<>/dev/tcp/{address}/{port}; printf 'GET / HTTP/1.0\r\n\r\n' >&3; sed '1,/^\r$/d' <&3");
        let namespace = self.host(host)?.link().namespace().to_owned();
        wait_until(&format!("{address}:{port} serves {page:?}"), SOON, || {
            let mut bash = in_namespace(&namespace, Path::new("bash"));
            let seen = command::run(bash.args(["-c", &get]), QUICK)?;
            Ok(Seen::when(seen == page, || seen))
        })
    }
}

fn arn(task: &Value) -> Result<String> {
    let arn = task["taskArn"].as_str();
    arn.map(str::to_owned).with_context(|| format!("no taskArn in {task}"))
}

/// The address that a container of the task is reported at.
fn address(task: &Value, name: &str) -> Result<String> {
    let interfaces = &container_of(task, name)?["networkInterfaces"];
    let address = interfaces[0]["privateIpv4Address"].as_str();
    let address = address.with_context(|| format!("no address in {interfaces}"))?;
    ensure!(
        interfaces.as_array().is_some_and(|list| list.len() == 1),
        "{interfaces}"
    );
    Ok(address.to_owned())
}

/// A task definition of these containers with further members.
fn definition(family: &str, containers: Value, members: &Value) -> Value {
    let mut definition = json!({"family": family});
    definition["containerDefinitions"] = containers;
    for (member, value) in members.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    definition
}

/// A small container of BusyBox that runs a shell script and ends soon when told to.
fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "busybox", "memory": 32, "cpu": 10, "stopTimeout": 1,
        "entryPoint": ["sh", "-c"], "command": [script],
    })
}
