//! What hosts, tasks and containers are said to use is what they use, as Docker and the kernel have it too.

mod containers;
mod hosts;
mod views;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::docker::Container;
use berth_integration_tests::grpc::Client;
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use berth_proto::v1::{ContainerUsage, DescribeUsageRequest, DescribeUsageResponse};
use prost::Message;
use serde_json::{Value, json};

/// One host whose agent tells every second what is used.
struct OneHost {
    cluster: Cluster,
    grpc: Mutex<Client>,
    bed: Arc<TestBed>,
}

impl Fixture for OneHost {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("usage", &["a"])?;
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
    suite::main::<OneHost>(tests![
        containers::a_busy_loop_uses_the_cpu_units_of_its_quota,
        containers::a_container_in_its_tasks_group_has_its_tasks_limits,
        containers::memory_is_what_docker_stats_shows,
        containers::page_cache_that_would_be_given_up_is_no_working_set,
        containers::network_counters_are_dockers,
        containers::block_counters_are_dockers,
        containers::a_container_on_the_hosts_network_has_none_of_its_own,
        containers::a_network_that_containers_share_counts_once_in_the_tasks_sum,
        containers::a_stopped_container_disappears,
        hosts::ports_are_those_that_ss_lists,
        hosts::the_hosts_figures_are_the_kernels,
        views::a_task_is_the_sum_of_its_containers_and_related_to_what_it_reserves,
        views::what_is_named_and_not_there_is_told,
        views::requests_that_make_no_sense_are_refused,
        views::berth_top_shows_what_describe_usage_tells,
    ])
}

impl OneHost {
    fn on(bed: &Arc<TestBed>) -> Result<Self> {
        let settings = Settings::with_arguments(&["--usage-interval", "1s", "--task-network-subnet", "10.78.0.0/24"]);
        let cluster = Cluster::start_on(bed, "usage", &["a"], &settings)?;
        favour(bed)?;
        let address = cluster.scheduler.url();
        let address = address.trim_start_matches("http://").parse();
        Ok(Self {
            grpc: Mutex::new(Client::new(address.context("the scheduler's address")?)?),
            cluster,
            bed: Arc::clone(bed),
        })
    }

    fn host(&self) -> &Host {
        &self.bed.hosts()[0]
    }

    /// Runs one task of the definition and waits until it runs.
    fn running(&self, definition: &Value) -> Result<String> {
        let arn = self.cluster.run_one(definition)?;
        self.cluster.wait_running(std::slice::from_ref(&arn))?;
        Ok(arn)
    }

    fn stop(&self, arn: &str) -> Result<()> {
        self.cluster.stop(&[arn.to_owned()])?;
        self.cluster.wait_stopped(&[arn.to_owned()]).map(drop)
    }

    fn container(&self, task: &str, name: &str) -> Result<Container> {
        self.cluster.container(task, name)
    }

    /// DescribeUsage; the inner error is the scheduler's refusal.
    fn ask(&self, request: DescribeUsageRequest) -> Result<Result<DescribeUsageResponse, String>> {
        let request = DescribeUsageRequest {
            cluster: Some(self.cluster.name().to_owned()),
            ..request
        };
        let client = self.grpc.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = client.call("/berth.v1.Berth/DescribeUsage", request.encode_to_vec())?;
        Ok(match answer {
            Ok(bytes) => Ok(DescribeUsageResponse::decode(bytes.as_slice()).context("read the answer")?),
            Err(status) => Err(status.message().to_owned()),
        })
    }

    fn usage(&self, request: DescribeUsageRequest) -> Result<DescribeUsageResponse> {
        self.ask(request)?.map_err(|refusal| anyhow!(refusal))
    }

    /// The task and its containers, and nothing else.
    fn usage_of(&self, task: &str) -> Result<DescribeUsageResponse> {
        self.usage(DescribeUsageRequest {
            tasks: vec![task.to_owned()],
            include: ["TASKS", "CONTAINERS"].map(str::to_owned).to_vec(),
            ..DescribeUsageRequest::default()
        })
    }

    fn usage_of_container(&self, task: &str, name: &str) -> Result<ContainerUsage> {
        let usage = self.usage_of(task)?;
        let found = usage.containers.iter().find(|container| container.name == name);
        found
            .cloned()
            .with_context(|| format!("nothing is told of {name}: {usage:?}"))
    }

    /// Waits until what is told of a container is as it should be.
    fn wait_usage(&self, task: &str, name: &str, what: &str, fits: impl Fn(&ContainerUsage) -> bool) -> Result<()> {
        wait_until(what, SOON, || {
            let usage = self.usage_of_container(task, name)?;
            Ok(Seen::when(fits(&usage), || format!("{usage:?}")))
        })
    }

    /// A figure of Docker's before and after one of ours that was taken in between.
    fn between<T>(&self, id: &str, ours: impl FnOnce() -> Result<T>) -> Result<(Value, T, Value)> {
        let engine = self.host().engine();
        let before = engine.stats(id)?;
        let ours = ours()?;
        Ok((before, ours, engine.stats(id)?))
    }
}

/// Has the containers of the bed go before what else the machine does: some tests say how much CPU they use.
fn favour(bed: &TestBed) -> Result<()> {
    let host = PathBuf::from(bed.lane().cgroup("a"));
    let levels = host.ancestors().filter_map(|level| level.strip_prefix("/").ok());
    for level in levels.filter(|level| !level.as_os_str().is_empty()) {
        let version_1 = Path::new("/sys/fs/cgroup/cpu").join(level).join("cpu.shares");
        let version_2 = Path::new("/sys/fs/cgroup").join(level).join("cpu.weight");
        let (file, most) = if version_1.exists() {
            (version_1, "262144")
        } else {
            (version_2, "10000")
        };
        fs::write(&file, most).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
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
        "memory": 64,
        "cpu": 128,
        "entryPoint": ["sh", "-c"],
        "command": [script],
        "stopTimeout": 1,
    })
}

/// Members of an object that Docker counts in.
fn count(stats: &Value, path: &[&str]) -> Result<u64> {
    let mut value = stats;
    for member in path {
        value = &value[member];
    }
    value.as_u64().with_context(|| format!("no {path:?} in {stats}"))
}
