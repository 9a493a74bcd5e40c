//! A million tasks that run on 10,000 instances: what the scheduler holds, what a snapshot costs those who ask meanwhile, and
//! how long a scheduler that was killed takes to serve again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::fleet::Fleet;
use crate::load::{self, Load};
use crate::process::{self, Scheduler, Usage};
use crate::table::Table;

const INSTANCES: usize = 10_000;
const TASKS: usize = 1_000_000;
/// Tasks that an instance has room for.
const ROOM: u32 = 128;
/// Instances that come after the restart.
const NEW: usize = 200;
const CLIENTS: usize = 32;
/// Tasks of a call.
const COUNT: i32 = 10;
/// How long the calls that are measured go on, where nothing else ends them.
const SPAN: Duration = Duration::from_secs(10);
/// How long a scheduler is left alone before its memory is looked at.
const SETTLES: Duration = Duration::from_secs(3);
/// How long what was run takes to be recorded as running, and a snapshot to come, at most.
const PATIENCE: Duration = Duration::from_secs(300);
const SNAPSHOT: &str = "snapshot written";

/// Adds the rows.
///
/// # Errors
///
/// If the scheduler does not start, a call fails, or something takes longer than it may.
pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let mut scheduler = Scheduler::start(None)?;
    let url = [scheduler.url()];
    load::prepare(&url[0]).await?;
    let empty = process::watch(scheduler.pid(), SETTLES).await?;
    eprintln!("connecting {INSTANCES} simulated instances");
    let fleet = Fleet::connect(&url, 0..INSTANCES, ROOM, true).await?;
    let joined = process::watch(scheduler.pid(), SETTLES).await?;
    table.add("10,000 instances connected: resident", joined.resident_mib(), "MiB", "");
    table.add(
        "  of an instance, with its stream",
        kib_each(&empty, &joined, INSTANCES),
        "KiB",
        "",
    );
    eprintln!("running {TASKS} tasks");
    let calls = TASKS / CLIENTS / usize::try_from(COUNT)?;
    let filled = load::so_many(&url[0], CLIENTS, COUNT, calls).await?;
    table.add(
        "a million tasks: run at",
        filled.per_second() * f64::from(COUNT),
        "tasks/s",
        "",
    );
    fleet.wait_recorded(PATIENCE).await?;
    let rest = process::watch(scheduler.pid(), SPAN).await?;
    table.add(
        "a million tasks: scheduler, resident",
        rest.resident_mib(),
        "MiB",
        "under 1536",
    );
    table.add("  of a task", kib_each(&joined, &rest, TASKS), "KiB", "");
    table.add("a million tasks: scheduler, CPU", rest.cpu_percent(), "% of a core", "");
    table.add("a million tasks: journal", scheduler.journal_mib()?, "MiB", "");
    add_calls(
        table,
        "a million tasks: RunTask",
        &load::one_by_one_for(&url[0], || false, SPAN).await?,
    );
    drop(fleet);

    scheduler.kill()?;
    let killed = Instant::now();
    scheduler.start_again()?;
    let served = killed.elapsed().as_secs_f64();
    table.add("a million tasks: restart until it serves", served, "s", "under 10");
    let after = process::watch(scheduler.pid(), Duration::from_secs(1)).await?;
    table.add(
        "a million tasks: resident after the restart",
        after.resident_mib(),
        "MiB",
        "under 1536",
    );

    // It has so much that is in no snapshot that it begins with one. The instances have not come back: a few others have.
    let fleet = Fleet::connect(&url, INSTANCES..INSTANCES + NEW, ROOM, true).await?;
    let is_written = || scheduler.logged(SNAPSHOT).is_ok_and(|times| times > 0);
    ensure!(!is_written(), "the snapshot was written before anybody asked");
    let beside = load::one_by_one_for(&url[0], is_written, PATIENCE).await?;
    ensure!(is_written(), "no snapshot in {} s", PATIENCE.as_secs());
    add_calls(table, "while a snapshot of them is written: RunTask", &beside);
    drop(fleet);
    Ok(())
}

/// What each of so many has added.
#[expect(clippy::cast_precision_loss, reason = "a million")]
fn kib_each(before: &Usage, after: &Usage, count: usize) -> f64 {
    (after.resident_mib() - before.resident_mib()) * 1024.0 / count as f64
}

fn add_calls(table: &mut Table, what: &str, load: &Load) {
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        table.add(&format!("{what}, {name}"), load.quantile_ms(share), "ms", "");
    }
}
