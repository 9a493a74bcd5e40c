//! A service of Berth beside one of Docker Swarm: the same engine, image, command and count, in turns within one run.
//!
//! Both are asked for the same: so many tasks; and for the update so many new ones at a time, each healthy by the same
//! check before an old one goes. What differs is printed with the figures.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::docker::Engine;
use berth_integration_tests::{Cluster, TestBed};
use serde_json::{Value, json};

use crate::starts::median;

/// Tasks of a service.
const TASKS: u32 = 20;
/// Tasks that are updated at a time.
const PARALLEL: u32 = 5;
/// Rounds of each kind, each side first in turns.
const ROUNDS: usize = 3;
/// Until a service is as it was asked to be.
const DEADLINE: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Ends at once when it is told to.
const SCRIPT: &str = "trap 'exit 0' TERM; sleep 1000 & wait";
/// Seconds between health checks, and before the first.
const CHECK_INTERVAL: u64 = 5;

/// What the figures are of.
const SAME_AND_NOT: &str = "\
Medians of rounds in turns, on one host and one Docker Engine, with the image there. An update ends when all tasks are of
the new release and healthy, and none of the old runs. Of both the first check of a container is 5 s after its start.
Swarm: start-first, no delay; its monitoring after an update is not in the time. Berth: minimumHealthyPercent 100, and
maximumPercent for as many more; without a check ECS waits 40 s for each task, which is why these have one. Berth makes
each step durable, and adds a control group around each task; Swarm's manager is part of the engine.";

/// Seconds of each round.
#[derive(Debug, Default)]
struct Times {
    create: Vec<f64>,
    update: Vec<f64>,
}

/// Measures both and prints them side by side.
///
/// # Errors
///
/// If the bed cannot be made or a service does not become what it was asked to be.
pub(crate) fn measure() -> Result<()> {
    eprintln!("making a host with a Docker Engine of its own, and a swarm of it");
    let bed = TestBed::new("swarm", &["a"])?;
    let settings = Settings::with_arguments(&["--image-pull-behavior", "prefer-cached"]);
    let cluster = Cluster::start_on(&bed, "swarm", &["a"], &settings)?;
    let host = bed.host("a")?;
    host.engine().begin_swarm(host.address())?;
    let image = host.engine().image("busybox")?.context("no image")?;
    let (mut berth, mut swarm) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        eprintln!(
            "round {} of {ROUNDS}: {TASKS} tasks, then {PARALLEL} updated at a time",
            round + 1
        );
        if round % 2 == 0 {
            of_berth(&cluster, &mut berth)?;
            of_swarm(host.engine(), &image, &mut swarm)?;
        } else {
            of_swarm(host.engine(), &image, &mut swarm)?;
            of_berth(&cluster, &mut berth)?;
        }
    }
    print(berth, swarm);
    Ok(())
}

fn print(berth: Times, swarm: Times) {
    eprintln!("  Berth: {berth:?}\n  Docker Swarm: {swarm:?}");
    println!("\n| what, seconds | Berth | Docker Swarm |\n| --- | ---: | ---: |");
    for (what, berth, swarm) in [
        (
            format!("a service of {TASKS} tasks, from the call until all run"),
            berth.create,
            swarm.create,
        ),
        (
            format!("a rolling update of {TASKS} tasks, {PARALLEL} at a time"),
            berth.update,
            swarm.update,
        ),
    ] {
        println!("| {what} | {:.2} | {:.2} |", median(berth), median(swarm));
    }
    println!("\n{SAME_AND_NOT}");
}

/// Looks until it is so; gives the seconds since `begun`.
fn until(begun: Instant, what: &str, is: impl Fn() -> Result<bool>) -> Result<f64> {
    loop {
        if is()? {
            return Ok(begun.elapsed().as_secs_f64());
        }
        ensure!(begun.elapsed() < DEADLINE, "not in time: {what}");
        thread::sleep(LOOK);
    }
}

fn of_berth(cluster: &Cluster, times: &mut Times) -> Result<()> {
    let plain = register(cluster, None, "1")?;
    let create = |name: &str, definition: &str| {
        let input = json!({
            "cluster": cluster.name(), "serviceName": name, "taskDefinition": definition, "desiredCount": TASKS,
            "deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100 + 100 * PARALLEL / TASKS},
        });
        cluster.ecs().call("CreateService", &input)
    };
    let running = |name: &str| deployments_are(cluster, name, |only| only["runningCount"] == json!(TASKS));
    let begun = Instant::now();
    create("plain", &plain)?;
    times.create.push(until(begun, "all tasks run", || running("plain"))?);
    remove(cluster, "plain")?;

    let complete = |name: &str| deployments_are(cluster, name, |only| only["rolloutState"] == "COMPLETED");
    create("checked", &register(cluster, Some(CHECK_INTERVAL), "1")?)?;
    until(Instant::now(), "the service is complete", || complete("checked"))?;
    let new = register(cluster, Some(CHECK_INTERVAL), "2")?;
    let begun = Instant::now();
    let input = json!({"cluster": cluster.name(), "service": "checked", "taskDefinition": new});
    cluster.ecs().call("UpdateService", &input)?;
    times
        .update
        .push(until(begun, "the update is complete", || complete("checked"))?);
    remove(cluster, "checked")
}

