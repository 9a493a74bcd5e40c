//! The end of a host, foreseen: drained by an operator, shut down, taken back by EC2; and an agent that merely stops.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::daemon::{Daemon, Spec};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, binaries, command, tests, wait_until};
use serde_json::{Value, json};

const CLUSTER: &str = "draining";
const HOSTS: [&str; 3] = ["a", "b", "c"];
/// Where each agent looks for EC2's metadata; only one host has a service there.
const METADATA: &str = "127.0.0.1:8085";
const FAKE_METADATA: &str = include_str!("metadata.py");

struct Hosts {
    bed: Arc<TestBed>,
    cluster: Mutex<Cluster>,
}

impl Fixture for Hosts {
    // Each takes a host from the others.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("draining", &HOSTS)?;
        let settings = Settings::with_arguments(&[
            "--imds-endpoint",
            METADATA,
            "--stop-timeout",
            "1s",
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
            // There is no registry to ask whether there is a newer image.
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        let started = Cluster::start_on(&bed, CLUSTER, &HOSTS, &settings);
        if started.is_err() {
            bed.note_failure();
        }
        Ok(Self {
            cluster: Mutex::new(started?),
            bed,
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        an_agent_that_is_told_to_stop_leaves_its_containers_running,
        an_operator_drains_a_host_with_a_deadline,
        a_host_that_shuts_down_ends_its_tasks_by_the_deadline_and_is_back_after_the_boot,
        a_spot_instance_drains_when_ec2_takes_it_back,
    ])
}

fn an_agent_that_is_told_to_stop_leaves_its_containers_running(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.cluster();
    let task = hosts.run(&cluster, "a", 1)?.remove(0);
    let before = cluster.container(&task, "sleeper")?;
    let agent = cluster.agents[0].daemon();
    let status = agent.terminate(SOON)?;
    ensure!(status.success(), "the agent ended with {status}");
    ensure!(cluster.container(&task, "sleeper")?.is_running(), "the container ended");
    cluster.agents[0].daemon().start_again()?;
    cluster.wait_connected(HOSTS.len())?;
    let after = cluster.container(&task, "sleeper")?;
    ensure!(
        after.is_running() && after.id() == before.id(),
        "it is another container"
    );
    assert_eq!(
        cluster.describe(std::slice::from_ref(&task))?[0]["lastStatus"],
        "RUNNING"
    );
    hosts.stop(&cluster, &[task])
}

fn an_operator_drains_a_host_with_a_deadline(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let tasks = hosts.run(&cluster, "a", 2)?;
    let instance = cluster.instance_of("a")?;
    let id = id_of(&instance)?;
    let mut berth = std::process::Command::new(binaries::path("berth")?);
    berth.args([
        "--scheduler",
        &cluster.scheduler.url(),
        "--cluster",
        CLUSTER,
        "drain",
        &id,
        "--deadline",
        "3s",
    ]);
    let output = command::output(&mut berth, SOON)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "berth drain: {told}");
    ensure!(told.contains("2 tasks left, to be stopped in"), "{told}");
    ensure!(
        told.contains("the deadline of 3 s has passed: stopping 2 tasks"),
        "{told}"
    );
    ensure!(told.contains("drained: nothing runs on"), "{told}");
    for task in cluster.wait_stopped(&tasks)? {
        assert_eq!(task["stopCode"], "UserInitiated", "{task}");
        let reason = format!("drain of container instance {id}: the deadline of 3 s has passed");
        assert_eq!(task["stoppedReason"], json!(reason));
    }
    assert_eq!(cluster.instance_of("a")?["status"], "DRAINING");
    let refused = hosts.place(&cluster, "a", 1)?;
    assert_eq!(refused["tasks"], json!([]), "nothing is placed on it");
    hosts.activate(&cluster, &id)
}

fn a_host_that_shuts_down_ends_its_tasks_by_the_deadline_and_is_back_after_the_boot(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.cluster();
    let task = hosts.run(&cluster, "b", 1)?.remove(0);
    let id = id_of(&cluster.instance_of("b")?)?;
    let state = hosts.state_dir("b")?;
    let drain = |arguments: &[&str]| -> Result<(bool, String)> {
        let mut agent = std::process::Command::new(binaries::path("berth-agent")?);
        agent.args(["--config", "/dev/null", "--ecs-config", "/dev/null", "--state-dir"]);
        agent.arg(&state).arg("drain").args(arguments);
        let output = command::output(&mut agent, SOON)?;
        let both = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(both)?))
    };
    let (drained, told) = drain(&["--deadline", "0s"])?;
    ensure!(drained && told.contains("drained: nothing runs"), "{told}");
    let ended = cluster.wait_stopped(std::slice::from_ref(&task))?.remove(0);
    assert_eq!(ended["stopCode"], "TerminationNotice", "{ended}");
    let reason = format!("Host EC2 (instance {id}) stopped.");
    assert_eq!(ended["stoppedReason"], json!(reason), "{ended}");
    let instance = cluster.instance_of("b")?;
    assert_eq!(instance["status"], "DRAINING");
    let why = instance["statusReason"].as_str().unwrap_or_default();
    ensure!(
        why.starts_with("The host shuts down. Its tasks are told to stop at "),
        "{why}"
    );

    // An agent that is started again on the same boot goes on draining.
    cluster.agents[1].daemon().kill()?;
    cluster.agents[1].daemon().start_again()?;
    hosts.wait_status(&cluster, "b", "DRAINING")?;
    wait_until("the agent that was started again takes the notice back", SOON, || {
        let (stays, told) = drain(&["--cancel"])?;
        Ok(Seen::when(stays && told.contains("the host stays"), || told))
    })?;
    hosts.wait_status(&cluster, "b", "ACTIVE")?;

    let (drained, told) = drain(&["--deadline", "0s"])?;
    ensure!(drained, "{told}");
    hosts.wait_status(&cluster, "b", "DRAINING")?;
    cluster.agents[1].daemon().kill()?;
    // The next start of the host has another boot id.
    let notice = state.join("drain.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&notice)?)?;
    kept["boot"] = json!("the boot before");
    std::fs::write(&notice, kept.to_string())?;
    cluster.agents[1].daemon().start_again()?;
    hosts.wait_status(&cluster, "b", "ACTIVE")?;
    wait_until("the notice of the last boot is gone", SOON, || {
        Ok(Seen::when(!notice.exists(), || "it is there".to_owned()))
    })?;
    let task = hosts.run(&cluster, "b", 1)?;
    hosts.stop(&cluster, &task)
}

