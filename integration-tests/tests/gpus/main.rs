//! GPUs: whole devices of a host, each for one container. `runc` stands in for NVIDIA's runtime and a list of ids for
//! the devices: what a runtime and a driver would make of them is theirs.

mod giving;
mod refusing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::{SOON, arns, container_of, list, start_agent};
use berth_integration_tests::docker::Container;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use serde_json::{Value, json};

const CLUSTER: &str = "gpus";
/// What the host's list says.
const GPUS: [&str; 2] = ["GPU-0aa1", "GPU-0bb2"];
const DRIVER: &str = "535.104.12";

/// A host with two GPUs. One agent gives them to containers; another would, and does not know by which runtime.
struct Host {
    /// The list of GPUs.
    found: PathBuf,
    cluster: Cluster,
    giving: Mutex<Agent>,
    bed: Arc<TestBed>,
}

impl Fixture for Host {
    /// There are two GPUs for all tests.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("gpus", &["a"])?;
        let host = Self::on(&bed);
        if host.is_err() {
            bed.note_failure();
        }
        host
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Host>(tests![
        giving::a_host_tells_its_gpus_and_their_driver,
        giving::each_task_gets_a_gpu_of_its_own_and_a_third_waits_for_an_end,
        giving::the_containers_of_a_task_share_no_gpu_and_one_without_sees_none,
        giving::overrides_ask_for_gpus_that_the_definition_does_not,
        giving::gpus_stay_with_their_task_over_a_restart_of_the_agent,
        refusing::a_host_without_the_runtime_has_no_gpus_and_is_named_for_it,
        refusing::what_is_no_gpu_is_refused_at_placement,
        refusing::a_host_that_comes_back_with_fewer_gpus_gives_fewer,
    ])
}

impl Host {
    fn on(bed: &Arc<TestBed>) -> Result<Self> {
        let host = bed.host("a")?;
        host.engine().offer_runc_as("nvidia")?;
        let found = host.data_dir().join("nvidia-gpu-info.json");
        write(&found, &GPUS)?;
        let cluster = Cluster::start_on(bed, CLUSTER, &[], &Settings::default())?;
        let start = |name: &str, environment: &[(&str, &str)]| {
            let mut settings = Settings::with_attributes(&[("agent", name)]);
            name.clone_into(&mut settings.name);
            // They share a host, and these addresses can be had once.
            let alone = ["--endpoint-address", "off", "--introspection-address", "off"];
            settings.arguments.extend(alone.map(str::to_owned));
            settings
                .arguments
                .extend(["--gpu-info-file".to_owned(), found.display().to_string()]);
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            settings.environment = environment.iter().map(owned).collect();
            start_agent(bed, "a", &cluster.scheduler, CLUSTER, &settings)
        };
        let giving = start("giving", &[("ECS_ENABLE_GPU_SUPPORT", "true")])?;
        let runtime = ("ECS_NVIDIA_RUNTIME", "nvidia-container-runtime");
        let lacking = start("lacking", &[("ECS_ENABLE_GPU_SUPPORT", "true"), runtime])?;
        let mut host = Self {
            found,
            cluster,
            giving: Mutex::new(giving),
            bed: Arc::clone(bed),
        };
        host.cluster.agents.push(lacking);
        host.cluster.wait_connected(2)?;
        Ok(host)
    }

    /// Kills the agent that gives GPUs and starts it again with these in the list, and waits until its instance has them.
    fn restart(&self, gpus: &[&str]) -> Result<()> {
        let mut agent = self.giving.lock().unwrap_or_else(PoisonError::into_inner);
        agent.daemon().kill()?;
        write(&self.found, gpus)?;
        agent.daemon().start_again()?;
        drop(agent);
        wait_until("the agent is back with its GPUs", SOON, || {
            let back = self.instance("giving")?["agentConnected"] == true;
            let has = self.resource("registeredResources")?;
            Ok(Seen::when(back && has == json!(gpus), || {
                format!("connected: {back}, {has}")
            }))
        })
    }

    /// RunTask of these containers on the instance of the agent.
    fn ask(&self, agent: &str, containers: &Value, more: &Value) -> Result<Value> {
        let definition = json!({"family": "gpus", "containerDefinitions": containers});
        let mut input = json!({
            "cluster": CLUSTER,
            "taskDefinition": self.cluster.register(&definition)?,
            "placementConstraints": [{"type": "memberOf", "expression": format!("attribute:agent == {agent}")}],
        });
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        self.cluster.ecs().call("RunTask", &input)
    }

    /// Runs a task of these containers where there are GPUs, and waits until it runs.
    fn running(&self, containers: &Value) -> Result<Running> {
        self.running_with(containers, &json!({}))
    }

