//! Containers that the agent starts, beside the same containers started through the raw Docker API: the same engine,
//! the same create request, the same parallelism, in turns within one run. And what the agent uses when there is nothing
//! to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use berth_integration_tests::docker::{Container, Engine};
use berth_integration_tests::{Cluster, TestBed};
use serde_json::{Map, Value, json};

use crate::process;
use crate::table::Table;

/// Containers of one round.
const CONTAINERS: usize = 40;
/// Rounds of each kind, raw and agent first in turns; the medians are compared. Single rounds differ by 7 %.
const ROUNDS: usize = 16;
/// Containers that run while the agent rests.
const RESTING: usize = 100;
/// Tasks of one RunTask.
const AT_ONCE: usize = 10;
/// Until all containers of a round run.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks at the cluster, for each task that does not run yet. A look takes a millisecond of the cores that the
/// starts need, and how late the last one comes is in the figure: so looks are rare at first and close at the end.
const LOOK: Duration = Duration::from_millis(5);
/// Between two looks, when few are left.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

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

    eprintln!("watching the idle agent for {} s", rest.as_secs());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let idle = runtime.block_on(process::watch(agent, rest))?;
    table.add("idle agent, resident", idle.resident_mib(), "MiB", "under 12");
    table.add("idle agent, CPU", idle.cpu_percent(), "% of a core", "under 0.5");

    let definition = cluster.register(&json!({
        "family": "bench",
        "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]}],
    }))?;
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
    cluster.wait_stopped(&resting)?;
    let engine = bed.host("a")?.engine();
    for container in cluster.containers()? {
        engine.remove(container.id())?;
    }

    compare(table, &cluster, &definition, agent)?;
    let after = runtime.block_on(process::watch(agent, Duration::from_secs(1)))?;
    table.add("agent after the starts, resident", after.resident_mib(), "MiB", "");
    Ok(())
}

/// Starts containers by hand and by the agent in turns.
fn compare(table: &mut Table, cluster: &Cluster, definition: &str, agent: u32) -> Result<()> {
    // As many as the agent starts at once unless it is told otherwise.
    let parallel = 2 * thread::available_parallelism()?.get();
    eprintln!("starting {CONTAINERS} containers, {parallel} at a time, {ROUNDS} times in turns");
    let engine = cluster.bed().host("a")?.engine();
    let spec = spec(cluster, definition)?;
    let (mut raw, mut tasks) = (Vec::new(), Vec::new());
    let mut cpu_seconds = 0.0;
    for round in 0..ROUNDS {
        // What drifts in the course of a run falls to both alike.
        let raw_first = round % 2 == 0;
        if raw_first {
            raw.push(by_hand(engine, parallel, round, &spec)?);
        }
        let before = process::cpu_seconds(agent)?;
        tasks.push(by_agent(cluster, definition)?);
        cpu_seconds += process::cpu_seconds(agent)? - before;
        if !raw_first {
            raw.push(by_hand(engine, parallel, round, &spec)?);
        }
    }
    let rate = |times: Vec<f64>| u32::try_from(CONTAINERS).map(|count| f64::from(count) / median(times));
    let (raw, tasks) = (rate(raw)?, rate(tasks)?);
    table.add("container starts, raw Docker API", raw, "starts/s", "");
    table.add("container starts, through the agent", tasks, "starts/s", "");
    let longer = 100.0 * (raw / tasks - 1.0);
    table.add("time of a start over the raw Docker API", longer, "%", "under 5");
    let starts = f64::from(u32::try_from(ROUNDS * CONTAINERS)?);
    let cpu = 1000.0 * cpu_seconds / starts;
    table.add("agent's CPU of a start and its stop", cpu, "ms", "");
    Ok(())
}

/// The middle of the figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let (below, above) = ((figures.len().max(1) - 1) / 2, figures.len() / 2);
    match (figures.get(below), figures.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => f64::NAN,
    }
}

/// Runs tasks, and waits until the scheduler knows that all are RUNNING.
fn run(cluster: &Cluster, definition: &str, count: usize) -> Result<Vec<String>> {
    let before = running(cluster)?;
    let mut arns = Vec::new();
    while arns.len() < count {
        arns.extend(cluster.run(definition, AT_ONCE.min(count - arns.len()), &json!({}))?);
    }
    let begun = Instant::now();
    loop {
        let run = running(cluster)?.saturating_sub(before);
        let left = u32::try_from(count.saturating_sub(run))?;
        if left == 0 {
            return Ok(arns);
        }
        ensure!(
            begun.elapsed() < DEADLINE,
            "{left} of {count} tasks are not RUNNING in time"
        );
        thread::sleep((LOOK * left).max(SHORTEST_LOOK));
    }
}

/// The cluster's tasks that are RUNNING: one number, where describing them would cost as much as some starts.
fn running(cluster: &Cluster) -> Result<usize> {
    let input = json!({"clusters": [cluster.name()]});
    let answer = cluster.ecs().call("DescribeClusters", &input)?;
    let count = answer["clusters"][0]["runningTasksCount"].as_u64();
    Ok(usize::try_from(count.context("no runningTasksCount")?)?)
}

/// What the agent asks Docker for: what Docker shows of a container of its making, as a create request for others.
fn spec(cluster: &Cluster, definition: &str) -> Result<Value> {
    let arns = run(cluster, definition, 1)?;
    let arn = arns.first().context("no task")?;
    let made = cluster.container(arn, "app")?;
    let spec = request_of(&made)?;
    cluster.stop(&arns)?;
    cluster.wait_stopped(&arns)?;
    cluster.bed().host("a")?.engine().remove(made.id())?;
    Ok(spec)
}

fn request_of(made: &Container) -> Result<Value> {
    let config = made.inspect["Config"].as_object().context("no Config")?;
    let mut request = config.clone();
    // Docker made it from the container's id.
    request.remove("Hostname");
    request.insert("HostConfig".to_owned(), made.inspect["HostConfig"].clone());
    // By its own labels the agent would know it.
    let labels = config.get("Labels").and_then(Value::as_object).context("no labels")?;
    let foreign: Map<String, Value> = labels
        .iter()
        .map(|(name, value)| (format!("raw.{name}"), value.clone()))
        .collect();
    request.insert("Labels".to_owned(), Value::Object(foreign));
    Ok(Value::Object(request))
}

/// The request for one container, with a control group of its own around it, as a task has.
fn numbered(spec: &Value, name: &str) -> Value {
    let mut spec = spec.clone();
    let parent = spec["HostConfig"]["CgroupParent"].as_str().unwrap_or_default();
    if let Some((tasks, _)) = parent.rsplit_once('/') {
        spec["HostConfig"]["CgroupParent"] = format!("{tasks}/{name}").into();
    }
    spec
}

/// Seconds until all containers are started, `parallel` at a time.
fn by_hand(engine: &Engine, parallel: usize, round: usize, spec: &Value) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let work = || -> Result<Vec<String>> {
        let mut ids = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CONTAINERS {
                return Ok(ids);
            }
            let name = format!("raw-{round}-{number}");
            ids.push(engine.run(&name, &numbered(spec, &name))?);
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