fn a_spot_instance_drains_when_ec2_takes_it_back(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.cluster();
    let task = hosts.run(&cluster, "c", 1)?.remove(0);
    let host = hosts.bed.host("c")?;
    let notice = host.data_dir().join("instance-action.json");
    let _metadata = Daemon::start(Spec {
        name: "metadata service of c".to_owned(),
        namespace: host.link().namespace().to_owned(),
        program: "python3".into(),
        args: ["-c", FAKE_METADATA, METADATA]
            .map(Into::into)
            .into_iter()
            .chain([notice.clone().into()])
            .collect(),
        environment: Vec::new(),
        log: host.data_dir().join("metadata.log"),
    })?;
    // There was nobody to tell it when it started first.
    let agent = cluster.agents[2].daemon();
    agent.terminate(SOON)?;
    agent.start_again()?;
    wait_until("the instance is known as one of EC2's", SOON, || {
        let instance = cluster.instance_of("c")?;
        let attributes = instance["attributes"].as_array().into_iter().flatten();
        let told = attributes.filter_map(|one| Some((one["name"].as_str()?, one["value"].as_str()?)));
        let told: BTreeMap<&str, &str> = told.collect();
        let is = instance["ec2InstanceId"] == "i-0123456789abcdef0"
            && told.get("ecs.instance-type") == Some(&"c5.large")
            && told.get("ecs.availability-zone") == Some(&"us-east-1d")
            && told.get("ecs.ami-id") == Some(&"ami-0abc");
        Ok(Seen::when(is && instance["agentConnected"] == true, || {
            instance.to_string()
        }))
    })?;
    // stop-timeout and 5 s before this the tasks are told to stop: in 2 s.
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(8);
    let end = command::run(
        std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{}", end.as_secs())]),
        SOON,
    )?;
    let action = json!({"action": "terminate", "time": end.trim()}).to_string();
    let beside: PathBuf = notice.with_extension("new");
    std::fs::write(&beside, action)?;
    std::fs::rename(&beside, &notice)?;
    hosts.wait_status(&cluster, "c", "DRAINING")?;
    let ended = cluster.wait_stopped(&[task])?.remove(0);
    assert_eq!(ended["stopCode"], "SpotInterruption", "{ended}");
    let reason = ended["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("Host EC2 (instance ") && reason.ends_with(") terminated."),
        "{reason}"
    );
    let why = cluster.instance_of("c")?["statusReason"].clone();
    let why = why.as_str().unwrap_or_default();
    ensure!(why.starts_with("EC2 takes the host, a Spot Instance, back."), "{why}");
    Ok(())
}

