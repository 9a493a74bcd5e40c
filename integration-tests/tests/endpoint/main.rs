//! What containers ask of the agent, asked from inside containers, from their host and from where nobody may ask.

mod access;
mod credentials;
mod metadata;
mod protection;
mod python;
mod restart;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::host::Host;
use berth_integration_tests::http::Response;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, http, network, tests, wait_until};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::000000000000:role/web";
/// Where containers ask.
const ENDPOINT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), 80);
const INTROSPECTION: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 51678);
/// Gives credentials that name the role, and end in an hour.
const PROVIDER: &str = r#"#!/bin/sh
ends=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)
echo "{\"Version\": 1, \"AccessKeyId\": \"key of ${1##*/}\", \"SecretAccessKey\": \"secret\","
echo " \"SessionToken\": \"token\", \"Expiration\": \"$ends\"}"
"#;

/// Two hosts: on `a` nothing is disturbed, `b` is for those who disturb.
struct Hosts {
    cluster: Cluster,
    bed: Arc<TestBed>,
    /// The agent of `b`, one test at a time.
    b: Mutex<Agent>,
}

impl Fixture for Hosts {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("endpoint", &["a", "b"])?;
        let provider = bed.data_dir("provider");
        std::fs::write(&provider, PROVIDER).context("write the provider of credentials")?;
        std::fs::set_permissions(&provider, std::fs::Permissions::from_mode(0o755)).context("make it executable")?;
        let settings = Settings {
            attributes: vec![("ecs.availability-zone".to_owned(), "bed-1a".to_owned())],
            arguments: vec![
                "--credentials-command".to_owned(),
                provider.display().to_string(),
                "--usage-interval".to_owned(),
                "1s".to_owned(),
            ],
            ..Settings::default()
        };
        let started = Cluster::start_on(&bed, "endpoint", &["a", "b"], &settings);
        if started.is_err() {
            bed.note_failure();
        }
        let mut cluster = started?;
        let b = cluster.agents.pop().context("no second agent")?;
        Ok(Self {
            cluster,
            bed,
            b: Mutex::new(b),
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        metadata::a_container_on_the_bridge_is_told_of_itself_and_its_task,
        metadata::a_container_in_the_hosts_network_is_told_of_itself,
        metadata::a_container_with_an_address_of_its_own_is_told_it,
        metadata::statistics_are_those_of_docker,
        metadata::a_task_is_told_its_tags,
        metadata::those_on_the_host_are_told_of_all_tasks,
        credentials::a_task_with_a_role_gets_its_credentials_in_every_network_mode,
        credentials::nobody_gets_credentials_without_the_id,
        python::boto3_gets_credentials_and_metadata_with_no_change,
        protection::a_task_of_a_service_protects_itself,
        protection::a_task_of_no_service_cannot_be_protected,
        access::port_80_of_the_host_is_for_tasks,
        access::nobody_is_heard_who_is_not_on_the_host,
        access::the_network_is_taken_down_and_put_up_again,
        access::too_many_requests_are_refused,
        restart::names_are_the_same_after_a_restart_of_the_agent,
        restart::an_agent_that_loads_says_to_ask_again,
    ])
}

impl Hosts {
    fn host(&self, name: &str) -> Result<&Host> {
        self.bed.host(name)
    }

    /// Starts a task of one container on the host.
    fn run(&self, host: &str, definition: &Value, more: &Value) -> Result<String> {
        let own_address = definition["networkMode"] == "awsvpc";
        let definition = self.cluster.register(definition)?;
        let mut input = json!({"placementConstraints": [
            {"type": "memberOf", "expression": format!("attribute:host == {host}")}]});
        if own_address {
            input["networkConfiguration"] = json!({"awsvpcConfiguration": {"subnets": ["subnet-bed"]}});
        }
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        let arns = self.cluster.run(&definition, 1, &input)?;
        arns.into_iter().next().context("no task")
    }

    /// What the container `app` of the task has printed, once the last line is there.
    fn printed(&self, host: &str, arn: &str) -> Result<Vec<String>> {
        wait_until("the container has said all", SOON, || {
            let container = self.cluster.container(arn, "app");
            let Ok(container) = container else {
                return Ok(Seen::NotYet("no container yet".to_owned()));
            };
            let printed = self.host(host)?.engine().logs(container.id())?;
            let all = printed.trim_end().strip_suffix("done").map(str::to_owned);
            Ok(match all {
                Some(all) => Seen::Done(all.lines().map(str::to_owned).collect()),
                None => Seen::NotYet(printed),
            })
        })
    }

    /// Runs a script in a container on `a` and gives the lines that it prints.
    fn script(&self, family: &str, script: &str, more: &Value) -> Result<Vec<String>> {
        let mut definition = asking(family, script);
        for (member, value) in more.as_object().into_iter().flatten() {
            definition[member] = value.clone();
        }
        let arn = self.run("a", &definition, &json!({}))?;
        self.printed("a", &arn)
    }

    /// The environment of a container, as it was made.
    fn environment(&self, arn: &str, name: &str) -> Result<String> {
        let container = self.cluster.container(arn, "app")?;
        let variables = container.inspect["Config"]["Env"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut values = variables
            .iter()
            .filter_map(|variable| variable.as_str()?.split_once('='))
            .filter(|(known, _)| *known == name);
        let (_, value) = values.next().with_context(|| format!("no variable {name}"))?;
        Ok(value.to_owned())
    }

    /// Asks from the host's own network.
    fn ask(&self, host: &str, at: SocketAddr, method: &str, path: &str) -> Result<Response> {
        let request = http::request(method, path, &[], &[]);
        network::inside(self.host(host)?.link().namespace(), || http::tcp(at, &request))
    }
}

/// A definition of one container that runs the script, says that it is done, and waits.
fn asking(family: &str, script: &str) -> Value {
    json!({
        "family": family,
        "containerDefinitions": [{
            "name": "app",
            "image": "busybox",
            "memory": 32,
            "cpu": 10,
            "entryPoint": ["sh", "-c"],
            "command": [format!("{script}\necho; echo done; exec sleep 600")],
            "stopTimeout": 1,
        }],
    })
}

fn read(line: Option<&String>) -> Result<Value> {
    let line = line.context("the container did not say it")?;
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}

/// Waits until the endpoint of a host answers with this status: after a restart or a flood it first says to ask again.
fn wait_status(hosts: &Hosts, host: &str, path: &str, status: u16) -> Result<()> {
    wait_until(&format!("{path} is answered with {status}"), SOON, || {
        let answer = hosts.ask(host, ENDPOINT, "GET", path)?;
        Ok(Seen::when(answer.status == status, || {
            format!("{}: {}", answer.status, answer.text())
        }))
    })
}

fn ensure_status(answer: &Response, status: u16) -> Result<()> {
    ensure!(
        answer.status == status,
        "{} where {status} is expected: {}",
        answer.status,
        answer.text()
    );
    Ok(())
}
