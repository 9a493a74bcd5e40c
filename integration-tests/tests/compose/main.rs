//! `berth compose`, and `berth deploy` of Elastic Beanstalk's files, on two hosts with real Docker Engines and a gateway:
//! what is in the files runs, changes, and goes, also when it is interrupted.

mod beanstalk;
mod fields;
mod lifecycle;
mod parts;
mod project;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use berth_integration_tests::agent::Settings;
use berth_integration_tests::gateway::{self, Gateway};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};

const CLUSTER: &str = "compose";
const HOSTS: [&str; 2] = ["a", "b"];
/// The host with the gateway.
const FRONT: &str = "a";

struct Hosts {
    bed: Arc<TestBed>,
    cluster: Cluster,
    _gateway: Gateway,
}

impl Fixture for Hosts {
    const AT_ONCE: Option<usize> = Some(3);

    fn start() -> Result<Self> {
        let bed = TestBed::new("compose", &HOSTS)?;
        let started = Self::start_on(&bed);
        if started.is_err() {
            bed.note_failure();
        }
        started
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        lifecycle::a_project_comes_up_in_order_serves_rolls_and_goes,
        lifecycle::a_change_and_a_down_that_are_interrupted_go_on,
        lifecycle::a_change_that_fails_is_rolled_back_and_up_says_so,
        parts::a_service_comes_up_with_its_dependencies_and_no_others,
        parts::a_job_that_fails_keeps_what_waits_for_it_from_starting,
        fields::every_field_that_is_not_honoured_is_named_and_strict_does_nothing,
        beanstalk::version_1_runs_changes_and_is_told_what_is_not_honoured,
        beanstalk::version_2_of_an_ecs_example_runs_as_it_is,
        beanstalk::a_source_bundle_is_refused_by_name,
    ])
}

impl Hosts {
    fn start_on(bed: &Arc<TestBed>) -> Result<Self> {
        let settings = Settings::with_arguments(&[
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        let cluster = Cluster::start_on(bed, CLUSTER, &HOSTS, &settings)?;
        let gateway = bed.host(FRONT)?.start_gateway(&gateway::Options {
            scheduler: cluster.scheduler.url(),
            cluster: CLUSTER.to_owned(),
            arguments: Vec::new(),
        })?;
        Ok(Self {
            bed: Arc::clone(bed),
            cluster,
            _gateway: gateway,
        })
    }
}