/// A definition whose container is told the release, and checked so often if at all.
fn register(cluster: &Cluster, check: Option<u64>, release: &str) -> Result<String> {
    let mut container = json!({
        "name": "app", "image": "busybox", "memory": 16, "command": ["sh", "-c", SCRIPT],
        "environment": [{"name": "RELEASE", "value": release}],
    });
    if let Some(interval) = check {
        container["healthCheck"] =
            json!({"command": ["CMD", "true"], "interval": interval, "timeout": 5, "retries": 3});
    }
    cluster.register(&json!({"family": "beside", "containerDefinitions": [container]}))
}

/// Whether the service has one deployment and that is so.
fn deployments_are(cluster: &Cluster, name: &str, is: impl Fn(&Value) -> bool) -> Result<bool> {
    let input = json!({"cluster": cluster.name(), "services": [name]});
    let described = cluster.ecs().call("DescribeServices", &input)?;
    let deployments = described["services"][0]["deployments"].as_array();
    Ok(deployments.is_some_and(|all| all.len() == 1 && is(&all[0])))
}

/// Deletes the service, and waits until nothing of it is left, in Docker neither.
fn remove(cluster: &Cluster, name: &str) -> Result<()> {
    let input = json!({"cluster": cluster.name(), "service": name, "force": true});
    cluster.ecs().call("DeleteService", &input)?;
    let input = json!({"cluster": cluster.name(), "services": [name]});
    until(Instant::now(), "the service is gone", || {
        let described = cluster.ecs().call("DescribeServices", &input)?;
        Ok(described["services"][0]["status"] == "INACTIVE")
    })?;
    for container in cluster.containers()? {
        cluster.bed().host("a")?.engine().remove(container.id())?;
    }
    Ok(())
}

fn of_swarm(engine: &Engine, image: &str, times: &mut Times) -> Result<()> {
    let running = |service: &str, release: &str| -> Result<bool> {
        let tasks = engine.service_tasks(service)?;
        let runs = |task: &&Value| task["Status"]["State"] == "running";
        let wanted = json!([format!("RELEASE={release}")]);
        let of_release = |task: &&Value| task["Spec"]["ContainerSpec"]["Env"] == wanted;
        let all = tasks.iter().filter(runs).count();
        let new = tasks.iter().filter(runs).filter(of_release).count();
        let count = usize::try_from(TASKS)?;
        Ok((all, new) == (count, count))
    };
    let begun = Instant::now();
    let plain = engine.create_service(&service_spec("plain", image, None, "1"))?;
    times
        .create
        .push(until(begun, "all tasks run", || running(&plain, "1"))?);
    gone(engine, &plain)?;

    let checked = engine.create_service(&service_spec("checked", image, Some(CHECK_INTERVAL), "1"))?;
    until(Instant::now(), "all tasks are healthy", || running(&checked, "1"))?;
    let begun = Instant::now();
    engine.update_service(&checked, &service_spec("checked", image, Some(CHECK_INTERVAL), "2"))?;
    times
        .update
        .push(until(begun, "the update is complete", || running(&checked, "2"))?);
    gone(engine, &checked)
}

/// What the definition and the service of Berth say, in Docker's words. A task with a check runs once that has passed.
fn service_spec(name: &str, image: &str, check: Option<u64>, release: &str) -> Value {
    let mut container = json!({
        // By its id: no registry is asked for it.
        "Image": image, "Command": ["sh", "-c", SCRIPT], "Env": [format!("RELEASE={release}")], "Init": true,
    });
    if let Some(interval) = check {
        let nanoseconds = |seconds: u64| seconds * 1_000_000_000;
        container["Healthcheck"] = json!({
            "Test": ["CMD", "true"], "Interval": nanoseconds(interval), "Timeout": nanoseconds(5), "Retries": 3,
        });
    }
    json!({
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"MemoryBytes": 16 << 20}},
            "RestartPolicy": {"Condition": "none"},
        },
        "Mode": {"Replicated": {"Replicas": TASKS}},
        "UpdateConfig": {"Parallelism": PARALLEL, "Order": "start-first", "Delay": 0},
    })
}

/// Removes the service, and waits until its containers are gone.
fn gone(engine: &Engine, service: &str) -> Result<()> {
    engine.remove_service(service)?;
    let label = format!("com.docker.swarm.service.id={service}");
    until(Instant::now(), "the service is gone", || {
        Ok(engine.containers(&label)?.is_empty())
    })
    .map(drop)
}
