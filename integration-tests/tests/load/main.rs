//! Many short tasks, and many events of Docker at once: nothing is lost, and nothing grows. `make soak` does the same
//! for longer and prints figures.

mod short_tasks;
mod storms;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use berth_integration_tests::agent::{Agent, Settings};
use berth_integration_tests::cluster::{Cluster, start_agent};
use berth_integration_tests::host::Host;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{TestBed, tests};
use serde_json::{Value, json};

/// Two hosts in one cluster, one for each test: what one test makes is not the other's leak.
struct Hosts {
    agents: Mutex<Vec<Agent>>,
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for Hosts {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("load", &["a", "b"])?;
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
        short_tasks::two_hundred_short_tasks_leave_nothing_behind,
        storms::every_state_is_right_after_an_event_storm,
    ])
}

impl Hosts {
    fn on(bed: &Arc<TestBed>) -> Result<Self> {
        let cluster = Cluster::start_on(bed, "load", &[], &Settings::default())?;
        // Ended tasks go at once, so that what is left is a leak.
        let settings = Settings::with_arguments(&["--stopped-container-retention", "0s"]);
        let hosts = bed.hosts().iter();
        let agents = hosts.map(|host| start_agent(bed, host.name(), &cluster.scheduler, cluster.name(), &settings));
        let agents = agents.collect::<Result<Vec<_>>>()?;
        cluster.wait_connected(agents.len())?;
        Ok(Self {
            agents: Mutex::new(agents),
            cluster,
            bed: Arc::clone(bed),
        })
    }

    fn host(&self, name: &str) -> Result<&Host> {
        self.bed.host(name)
    }

    fn agents(&self) -> MutexGuard<'_, Vec<Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process id of a host's agent.
    fn pid(&self, host: &str) -> Result<u32> {
        let mut agents = self.agents();
        let agent = agents.iter_mut().find(|agent| agent.host() == host);
        agent.context("no such agent")?.daemon().pid()
    }

    /// Runs tasks on a host.
    fn run_on(&self, host: &str, definition: &str, count: usize) -> Result<Vec<String>> {
        let there = json!({"placementConstraints": [
            {"type": "memberOf", "expression": format!("attribute:host == {host}")}]});
        self.cluster.run(definition, count, &there)
    }

    /// Registers a definition of one small container that runs a shell script.
    fn register(&self, family: &str, script: &str) -> Result<String> {
        self.cluster.register(&definition(family, script))
    }
}

/// One small container without a network: what a network costs Docker is not the agent's.
fn definition(family: &str, script: &str) -> Value {
    json!({
        "family": family,
        "networkMode": "none",
        "containerDefinitions": [{
            "name": "app", "image": "busybox", "memory": 8, "cpu": 2, "stopTimeout": 1,
            "entryPoint": ["sh", "-c"], "command": [script],
        }],
    })
}
