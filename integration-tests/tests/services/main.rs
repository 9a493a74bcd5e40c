//! Services on three hosts with real Docker Engines: they hold their count, deploy within their bounds, go back from a bad
//! release, and outlive hosts, agents and the scheduler.

mod count;
mod deployments;
mod hosts;
mod releases;

use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::Result;
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::start_agent;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::json;

const CLUSTER: &str = "services";
const HOSTS: [&str; 3] = ["a", "b", "c"];
/// The host that joins where a test asks for another.
const SPARE: &str = "d";
/// The attribute that says in which zone a host is, and the zone of all but the spare one.
const ZONE: &str = "ecs.availability-zone";
const HOME: &str = "home";
/// Seconds for which an agent may be away.
const GRACE: &str = "2";

struct Hosts {
    bed: Arc<TestBed>,
    settings: Settings,
    cluster: RwLock<Cluster>,
}

impl Fixture for Hosts {
    // As many as share the cluster. Those that take hosts away or kill the scheduler have it to themselves, after these.
    const AT_ONCE: Option<usize> = Some(6);

    fn start() -> Result<Self> {
        let bed = TestBed::new("services", &[&HOSTS[..], &[SPARE]].concat())?;
        let mut settings = Settings::with_arguments(&[
            "--stop-timeout",
            "1s",
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        settings.attributes.push((ZONE.to_owned(), HOME.to_owned()));
        let started = bed
            .start_scheduler_with("scheduler-services", &["--lost-instance-grace", GRACE])
            .and_then(|scheduler| Cluster::start_under(scheduler, &bed, CLUSTER, &HOSTS, &settings));
        if started.is_err() {
            bed.note_failure();
        }
        Ok(Self {
            cluster: RwLock::new(started?),
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
        releases::bad_releases_are_given_up_at_the_threshold_rolled_back_and_explained,
        releases::a_first_release_that_cannot_start_has_nothing_to_go_back_to,
        deployments::a_release_that_cannot_start_is_rolled_back,
        count::a_service_reaches_its_count_and_replaces_what_crashes,
        count::a_service_is_scaled_out_and_in_and_deleted,
        count::scale_in_leaves_a_service_spread_and_empties_hosts_of_one_that_is_packed,
        deployments::a_rolling_update_keeps_its_bounds_though_the_scheduler_is_killed,
        hosts::a_daemon_runs_on_each_host_and_on_one_that_joins,
        hosts::tasks_move_to_the_zone_of_a_host_that_joins_one_by_one_and_started_first,
        hosts::a_host_that_is_drained_hands_its_tasks_over,
        hosts::the_tasks_of_a_lost_host_are_replaced_and_the_surplus_goes_on_its_return,
    ])
}

impl Hosts {
    /// The cluster, together with other tests.
    fn shared(&self) -> RwLockReadGuard<'_, Cluster> {
        self.cluster.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster, for a test that others would notice.
    fn alone(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.cluster.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the spare host join, in a zone of its own, and leave again after `act`.
    fn with_another<T>(
        &self,
        cluster: &mut Cluster,
        name: &str,
        act: impl FnOnce(&mut Cluster) -> Result<T>,
    ) -> Result<T> {
        let settings = Settings {
            name: name.to_owned(),
            attributes: vec![(ZONE.to_owned(), "away".to_owned())],
            ..self.settings.clone()
        };
        let agent = start_agent(&self.bed, SPARE, &cluster.scheduler, CLUSTER, &settings)?;
        cluster.agents.push(agent);
        cluster.wait_connected(HOSTS.len() + 1)?;
        let done = act(cluster);
        let instance = &cluster.instance_of(SPARE)?["containerInstanceArn"];
        let input = json!({"cluster": CLUSTER, "containerInstance": instance, "force": true});
        cluster.ecs().call("DeregisterContainerInstance", &input)?;
        cluster.agents.truncate(HOSTS.len());
        cluster.wait_connected(HOSTS.len())?;
        done
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
