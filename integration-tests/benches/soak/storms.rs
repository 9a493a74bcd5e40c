//! Event storms: beside a live agent while tasks run and end, and beside one that is frozen, so that Docker drops what
//! nobody takes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::storm::{Storm, unknown_task};
use berth_integration_tests::{Cluster, Seen, wait_until};
use serde_json::json;

use crate::definition;

/// Tasks that run all the time.
const STEADY: usize = 8;
/// Tasks that end in the storm.
const SHORT: usize = 20;
const STRANGERS: usize = 600;
const ROUNDS: usize = 60;
/// Freezes of each of four containers, two events each: 2,000, more than the 1,024 that Docker keeps for one that does not
/// read and what the socket holds besides.
const FROZEN_ROUNDS: usize = 250;
/// An end that no event told is known after one list of containers, every 20 s; an orphan is stopped after two.
const SETTLED: Duration = Duration::from_secs(75);

/// How long each storm took, and how long it took until every state was right.
#[derive(Debug)]
pub(crate) struct Storms {
    pub(crate) awake: Duration,
    pub(crate) awake_settled: Duration,
    pub(crate) frozen: Duration,
    pub(crate) frozen_settled: Duration,
}

/// Both storms.
///
/// # Errors
///
/// If a state is not right in time.
pub(crate) fn run(cluster: &mut Cluster) -> Result<Storms> {
    let steady = cluster.register(&definition(
        "steady",
        "trap '' USR1; echo ready; while :; do sleep 1; done",
    ))?;
    let steady = cluster.run(&steady, STEADY, &json!({}))?;
    cluster.wait_running(&steady)?;
    let containers = steady
        .iter()
        .map(|arn| Ok(cluster.container(arn, "app")?.id().to_owned()))
        .collect::<Result<Vec<String>>>()?;
    let engine = cluster.bed().host("a")?.engine();
    containers.iter().try_for_each(|id| engine.wait_printed(id, "ready"))?;
    let instance = cluster.instance_of("a")?;
    let arn = instance["containerInstanceArn"].as_str().unwrap_or_default();
    let instance = arn.rsplit('/').next().unwrap_or_default();
    let (signalled, frozen) = containers.split_at(STEADY / 2);

    eprintln!("an event storm: {STRANGERS} containers made and removed, signals and freezes");
    let (awake, awake_settled) = {
        let storm = Storm {
            instance,
            strangers: STRANGERS,
            signalled,
            frozen,
            rounds: ROUNDS,
        };
        beside_a_live_agent(cluster, &storm)?
    };
    eprintln!("an event storm beside a frozen agent");
    let storm = Storm {
        instance,
        strangers: 0,
        signalled: &[],
        frozen,
        rounds: FROZEN_ROUNDS,
    };
    let agent = |cluster: &mut Cluster, freeze: bool| {
        let daemon = cluster.agents.first_mut().context("no agent")?.daemon();
        if freeze { daemon.freeze() } else { daemon.resume() }
    };
    agent(cluster, true)?;
    let started = Instant::now();
    let engine = cluster.bed().host("a")?.engine();
    storm.blow(engine)?;
    // Behind its back half of the tasks go: one is removed, the next killed, and so on.
    for (at, container) in signalled.iter().enumerate() {
        if at % 2 == 0 {
            engine.remove(container)?;
        } else {
            engine.signal(container, "KILL")?;
        }
    }
    let frozen = started.elapsed();
    agent(cluster, false)?;
    let resumed = Instant::now();
    let (gone, living) = steady.split_at(STEADY / 2);
    cluster.wait_connected(1)?;
    cluster.wait_stopped(gone)?;
    cluster.wait_running(living)?;
    let frozen_settled = resumed.elapsed();
    cluster.stop_everything()?;
    Ok(Storms {
        awake,
        awake_settled,
        frozen,
        frozen_settled,
    })
}

/// Blows while tasks start and end; an orphan with our labels, which runs, is stopped and removed by the end.
fn beside_a_live_agent(cluster: &Cluster, storm: &Storm<'_>) -> Result<(Duration, Duration)> {
    let engine = cluster.bed().host("a")?.engine();
    let short = cluster.register(&definition("short", "sleep 1; exit 7"))?;
    let orphan = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": unknown_task(storm.instance, usize::MAX),
    });
    let orphan = engine.run("orphan", &orphan)?;
    let started = Instant::now();
    let ended = thread::scope(|scope| {
        let storm = scope.spawn(|| storm.blow(engine));
        let mut ended = Vec::new();
        while ended.len() < SHORT {
            ended.extend(cluster.run(&short, SHORT / 4, &json!({}))?);
            cluster.wait_stopped(&ended)?;
        }
        storm.join().map_err(|_| anyhow!("the storm panicked"))??;
        anyhow::Ok(ended)
    })?;
    let took = started.elapsed();
    let over = Instant::now();
    for task in cluster.wait_stopped(&ended)? {
        ensure!(container_of(&task, "app")?["exitCode"] == 7, "not exit code 7: {task}");
    }
    wait_until("the orphan is stopped", SETTLED.max(SOON), || {
        let runs = engine
            .containers("")?
            .iter()
            .any(|c| c.id() == orphan && c.is_running());
        Ok(Seen::when(!runs, || "it runs".to_owned()))
    })?;
    Ok((took, over.elapsed()))
}
