//! Containers that the agent starts, beside the same containers started through the raw Docker API: the same engine,
//! the same image, the same parallelism, in turns within one run. And what the agent uses when there is nothing to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use berth_integration_tests::docker::Engine;
use berth_integration_tests::{Cluster, TestBed};
use serde_json::{Value, json};

use crate::process;
use crate::table::Table;

/// Containers of one round.
const CONTAINERS: usize = 20;
/// Rounds of each kind; the medians are compared.
const ROUNDS: usize = 5;
/// Containers that run while the agent rests.
const RESTING: usize = 100;
/// Tasks of one RunTask.
const AT_ONCE: usize = 10;

/// Adds the agent's figures to the table.
///
/// # Errors
///
/// If the bed cannot be made or a container does not start.
pub(crate) fn measure(table: &mut Table, rest: Duration) -> Result<()> {
    eprintln!("making a host with a Docker Engine of its own");
    let bed = TestBed::new("bench", &["a"])?;
    let mut cluster = Cluster::start(&bed, "bench")?;
    let agent = cluster.agents.first_mut().context("no agent")?.daemon().pid()?;
    // As many as the agent starts at once unless it is told otherwise.
    let parallel = 2 * thread::available_parallelism()?.get();

    eprintln!("watching the idle agent for {} s", rest.as_secs());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let idle = runtime.block_on(process::watch(agent, rest))?;
    table.add("idle agent, resident", idle.resident_mib(), "MiB", "under 12");
    table.add("idle agent, CPU", idle.cpu_percent(), "% of a core", "under 0.5");

    eprintln!("starting {CONTAINERS} containers, {parallel} at a time, {ROUNDS} times in turns");
    let engine = bed.host("a")?.engine();
    let definition = cluster.register(&json!({
        "family": "bench",
        "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]}],
    }))?;
    let mut raw = Vec::new();
    let mut tasks = Vec::new();
    for round in 0..ROUNDS {
        raw.push(by_hand(engine, parallel, round)?);
        tasks.push(by_agent(&cluster, &definition)?);
    }
    let rate = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        u32::try_from(CONTAINERS).map(|count| f64::from(count) / median)
    };
    let (raw, tasks) = (rate(raw)?, rate(tasks)?);
    table.add("container starts, raw Docker API", raw, "starts/s", "");
    table.add("container starts, through the agent", tasks, "starts/s", "");
    table.add(
        "time of a start over the raw Docker API",
        100.0 * (raw / tasks - 1.0),
        "%",
        "under 5",
    );
    let after = runtime.block_on(process::watch(agent, Duration::from_secs(1)))?;
    table.add("agent after the starts, resident", after.resident_mib(), "MiB", "");

    eprintln!(
        "starting {RESTING} containers, and watching the agent for {} s",
        rest.as_secs()
    );
    let resting = run(&cluster, &definition, RESTING)?;
    // The machine calms down, and the containers are seen twice.
    thread::sleep(rest);
    let at_rest = runtime.block_on(process::watch(agent, rest))?;
    let (memory, cpu) = (at_rest.resident_mib(), at_rest.cpu_percent());
    table.add("agent with 100 containers, resident", memory, "MiB", "under 15");
    table.add("agent with 100 containers, CPU", cpu, "% of a core", "under 1");
    cluster.stop(&resting)?;
    cluster.wait_stopped(&resting).map(drop)
}

/// Runs tasks, and waits until the scheduler knows that all are RUNNING.
fn run(cluster: &Cluster, definition: &str, count: usize) -> Result<Vec<String>> {
    let mut arns = Vec::new();
    while arns.len() < count {
        arns.extend(cluster.run(definition, AT_ONCE.min(count - arns.len()), &json!({}))?);
    }
    cluster.wait_running(&arns)?;
    Ok(arns)
}

/// What the agent asks Docker for, as far as it costs anything.
fn spec() -> Value {
    json!({
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"Init": true, "Memory": 16 * 1024 * 1024, "CpuShares": 2, "NetworkMode": "bridge"},
    })
}

/// Seconds until all containers are started, `parallel` at a time.
fn by_hand(engine: &Engine, parallel: usize, round: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let work = || -> Result<Vec<String>> {
        let mut ids = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CONTAINERS {
                return Ok(ids);
            }
            ids.push(engine.run(&format!("raw-{round}-{number}"), &spec())?);
        }
    };
    let ids: Result<Vec<Vec<String>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Result<Vec<String>>>| {
            worker.join().map_err(|_| anyhow!("a worker panicked"))?
        };
        workers.into_iter().map(join).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    for id in ids?.into_iter().flatten() {
        engine.remove(&id)?;
    }
    Ok(seconds)
}

/// Seconds from the first RunTask until the scheduler knows that all tasks are RUNNING.
fn by_agent(cluster: &Cluster, definition: &str) -> Result<f64> {
    let started = Instant::now();
    let arns = run(cluster, definition, CONTAINERS)?;
    let seconds = started.elapsed().as_secs_f64();
    cluster.stop(&arns)?;
    cluster.wait_stopped(&arns)?;
    let engine = cluster.bed().host("a")?.engine();
    for container in cluster.containers()? {
        engine.remove(container.id())?;
    }
    Ok(seconds)
}
