//! The AWS CLI, boto3 and tools made with them as their users have them, against a cluster on real Docker Engines.

mod autoscaling;
mod boto3;
mod capacity;
mod clients;
mod errors;
mod examples;
mod operations;
mod services;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::aws::Aws;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::Value;

/// The cluster that the examples' commands name.
const CLUSTER: &str = "ecs-demo";

/// What the examples' placement constraints ask for.
const ATTRIBUTES: [(&str, &str); 2] = [
    ("ecs.availability-zone", "us-east-1a"),
    ("ecs.instance-type", "t2.small"),
];

/// A cluster with the host `a`; the host `b` has Docker and no agent.
struct Demo {
    cluster: Cluster,
    aws: Aws,
    bed: Arc<TestBed>,
}

impl Fixture for Demo {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("aws-cli", &["a", "b"])?;
        let started = Cluster::start_on(&bed, CLUSTER, &["a"], &Settings::with_attributes(&ATTRIBUTES))
            .and_then(|cluster| Ok((Aws::new(cluster.ecs())?, cluster)));
        if started.is_err() {
            bed.note_failure();
        }
        let (aws, cluster) = started?;
        Ok(Self { cluster, aws, bed })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Demo>(tests![
        examples::simple_demo_runs_as_it_is_and_its_page_moves,
        examples::curlers_exit_code_is_reported,
        examples::the_examples_placement_commands_place_by_attribute,
        examples::strategies_and_constraints_of_every_kind_reach_placement,
        operations::every_operation_answers_through_the_cli,
        operations::lists_come_in_pages_through_the_cli,
        errors::errors_reach_the_cli_under_their_names,
        boto3::answers_are_of_the_models_types,
        boto3::exceptions_are_the_clients_own,
        boto3::paginators_and_waiters_work,
        boto3::a_client_token_runs_tasks_once,
        boto3::a_service_lives_as_on_ecs,
        boto3::an_agent_of_another_making_tells_by_calls,
        boto3::a_service_is_deployed_by_task_sets,
        boto3::a_service_is_scaled_as_by_application_auto_scaling,
        autoscaling::a_service_is_scaled_through_the_cli,
        clients::ecs_deploy_runs_scales_and_deploys,
        clients::luigi_runs_a_task_to_its_end,
        clients::the_sdk_for_javascript_pages_waits_and_throws,
        capacity::providers_live_and_fargate_runs_through_the_cli,
        services::the_examples_service_is_created_and_says_what_it_lacks,
    ])
}

/// A string of an answer.
fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no string at {pointer} in {value}"))
}
