//! What each record of the scheduler's journal made of a service.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use berth_model::status::{DesiredStatus, HealthStatus, TaskStatus};
use berth_scheduler::journal::embedded::Embedded;
use berth_scheduler::journal::{Found, Journal};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::{State, Task};
use berth_scheduler_core::target::TargetHealth;

const READ_AT_ONCE: usize = 256;

/// A service as of one revision.
#[derive(Debug)]
pub struct Look {
    /// Which.
    pub revision: Revision,
    /// When it was made.
    pub at: SystemTime,
    /// Tasks that run, are meant to, and pass their health checks: those of containers or of gateways.
    pub healthy: usize,
    /// Tasks that are meant to run and are on their way to it or do.
    pub wanted: usize,
}

/// The service after each record, from the journal of a scheduler that does not run.
///
/// # Errors
///
/// If there is no journal, or it does not begin with its first record.
pub fn of_service(data_dir: &Path, name: &str) -> Result<Vec<Look>> {
    let mut state = State::default();
    let mut looks = Vec::new();
    each_record(data_dir, |record| {
        fold_record(&mut state, record);
        let millis = record.entries.iter().map(|entry| entry.at.as_millis()).max();
        let since = Duration::from_millis(millis.and_then(|at| u64::try_from(at).ok()).unwrap_or(0));
        looks.extend(look(&state, name, UNIX_EPOCH + since));
    })?;
    Ok(looks)
}

/// All records, in order, from the journal of a scheduler that does not run.
///
/// # Errors
///
/// If there is no journal, or it does not begin with its first record.
pub fn each_record(data_dir: &Path, mut tell: impl FnMut(&Record)) -> Result<()> {
    // Whoever opens the file itself may hold it for a moment longer, and the scheduler could not start.
    let copy = data_dir.join("journal-to-read.redb");
    fs::copy(data_dir.join("journal.redb"), &copy).context("copy the journal")?;
    let journal = Embedded::open(&copy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut next = Revision(1);
        loop {
            let Found::Records(records) = journal.read(next, READ_AT_ONCE).await? else {
                bail!("the journal does not begin with its first record");
            };
            if records.is_empty() {
                return Ok(());
            }
            for (revision, bytes) in records {
                tell(&serde_json::from_slice(&bytes)?);
                next = revision.next();
            }
        }
    })
}

fn look(state: &State, name: &str, at: SystemTime) -> Option<Look> {
    let service = state.services().find(|service| service.name.as_str() == name)?;
    let meant = || {
        let tasks = state.live_tasks_of(service);
        tasks.filter(|task| task.desired == DesiredStatus::Running)
    };
    Some(Look {
        revision: state.revision(),
        at,
        healthy: meant()
            .filter(|task| task.last == TaskStatus::Running && is_healthy(task))
            .count(),
        wanted: meant().count(),
    })
}

fn is_healthy(task: &Task) -> bool {
    match &task.target {
        Some(target) => target.health == TargetHealth::Healthy,
        None => task.health(|_| true) == HealthStatus::Healthy,
    }
}