    fn running_with(&self, containers: &Value, more: &Value) -> Result<Running> {
        let answer = self.ask("giving", containers, more)?;
        let arn = arns(&list(&answer, "tasks")?)?;
        let arn = arn.into_iter().next().with_context(|| format!("no task: {answer}"))?;
        let task = self.cluster.wait_running(std::slice::from_ref(&arn))?.remove(0);
        Ok(Running { arn, task })
    }

    /// Why the instance of the agent did not take a task of these containers: reason and detail.
    fn refusal(&self, agent: &str, containers: &Value) -> Result<(String, String)> {
        let answer = self.ask(agent, containers, &json!({}))?;
        ensure!(answer["tasks"] == json!([]), "it was placed: {answer}");
        let instance = &self.instance(agent)?["containerInstanceArn"];
        let failures = list(&answer, "failures")?;
        let failure = failures.iter().find(|failure| failure["arn"] == *instance);
        let failure = failure.with_context(|| format!("no failure of {instance}: {answer}"))?;
        let text = |member: &str| failure[member].as_str().unwrap_or_default().to_owned();
        // Behind what is the instance's own stands what is said of all.
        let detail = text("detail");
        let own = detail.split_once(". ").map_or(detail.as_str(), |(own, _)| own);
        Ok((text("reason"), own.to_owned()))
    }

    fn stop(&self, task: &Running) -> Result<()> {
        let arn = [task.arn.clone()];
        self.cluster.stop(&arn)?;
        self.cluster.wait_stopped(&arn).map(drop)
    }

    /// The container instance of the agent.
    fn instance(&self, agent: &str) -> Result<Value> {
        let is_it = |instance: &Value| attribute(instance, "agent") == Some(json!(agent));
        let instances = self.cluster.instances()?;
        instances.into_iter().find(is_it).context("no such instance")
    }

    /// The ids in the resource GPU of the instance that gives them; `kind` is `registeredResources` or
    /// `remainingResources`.
    fn resource(&self, kind: &str) -> Result<Value> {
        let instance = self.instance("giving")?;
        let resources = list(&instance, kind)?;
        let gpu = resources.into_iter().find(|resource| resource["name"] == "GPU");
        let gpu = gpu.context("no resource GPU")?;
        ensure!(gpu["type"] == "STRINGSET", "{gpu}");
        // An empty list is not sent.
        Ok(gpu.get("stringSetValue").cloned().unwrap_or_else(|| json!([])))
    }

    fn container(&self, task: &Running, name: &str) -> Result<Container> {
        self.cluster.container(&task.arn, name)
    }

    /// What a container that prints its environment has printed of its GPUs.
    fn sees(&self, task: &Running, name: &str) -> Result<Option<String>> {
        let engine = self.bed.host("a")?.engine();
        let printed = engine.logs(self.container(task, name)?.id())?;
        let mut lines = printed.lines();
        ensure!(lines.any(|line| line == "these were all"), "it says: {printed}");
        let mut visible = printed
            .lines()
            .filter_map(|line| line.strip_prefix("NVIDIA_VISIBLE_DEVICES="));
        Ok(visible.next().map(str::to_owned))
    }
}

/// Writes the list as ECS's init does.
fn write(file: &Path, gpus: &[&str]) -> Result<()> {
    let list = json!({"DriverVersion": DRIVER, "GPUIDs": gpus});
    std::fs::write(file, list.to_string()).with_context(|| format!("write {}", file.display()))
}

/// A task that was seen RUNNING.
struct Running {
    arn: String,
    task: Value,
}

impl Running {
    /// The `gpuIds` of a container.
    fn gpus(&self, container: &str) -> Result<Value> {
        Ok(container_of(&self.task, container)?["gpuIds"].clone())
    }
}

/// An attribute's value; null for a capability.
fn attribute(instance: &Value, name: &str) -> Option<Value> {
    let mut attributes = instance["attributes"].as_array().into_iter().flatten();
    let found = attributes.find(|attribute| attribute["name"] == name)?;
    Some(found["value"].clone())
}

/// A container that says what it sees and goes on; it is well once it has said so.
fn container(name: &str, gpus: u32) -> Value {
    let mut container = json!({
        "name": name, "image": "busybox", "memory": 16, "cpu": 1, "stopTimeout": 1,
        "entryPoint": ["sh", "-c"],
        "command": ["env; echo these were all; touch /said; exec sleep 600"],
    });
    if gpus > 0 {
        container["resourceRequirements"] = json!([{"type": "GPU", "value": gpus.to_string()}]);
    }
    container
}
