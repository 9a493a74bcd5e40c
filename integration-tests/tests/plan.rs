//! A plan, and what RunTask then does, on two real hosts.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::grpc::{Client, fault_class};
use berth_integration_tests::{Cluster, TestBed, binaries, command};
use berth_proto::ecs::v1::RunTaskRequest;
use berth_proto::v1::{OneMore, PlanRequest};
use prost::Message;
use serde_json::{Value, json};

#[test]
fn a_plan_comes_true_and_starts_nothing_itself() -> Result<()> {
    TestBed::with("plan", &["a", "b"], |bed| {
        let cluster = Cluster::start(bed, "planned")?;
        // Two fit on each host.
        let free = free_memory(&cluster.instance_of("a")?)?.min(free_memory(&cluster.instance_of("b")?)?);
        let each = free * 2 / 5;
        cluster.register(&json!({
            "family": "large",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": each, "command": ["sleep", "1000"]}],
        }))?;
        let one_more_like = cluster.instance_of("b")?["containerInstanceArn"].clone();
        let one_more_like = one_more_like.as_str().context("no ARN")?;

        let planned = plan(&cluster, &["--count", "6", "--one-more-like", one_more_like])?;
        ensure!(planned["placed"] == 4 && planned["more"] == 0, "{planned}");
        ensure!(planned["explanation"]["candidates"] == 2, "{planned}");
        ensure!(
            planned["explanation"]["causes"][0]["reason"] == "RESOURCE:MEMORY",
            "{planned}"
        );
        ensure!(planned["oneMore"]["copies"] == 2, "{planned}");
        ensure!(planned["copies"][0]["runnerUpArn"].is_string(), "{planned}");
        let listed = cluster.ecs().call("ListTasks", &json!({"cluster": cluster.name()}))?;
        ensure!(listed["taskArns"] == json!([]), "{listed}");

        let input = json!({"cluster": cluster.name(), "taskDefinition": "large", "count": 6});
        let ran = cluster.ecs().call("RunTask", &input)?;
        let tasks = ran["tasks"].as_array().context("no tasks")?;
        for instance in planned["instances"].as_array().context("no instances")? {
            let arn = &instance["containerInstanceArn"];
            let copies = tasks.iter().filter(|task| task["containerInstanceArn"] == *arn).count();
            ensure!(instance["copies"] == copies, "{planned} and {ran}");
        }
        let refused = &ran["failures"][0];
        ensure!(refused["reason"] == "RESOURCE:MEMORY", "{ran}");
        let told = format!("2 container instances were considered: 2 lack {each} MiB of memory, the closest, ");
        ensure!(
            refused["detail"].as_str().is_some_and(|detail| detail.contains(&told)),
            "{ran}"
        );

        let full = plan(&cluster, &["--strategy", "binpack=memory"])?;
        ensure!(full["placed"] == 0 && full["copies"] == json!([]), "{full}");
        let memory = |moment: &str| full["cluster"][moment]["memoryMib"].as_u64();
        ensure!(
            memory("before") == Some(4 * each) && memory("after") == memory("before"),
            "{full}"
        );
        wrong_questions_are_refused(&cluster)
    })
}

fn free_memory(instance: &Value) -> Result<u64> {
    let resources = instance["remainingResources"].as_array().context("no resources")?;
    let memory = resources.iter().find(|resource| resource["name"] == "MEMORY");
    memory
        .and_then(|memory| memory["integerValue"].as_u64())
        .context("no memory")
}

/// What `berth plan` prints; it says by its exit code whether all would be placed.
fn plan(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    let mut berth = Command::new(binaries::path("berth")?);
    berth.args(["plan", "large", "--output", "json", "--cluster", cluster.name()]);
    berth.args(["--scheduler", &cluster.scheduler.url()]).args(arguments);
    let output = command::output(&mut berth, Duration::from_secs(30))?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn wrong_questions_are_refused(cluster: &Cluster) -> Result<()> {
    let url = cluster.scheduler.url();
    let address = url.strip_prefix("http://").context("no http URL")?.parse()?;
    let client = Client::new(address)?;
    let run = RunTaskRequest {
        cluster: Some(cluster.name().to_owned()),
        task_definition: Some("large".to_owned()),
        ..RunTaskRequest::default()
    };
    let with = |run: RunTaskRequest| PlanRequest {
        run_task: Some(run),
        ..PlanRequest::default()
    };
    let many = RunTaskRequest {
        count: Some(10_001),
        ..run.clone()
    };
    let token = RunTaskRequest {
        client_token: Some("again".to_owned()),
        ..run.clone()
    };
    let unknown = PlanRequest {
        one_more: Some(OneMore {
            like: Some("0".repeat(32)),
            ..OneMore::default()
        }),
        ..with(run.clone())
    };
    let sizeless = PlanRequest {
        one_more: Some(OneMore::default()),
        ..with(run.clone())
    };
    let verbose = PlanRequest {
        explain: Some(101),
        ..with(run)
    };
    for (request, says) in [
        (PlanRequest::default(), "runTask must be given."),
        (with(many), "count 10001 should be between 1 and 10000."),
        (
            with(token),
            "runTask.clientToken has no meaning in Plan, which starts nothing.",
        ),
        (unknown, "not found."),
        (sizeless, "oneMore.cpu must be given where oneMore.like is not."),
        (verbose, "explain 101 should be between 0 and 100."),
    ] {
        let answer = client.call("/berth.v1.Berth/Plan", request.encode_to_vec())?;
        let refusal = answer.err().with_context(|| format!("{says}: it was answered"))?;
        ensure!(fault_class(&refusal) == "InvalidParameterException", "{refusal}");
        ensure!(refusal.message().ends_with(says), "{refusal}");
    }
    Ok(())
}
