//! Malformed requests over both wires: each gets its ECS error, and afterwards the same process serves a good one.

mod autoscaling;
mod cases;
mod hostile;
mod raw;
mod registration;
mod schedules;
mod services;
mod settings;
mod texts;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use berth_integration_tests::grpc::{self, Client};
use berth_integration_tests::scheduler::Scheduler;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Ecs, TestBed, tests};
use berth_proto::ecs::v1 as ecs;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A scheduler with a cluster `here` and a task definition `good`, and no host.
struct Alone {
    scheduler: Mutex<Scheduler>,
    pid: u32,
    ecs: Ecs,
    /// Of the cluster `here`.
    cluster_arn: String,
    bed: Arc<TestBed>,
}

impl Fixture for Alone {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("bad-input", &[])?;
        let mut scheduler = bed.start_scheduler("scheduler")?;
        let ecs = scheduler.ecs();
        let made = ecs.call("CreateCluster", &json!({"clusterName": "here"}))?;
        let cluster_arn = made["cluster"]["clusterArn"].as_str().context("no ARN")?;
        let gone = registration::good("gone");
        ecs.call("RegisterTaskDefinition", &gone)?;
        ecs.call("DeregisterTaskDefinition", &json!({"taskDefinition": "gone:1"}))?;
        ecs.call("RegisterTaskDefinition", &registration::good("good"))?;
        Ok(Self {
            pid: scheduler.daemon().pid()?,
            cluster_arn: cluster_arn.to_owned(),
            scheduler: Mutex::new(scheduler),
            ecs,
            bed,
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Alone>(tests![
        bad_registrations_are_refused_over_both_wires,
        bad_requests_are_refused_over_both_wires,
        bad_requests_for_services_are_refused_over_both_wires,
        bad_requests_for_settings_are_refused_over_both_wires,
        operations_that_are_not_supported_say_why_over_both_wires,
        bad_requests_for_schedules_are_refused,
        bad_requests_for_auto_scaling_are_refused_over_both_wires,
        every_error_text_of_ecs_has_what_produces_it,
        hostile_bodies_do_no_harm,
        bodies_that_are_no_request_are_refused,
        targets_that_are_no_operation_are_refused,
        what_is_not_even_http_does_no_harm,
        grpc_frames_that_are_no_message_are_refused,
        agents_that_may_not_join_are_told_why,
    ])
}

/// A request that must be refused.
struct Case {
    operation: &'static str,
    input: Value,
    /// The class; several, parted by `|`, where ECS's documents leave it open.
    class: &'static str,
    /// What the message must contain.
    says: String,
}

fn case(operation: &'static str, input: Value, class: &'static str, says: &str) -> Case {
    Case {
        operation,
        input,
        class,
        says: says.to_owned(),
    }
}

impl Case {
    /// The difference between what was expected and what came, if there is one.
    fn complaint(&self, wire: &str, class: &str, message: &str) -> Option<String> {
        let fits = self.class.split('|').any(|one| one == class) && message.contains(&self.says);
        (!fits).then(|| {
            let mut input = self.input.to_string();
            input.truncate(300);
            format!(
                "{wire} {} {input}\n    expected {}: ...{}...\n    received {class}: {message}",
                self.operation, self.class, self.says
            )
        })
    }
}

fn bad_registrations_are_refused_over_both_wires(alone: &Alone) -> Result<()> {
    refuse_all(alone, &registration::cases())
}

fn bad_requests_are_refused_over_both_wires(alone: &Alone) -> Result<()> {
    refuse_all(alone, &cases::cases(&alone.cluster_arn))
}

fn bad_requests_for_services_are_refused_over_both_wires(alone: &Alone) -> Result<()> {
    refuse_all(alone, &services::cases())
}

fn bad_requests_for_settings_are_refused_over_both_wires(alone: &Alone) -> Result<()> {
    refuse_all(alone, &settings::cases())
}

fn operations_that_are_not_supported_say_why_over_both_wires(alone: &Alone) -> Result<()> {
    settings::unsupported(&alone.ecs)?;
    alone.check_serves()
}

fn bad_requests_for_schedules_are_refused(alone: &Alone) -> Result<()> {
    schedules::refuse_all(alone)
}

fn bad_requests_for_auto_scaling_are_refused_over_both_wires(alone: &Alone) -> Result<()> {
    autoscaling::refuse_all(alone)
}

fn every_error_text_of_ecs_has_what_produces_it(alone: &Alone) -> Result<()> {
    texts::check(alone)
}

fn hostile_bodies_do_no_harm(alone: &Alone) -> Result<()> {
    hostile::send(&alone.cluster_arn)
}

fn bodies_that_are_no_request_are_refused(alone: &Alone) -> Result<()> {
    raw::bodies(&alone.ecs)?;
    alone.check_serves()
}

fn targets_that_are_no_operation_are_refused(alone: &Alone) -> Result<()> {
    raw::targets(&alone.ecs)?;
    alone.check_serves()
}

fn what_is_not_even_http_does_no_harm(alone: &Alone) -> Result<()> {
    raw::no_http(&alone.ecs)?;
    alone.check_serves()
}

fn grpc_frames_that_are_no_message_are_refused(alone: &Alone) -> Result<()> {
    raw::frames(&Client::new(alone.ecs.address())?)?;
    alone.check_serves()
}

fn agents_that_may_not_join_are_told_why(alone: &Alone) -> Result<()> {
    raw::agents(&Client::new(alone.ecs.address())?)?;
    alone.check_serves()
}

/// Sends all cases over both wires and reports all that went wrong together.
fn refuse_all(alone: &Alone, cases: &[Case]) -> Result<()> {
    let client = Client::new(alone.ecs.address())?;
    let mut wrong = Vec::new();
    for case in cases {
        let fault = alone.ecs.refusal(case.operation, &case.input);
        match fault {
            Ok(fault) if fault.status == 400 => {
                wrong.extend(case.complaint("JSON", &fault.class, &fault.message));
            }
            Ok(fault) => wrong.push(format!("JSON {} {}: {fault}", case.operation, case.input)),
            Err(error) => wrong.push(format!("JSON {error:#}")),
        }
        let path = format!("/berth.ecs.v1.Ecs/{}", case.operation);
        match client.call(&path, message(case.operation, &case.input)?)? {
            Ok(_) => wrong.push(format!("gRPC {} {} succeeded", case.operation, case.input)),
            Err(status) => {
                let class = grpc::fault_class(&status);
                wrong.extend(case.complaint("gRPC", class, status.message()));
            }
        }
        alone.check_serves()?;
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} answers are not as expected:\n{}",
        wrong.len(),
        2 * cases.len(),
        wrong.join("\n")
    );
    Ok(())
}

impl Alone {
    /// The process that was started first lives and serves.
    fn check_serves(&self) -> Result<()> {
        let mut scheduler = self.scheduler.lock().unwrap_or_else(PoisonError::into_inner);
        scheduler.daemon().check_running()?;
        assert_eq!(scheduler.daemon().pid()?, self.pid);
        let answer = self.ecs.call("DescribeClusters", &json!({"clusters": ["here"]}))?;
        assert_eq!(answer["clusters"][0]["status"], "ACTIVE", "{answer}");
        Ok(())
    }
}

/// The protobuf message of a request that is given as JSON.
fn message(operation: &str, input: &Value) -> Result<Vec<u8>> {
    match operation {
        "CreateCapacityProvider" => encode::<ecs::CreateCapacityProviderRequest>(input),
        "CreateCluster" => encode::<ecs::CreateClusterRequest>(input),
        "CreateService" => encode::<ecs::CreateServiceRequest>(input),
        "CreateTaskSet" => encode::<ecs::CreateTaskSetRequest>(input),
        "DeleteAccountSetting" => encode::<ecs::DeleteAccountSettingRequest>(input),
        "DeleteAttributes" => encode::<ecs::DeleteAttributesRequest>(input),
        "DeleteCluster" => encode::<ecs::DeleteClusterRequest>(input),
        "DeleteService" => encode::<ecs::DeleteServiceRequest>(input),
        "DeleteTaskDefinitions" => encode::<ecs::DeleteTaskDefinitionsRequest>(input),
        "DeleteTaskSet" => encode::<ecs::DeleteTaskSetRequest>(input),
        "DeregisterContainerInstance" => encode::<ecs::DeregisterContainerInstanceRequest>(input),
        "DeregisterTaskDefinition" => encode::<ecs::DeregisterTaskDefinitionRequest>(input),
        "DescribeClusters" => encode::<ecs::DescribeClustersRequest>(input),
        "DescribeContainerInstances" => encode::<ecs::DescribeContainerInstancesRequest>(input),
        "DescribeServiceDeployments" => encode::<ecs::DescribeServiceDeploymentsRequest>(input),
        "DescribeServiceRevisions" => encode::<ecs::DescribeServiceRevisionsRequest>(input),
        "DescribeServices" => encode::<ecs::DescribeServicesRequest>(input),
        "DescribeTaskDefinition" => encode::<ecs::DescribeTaskDefinitionRequest>(input),
        "DescribeTaskSets" => encode::<ecs::DescribeTaskSetsRequest>(input),
        "DescribeTasks" => encode::<ecs::DescribeTasksRequest>(input),
        "ListAccountSettings" => encode::<ecs::ListAccountSettingsRequest>(input),
        "ListAttributes" => encode::<ecs::ListAttributesRequest>(input),
        "ListClusters" => encode::<ecs::ListClustersRequest>(input),
        "ListContainerInstances" => encode::<ecs::ListContainerInstancesRequest>(input),
        "ListServiceDeployments" => encode::<ecs::ListServiceDeploymentsRequest>(input),
        "ListServicesByNamespace" => encode::<ecs::ListServicesByNamespaceRequest>(input),
        "ListServices" => encode::<ecs::ListServicesRequest>(input),
        "ListTaskDefinitionFamilies" => encode::<ecs::ListTaskDefinitionFamiliesRequest>(input),
        "ListTaskDefinitions" => encode::<ecs::ListTaskDefinitionsRequest>(input),
        "ListTasks" => encode::<ecs::ListTasksRequest>(input),
        "PutAccountSetting" => encode::<ecs::PutAccountSettingRequest>(input),
        "PutAccountSettingDefault" => encode::<ecs::PutAccountSettingDefaultRequest>(input),
        "PutAttributes" => encode::<ecs::PutAttributesRequest>(input),
        "RegisterTaskDefinition" => encode::<ecs::RegisterTaskDefinitionRequest>(input),
        "RunTask" => encode::<ecs::RunTaskRequest>(input),
        "StartTask" => encode::<ecs::StartTaskRequest>(input),
        "StopServiceDeployment" => encode::<ecs::StopServiceDeploymentRequest>(input),
        "StopTask" => encode::<ecs::StopTaskRequest>(input),
        "UpdateCluster" => encode::<ecs::UpdateClusterRequest>(input),
        "UpdateClusterSettings" => encode::<ecs::UpdateClusterSettingsRequest>(input),
        "UpdateContainerAgent" => encode::<ecs::UpdateContainerAgentRequest>(input),
        "UpdateContainerInstancesState" => encode::<ecs::UpdateContainerInstancesStateRequest>(input),
        "GetTaskProtection" => encode::<ecs::GetTaskProtectionRequest>(input),
        "UpdateService" => encode::<ecs::UpdateServiceRequest>(input),
        "UpdateServicePrimaryTaskSet" => encode::<ecs::UpdateServicePrimaryTaskSetRequest>(input),
        "UpdateTaskSet" => encode::<ecs::UpdateTaskSetRequest>(input),
        "TagResource" => encode::<ecs::TagResourceRequest>(input),
        "UntagResource" => encode::<ecs::UntagResourceRequest>(input),
        "ListTagsForResource" => encode::<ecs::ListTagsForResourceRequest>(input),
        "UpdateTaskProtection" => encode::<ecs::UpdateTaskProtectionRequest>(input),
        other => bail!("no message type is known for {other}"),
    }
}

fn encode<M: Message + DeserializeOwned>(input: &Value) -> Result<Vec<u8>> {
    let message: M = serde_json::from_value(input.clone()).with_context(|| input.to_string())?;
    Ok(message.encode_to_vec())
}
