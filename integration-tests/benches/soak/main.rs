//! `make soak`: what grows under load, and what is lost. One host, the real daemons and a Docker Engine of its own:
//! 200 short tasks in waves, then tasks that crash and are replaced at once for ten minutes, then two event storms, one
//! while the agent is frozen. Prints figures, and fails where something is not flat.
//!
//! An argument is the length of the crash loop in seconds, for a shorter look.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

mod crash_loop;
mod footprint;
mod lags;
mod storms;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::docker::Stock;
use berth_integration_tests::{Cluster, Seen, TestBed, wait_until};
use serde_json::{Value, json};

use crate::footprint::{Footprint, Footprints, Subject};
use crate::lags::Lags;

const CRASH_LOOP: Duration = Duration::from_secs(600);
const CLUSTER: &str = "soak";
/// Containers of ended tasks are kept for so long and in such a number: what is there at most is known.
const RETENTION: Duration = Duration::from_secs(30);
const KEPT: usize = 20;
/// Idle threads of the agent's runtime end by themselves after 10 s.
const THREADS_LINGER: Duration = Duration::from_secs(15);
/// For all that is expected after the last task ended.
const CLEAN_UP: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    match soak() {
        Ok(problems) if problems.is_empty() => {
            println!("flat: nothing grew and nothing was lost");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| println!("NOT FLAT: {problem}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak() -> Result<Vec<String>> {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let span = given
        .map(|seconds| seconds.parse().map(Duration::from_secs))
        .transpose()
        .context("the argument is the length of the crash loop in seconds")?;
    eprintln!("making a host with a Docker Engine of its own");
    let bed = TestBed::new(CLUSTER, &["a"])?;
    let retention = format!("{}s", RETENTION.as_secs());
    let settings = Settings::with_arguments(&[
        "--stopped-container-retention",
        &retention,
        "--stopped-container-count",
        &KEPT.to_string(),
    ]);
    let mut cluster = Cluster::start_on(&bed, CLUSTER, &["a"], &settings)?;
    let subject = Subject::of(&mut cluster)?;
    let stock = bed.host("a")?.engine().stock()?;
    let mut footprints = Footprints::default();
    let mut problems = Vec::new();

    eprintln!("200 short tasks in waves");
    footprints.take("begin", &subject, &cluster)?;
    let lags = lags::waves(&cluster)?;
    footprints.take("after 200 tasks", &subject, &cluster)?;
    let crashes = crash_loop::run(&cluster, span.unwrap_or(CRASH_LOOP), &mut |moment, cluster| {
        footprints.take(moment, &subject, cluster)
    })?;
    problems.extend(crashes.problems());
    let storms = storms::run(&mut cluster)?;
    footprints.take("after the storms", &subject, &cluster)?;
    eprintln!("waiting until nothing is kept any more");
    wait_empty(&cluster, &stock)?;
    thread::sleep(THREADS_LINGER);
    footprints.take("end", &subject, &cluster)?;

    println!();
    footprints.print();
    println!();
    print_figures(&lags, &crashes, &storms);
    problems.extend(footprints.problems(crashes.alive() + KEPT, lags::TASKS + crashes.ended));
    problems.extend(lags.problems());
    Ok(problems)
}

/// Waits until Docker has what it had before the first task, and no more.
fn wait_empty(cluster: &Cluster, stock: &Stock) -> Result<()> {
    let engine = cluster.bed().host("a")?.engine();
    wait_until("Docker has what it had at the beginning", CLEAN_UP, || {
        let now = engine.stock()?;
        Ok(Seen::when(now == *stock, || {
            format!("{now}; at the beginning: {stock}")
        }))
    })?;
    let instance = cluster.instance_of("a")?;
    ensure!(
        instance["runningTasksCount"] == 0 && instance["pendingTasksCount"] == 0,
        "tasks still count: {instance}"
    );
    Ok(())
}

fn print_figures(lags: &Lags, crashes: &crash_loop::Crashes, storms: &storms::Storms) {
    for (what, times) in [("RUNNING", &lags.running), ("STOPPED", &lags.stopped)] {
        println!(
            "{what} readable after the container's own time, {} tasks: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
            times.len(),
            lags::quantile_ms(times, 0.5),
            lags::quantile_ms(times, 0.99),
            lags::quantile_ms(times, 1.0),
        );
    }
    println!(
        "crash loop of {} s: {} tasks ended and were replaced, {} restarts in place",
        crashes.span.as_secs(),
        crashes.ended,
        crashes.restarts
    );
    println!(
        "event storm beside a live agent: {} s; all states right {:.1} s after its end",
        storms.awake.as_secs(),
        storms.awake_settled.as_secs_f64()
    );
    println!(
        "event storm beside a frozen agent: {} s; all states right {:.1} s after it was resumed",
        storms.frozen.as_secs(),
        storms.frozen_settled.as_secs_f64()
    );
}

/// One small container without a network: what a network costs Docker is not the agent's.
fn definition(family: &str, script: &str) -> Value {
    json!({
        "family": family,
        "networkMode": "none",
        "containerDefinitions": [{
            "name": "app", "image": "busybox", "memory": 8, "cpu": 2, "stopTimeout": 1,
            "entryPoint": ["sh", "-c"], "command": [script],
        }],
    })
}

/// What a footprint is compared with, by its moment.
fn at<'f>(footprints: &'f [(String, Footprint)], moment: &str) -> Option<&'f Footprint> {
    let found = footprints.iter().find(|(of, _)| of == moment);
    found.map(|(_, footprint)| footprint)
}