impl Hosts {
    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to RunTask for tasks on one host.
    fn place(&self, cluster: &Cluster, host: &str, count: usize) -> Result<Value> {
        let definition = cluster.register(&json!({
            "family": "sleeper",
            "containerDefinitions": [{
                "name": "sleeper", "image": "busybox", "memory": 16, "command": ["sleep", "600"], "stopTimeout": 1,
            }],
        }))?;
        let constraint = json!({"type": "memberOf", "expression": format!("attribute:host == {host}")});
        cluster.ecs().call(
            "RunTask",
            &json!({"cluster": CLUSTER, "taskDefinition": definition, "count": count, "placementConstraints": [constraint]}),
        )
    }

    /// So many tasks that run on the host.
    fn run(&self, cluster: &Cluster, host: &str, count: usize) -> Result<Vec<String>> {
        let answer = self.place(cluster, host, count)?;
        let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
        let arns: Vec<_> = tasks
            .iter()
            .filter_map(|task| task["taskArn"].as_str().map(str::to_owned))
            .collect();
        ensure!(arns.len() == count, "{answer}");
        cluster.wait_running(&arns)?;
        Ok(arns)
    }

    /// Ends tasks, so that the next test counts none of them.
    fn stop(&self, cluster: &Cluster, tasks: &[String]) -> Result<()> {
        cluster.stop(tasks)?;
        cluster.wait_stopped(tasks).map(drop)
    }

    fn wait_status(&self, cluster: &Cluster, host: &str, status: &str) -> Result<()> {
        wait_until(&format!("host {host} is {status} and its agent there"), SOON, || {
            let instance = cluster.instance_of(host)?;
            let holds = instance["status"] == status && instance["agentConnected"] == true;
            Ok(Seen::when(holds, || instance.to_string()))
        })
    }

    fn activate(&self, cluster: &Cluster, instance: &str) -> Result<()> {
        let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": "ACTIVE"});
        cluster.ecs().call("UpdateContainerInstancesState", &input).map(drop)
    }

    fn state_dir(&self, host: &str) -> Result<PathBuf> {
        Ok(self.bed.host(host)?.data_dir().join(Path::new("agents")).join(CLUSTER))
    }
}

fn id_of(instance: &Value) -> Result<String> {
    let arn = instance["containerInstanceArn"].as_str().context("no ARN")?;
    Ok(arn.rsplit('/').next().unwrap_or(arn).to_owned())
}
