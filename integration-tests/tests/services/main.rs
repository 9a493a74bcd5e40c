//! Services on three hosts with real Docker Engines: they hold their count, deploy within their bounds, go back from a bad
//! release, and outlive hosts, agents and the scheduler.

mod count;
mod deployments;
mod hosts;
mod releases;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::start_agent;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::json;

const CLUSTER: &str = "services";
const HOSTS: [&str; 3] = ["a", "b", "c"];
/// The host that joins last.
const LAST: &str = "c";
/// Seconds for which an agent may be away.
const GRACE: &str = "2";

struct Hosts {
    bed: Arc<TestBed>,
    settings: Settings,
    cluster: Mutex<Cluster>,
}

impl Fixture for Hosts {
    // Hosts come and go, and the scheduler is killed.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("services", &HOSTS)?;
        let settings = Settings::with_arguments(&[
            "--stop-timeout",
            "1s",
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        let started = bed
            .start_scheduler_with("scheduler-services", &["--lost-instance-grace", GRACE])
            .and_then(|scheduler| Cluster::start_under(scheduler, &bed, CLUSTER, &HOSTS[..2], &settings));
        if started.is_err() {
            bed.note_failure();
        }
        Ok(Self {
            cluster: Mutex::new(started?),
            settings,
            bed,
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        hosts::a_daemon_runs_on_each_host_and_on_one_that_joins,
        count::a_service_reaches_its_count_and_replaces_what_crashes,
        count::a_service_is_scaled_out_and_in_and_deleted,
        deployments::a_rolling_update_keeps_its_bounds_though_the_scheduler_is_killed,
        deployments::a_release_that_cannot_start_is_rolled_back,
        releases::bad_releases_are_given_up_at_the_threshold_rolled_back_and_explained,
        hosts::a_host_that_is_drained_hands_its_tasks_over,
        hosts::the_tasks_of_a_lost_host_are_replaced_and_the_surplus_goes_on_its_return,
    ])
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster with all its hosts.
    fn whole(&self) -> Result<MutexGuard<'_, Cluster>> {
        let mut cluster = self.lock();
        if cluster.agents.len() < HOSTS.len() {
            let agent = start_agent(&self.bed, LAST, &cluster.scheduler, CLUSTER, &self.settings)?;
            cluster.agents.push(agent);
        }
        cluster.wait_connected(HOSTS.len())?;
        Ok(cluster)
    }
}

/// A definition of one container that runs this shell script.
fn definition(cluster: &Cluster, family: &str, script: &str) -> Result<String> {
    let container = json!({
        "name": "app", "image": "busybox", "memory": 16, "cpu": 10, "command": ["sh", "-c", script], "stopTimeout": 1,
    });
    cluster.register(&json!({"family": family, "containerDefinitions": [container]}))
}

/// The same with a health check that passes: without one a task counts as healthy after 40 seconds.
fn checked(cluster: &Cluster, family: &str, script: &str) -> Result<String> {
    let container = json!({
        "name": "app", "image": "busybox", "memory": 16, "cpu": 10, "command": ["sh", "-c", script], "stopTimeout": 1,
        "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 1},
    });
    cluster.register(&json!({"family": family, "containerDefinitions": [container]}))
}
