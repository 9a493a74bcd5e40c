//! RunTask by many clients with 10,000 instances: on a journal in a file and on one in etcd, at one scheduler and at three.

use anyhow::Result;

use crate::etcd::Etcd;
use crate::fleet::{Fleet, PLENTY};
use crate::process::Scheduler;
use crate::table::Table;
use crate::{CLIENTS, LOAD, load};

const INSTANCES: usize = 10_000;
/// Members of etcd, all on this machine's disk.
const MEMBERS: usize = 3;

/// Adds a row for each journal and size of a call.
///
/// # Errors
///
/// If anything does not start, or a call fails.
pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    for (name, members, schedulers) in [
        ("a file", 0, 1),
        ("etcd, 1 scheduler", MEMBERS, 1),
        ("etcd, 3 schedulers", MEMBERS, 3),
    ] {
        let etcd = (members > 0).then(|| Etcd::start(members)).transpose()?;
        let journal = etcd.as_ref().map(Etcd::journal);
        let schedulers: Vec<Scheduler> = (0..schedulers)
            .map(|_| Scheduler::start(journal.as_deref()))
            .collect::<Result<_>>()?;
        let urls: Vec<String> = schedulers.iter().map(Scheduler::url).collect();
        load::prepare(&urls[0]).await?;
        eprintln!("journal in {name}: connecting {INSTANCES} simulated instances");
        let fleet = Fleet::connect(&urls, 0..INSTANCES, PLENTY, false).await?;
        for (count, unit) in [(1, "calls/s"), (10, "tasks/s")] {
            let load = load::together(&urls, CLIENTS, count, LOAD).await?;
            let row = format!("RunTask, count {count}, journal in {name}");
            table.add(&row, load.per_second() * f64::from(count), unit, "");
            table.add(&format!("{row}, p99"), load.quantile_ms(0.99), "ms", "");
        }
        drop(fleet);
    }
    Ok(())
}
