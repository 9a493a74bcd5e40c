//! `make bench`: what the daemons do, in one table, measured in one run on this machine.
//!
//! The scheduler is the real process with its journal on disk, driven over gRPC on loopback; its 1,000 instances are
//! streams of this process that take their assignments and acknowledge them, and report nothing. Clients, instances
//! and scheduler share the machine's cores. The agent and the raw Docker API start the same containers on the same
//! engine, in turns, and so do a service of Berth and one of Docker Swarm. `scheduler`, `journals`, `million`, `agent` or
//! `swarm` as an argument measures that part alone.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

mod etcd;
mod fleet;
mod journals;
mod load;
mod million;
mod process;
mod starts;
mod swarm;
mod table;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::binaries;
use tokio::runtime::Builder;

use crate::fleet::{Fleet, PLENTY};
use crate::process::Scheduler;
use crate::table::Table;

const INSTANCES: usize = 1000;
const CLIENTS: usize = 64;
/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(10);
/// How long the idle daemons are watched.
const REST: Duration = Duration::from_secs(20);
/// Calls of the idle scheduler.
const IDLE_CALLS: usize = 2000;

fn main() -> Result<()> {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    // A bench is built as a release is: what only tests may have is not in it.
    for program in ["berth-agent", "berth-scheduler", "berth"] {
        let path = binaries::path(program)?;
        ensure!(!binaries::has_fail_points(&path)?, "{} has fail points", path.display());
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wants = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let mut table = Table::default();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("make a runtime")?;
    if wants("scheduler") {
        runtime.block_on(measure_scheduler(&mut table))?;
    }
    if wants("journals") {
        runtime.block_on(journals::measure(&mut table))?;
    }
    if wants("million") {
        runtime.block_on(million::measure(&mut table))?;
    }
    if wants("agent") {
        starts::measure(&mut table, REST)?;
    }
    if !table.is_empty() {
        table.print();
    }
    if wants("swarm") {
        swarm::measure()?;
    }
    Ok(())
}

async fn measure_scheduler(table: &mut Table) -> Result<()> {
    let scheduler = Scheduler::start(None)?;
    let urls = [scheduler.url()];
    load::prepare(&urls[0]).await?;

    eprintln!("watching the idle scheduler for {} s", REST.as_secs());
    let rest = process::watch(scheduler.pid(), REST).await?;
    table.add("idle scheduler, resident", rest.resident_mib(), "MiB", "under 20");
    table.add("idle scheduler, CPU", rest.cpu_percent(), "% of a core", "under 0.5");

    eprintln!("connecting {INSTANCES} simulated instances");
    let fleet = Fleet::connect(&urls, 0..INSTANCES, PLENTY, false).await?;
    let idle = load::one_by_one(&urls[0], IDLE_CALLS).await?;
    table.add(
        "RunTask, idle cluster, durable, p50",
        idle.quantile_ms(0.5),
        "ms",
        "under 1",
    );
    table.add(
        "RunTask, idle cluster, durable, p99",
        idle.quantile_ms(0.99),
        "ms",
        "under 10",
    );

    for (count, bar) in [(1, "at least 10000"), (10, "at least 50000")] {
        eprintln!(
            "{CLIENTS} clients call RunTask with count {count} for {} s",
            LOAD.as_secs()
        );
        let before = process::cpu_seconds(scheduler.pid())?;
        let load = load::together(&urls, CLIENTS, count, LOAD).await?;
        let cpu = process::cpu_seconds(scheduler.pid())? - before;
        let rate = load.per_second() * f64::from(count);
        let (name, unit) = match count {
            1 => ("RunTask, 64 clients, count 1", "calls/s"),
            _ => ("RunTask, 64 clients, count 10", "tasks/s"),
        };
        table.add(name, rate, unit, bar);
        table.add(&format!("{name}, p99"), load.quantile_ms(0.99), "ms", "");
        let tasks = load.calls() * f64::from(count);
        table.add(&format!("{name}, scheduler's CPU"), 1e6 * cpu / tasks, "us/task", "");
    }
    let assigned = fleet.assigned();
    table.add("tasks that the instances were sent", assigned, "", "");
    let after = process::watch(scheduler.pid(), Duration::from_secs(1)).await?;
    table.add("scheduler after the load, resident", after.resident_mib(), "MiB", "");
    Ok(())
}
