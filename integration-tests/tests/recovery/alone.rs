//! A cluster of one agent, on an engine that it shares with the agents of other tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::{SOON, arns, container_of, list, start_agent};
use berth_integration_tests::docker::{Container, Engine, NAME_LABEL};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::Bed;

pub(super) struct Alone<'b> {
    pub(super) bed: &'b Bed,
    host: &'static str,
    pub(super) cluster: String,
    pub(super) agent: Agent,
}

impl<'b> Alone<'b> {
    /// A new cluster and its agent, connected.
    pub(super) fn start(bed: &'b Bed, host: &'static str, cluster: &str, settings: &Settings) -> Result<Self> {
        bed.ecs.call("CreateCluster", &json!({"clusterName": cluster}))?;
        let agent = start(bed, host, cluster, settings)?;
        let alone = Self {
            bed,
            host,
            cluster: cluster.to_owned(),
            agent,
        };
        alone.wait_connected()?;
        Ok(alone)
    }

    /// Another process of the agent on the state of the last, which is gone.
    pub(super) fn start_again(&mut self, settings: &Settings) -> Result<()> {
        self.agent.daemon().kill()?;
        self.agent = start(self.bed, self.host, &self.cluster, settings)?;
        self.wait_connected()
    }

    pub(super) fn wait_connected(&self) -> Result<()> {
        wait_until("the agent is connected", SOON, || {
            let instance = self.instance()?;
            Ok(Seen::when(instance["agentConnected"] == true, || instance.to_string()))
        })
    }

    /// The container instance with its health.
    pub(super) fn instance(&self) -> Result<Value> {
        let listed = self.call("ListContainerInstances", json!({}))?;
        let input = json!({
            "containerInstances": listed["containerInstanceArns"],
            "include": ["CONTAINER_INSTANCE_HEALTH"],
        });
        let instances = list(&self.call("DescribeContainerInstances", input)?, "containerInstances")?;
        instances.into_iter().next().context("no container instance yet")
    }

    pub(super) fn call(&self, operation: &str, mut input: Value) -> Result<Value> {
        input["cluster"] = json!(self.cluster);
        self.bed.ecs.call(operation, &input)
    }

    /// Runs one task of the definition.
    pub(super) fn run(&self, definition: &Value) -> Result<String> {
        self.bed.ecs.call("RegisterTaskDefinition", definition)?;
        let answer = self.call("RunTask", json!({"taskDefinition": definition["family"]}))?;
        let arns = arns(&list(&answer, "tasks")?)?;
        arns.into_iter()
            .next()
            .with_context(|| format!("not placed: {}", answer["failures"]))
    }

    pub(super) fn describe(&self, arn: &str) -> Result<Value> {
        let tasks = list(&self.call("DescribeTasks", json!({"tasks": [arn]}))?, "tasks")?;
        tasks.into_iter().next().context("no such task")
    }

    pub(super) fn wait(&self, arn: &str, status: &str) -> Result<Value> {
        wait_until(&format!("the task is {status}"), SOON, || {
            let task = self.describe(arn)?;
            Ok(if task["lastStatus"] == status {
                Seen::Done(task)
            } else {
                Seen::NotYet(task.to_string())
            })
        })
    }

    pub(super) fn order_stop(&self, arn: &str) -> Result<()> {
        self.call("StopTask", json!({"task": arn})).map(drop)
    }

    /// Stops the task; gives the exit code of its container `main`.
    pub(super) fn stop(&self, arn: &str) -> Result<i64> {
        self.order_stop(arn)?;
        exit_code(&self.wait(arn, "STOPPED")?)
    }

    pub(super) fn engine(&self) -> Result<&Engine> {
        Ok(self.bed.bed.host(self.host)?.engine())
    }

    /// The container `main` of the task.
    pub(super) fn container(&self, arn: &str) -> Result<Container> {
        let mut found = self.engine()?.task_containers(arn)?;
        found.retain(|container| container.label(NAME_LABEL) == "main");
        found.pop().context("no container")
    }

    /// Waits until tasks of [`task`] have begun so many times in the directory: their traps are set by then.
    pub(super) fn wait_begun(directory: &Path, times: usize) -> Result<()> {
        wait_until("the containers have begun", SOON, || {
            let begun = starts(directory);
            Ok(Seen::when(begun == times, || format!("{begun} of {times}")))
        })
    }

    /// The directory with the agent's records of tasks.
    pub(super) fn records(&self) -> PathBuf {
        let host = self.bed.bed.data_dir(self.host);
        host.join("agents").join(&self.cluster).join("tasks")
    }
}

fn start(bed: &Bed, host: &str, cluster: &str, settings: &Settings) -> Result<Agent> {
    start_agent(&bed.bed, host, &bed.scheduler, cluster, settings)
}

/// How often tasks of [`task`] have begun in the directory.
pub(super) fn starts(directory: &Path) -> usize {
    fs::read_to_string(directory.join("starts")).map_or(0, |text| text.lines().count())
}

/// The exit code of the container `main`.
pub(super) fn exit_code(task: &Value) -> Result<i64> {
    container_of(task, "main")?["exitCode"]
        .as_i64()
        .with_context(|| format!("no exit code: {task}"))
}

/// A task that notes each of its starts in the directory, has a volume of its own, and ends with 7 when it is told to.
pub(super) fn task(family: &str, directory: &Path) -> Value {
    let script = "trap 'exit 7' TERM; echo started >> /out/starts; while :; do sleep 60 & wait; done";
    json!({
        "family": family,
        "volumes": [{"name": "out", "host": {"sourcePath": directory}}, {"name": "own"}],
        "containerDefinitions": [{
            "name": "main",
            "image": "busybox",
            "memory": 16,
            "entryPoint": ["sh", "-c"],
            "command": [script],
            "stopTimeout": 5,
            "mountPoints": [
                {"sourceVolume": "out", "containerPath": "/out"},
                {"sourceVolume": "own", "containerPath": "/own"},
            ],
        }],
    })
}
