//! The scheduler as a process of its own, and what a process uses.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use berth_integration_tests::process::resident_kib;
use berth_integration_tests::{binaries, files};

use crate::etcd::{free_address, wait_open};

/// A scheduler on loopback; it goes with its data when it is dropped.
#[derive(Debug)]
pub(crate) struct Scheduler {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    journal: Option<String>,
}

impl Scheduler {
    /// Starts it with a journal of its own, or with the one in etcd, and waits until its port is open.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(crate) fn start(journal: Option<&str>) -> Result<Self> {
        let address = free_address()?;
        let data = files::target_dir()?.join(format!("bench-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
        let journal = journal.map(str::to_owned);
        let child = launch(address, &data, journal.as_deref())?;
        let scheduler = Self {
            child,
            address,
            data,
            journal,
        };
        wait_open(address)?;
        Ok(scheduler)
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .context("kill the scheduler")?;
        Ok(())
    }

    /// Starts it again on its data and waits until its port is open, which is when it has recovered its state.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.child = launch(self.address, &self.data, self.journal.as_deref())?;
        wait_open(self.address)
    }

    /// How often it has logged the text since its start.
    ///
    /// # Errors
    ///
    /// If its log cannot be read.
    pub(crate) fn logged(&self, text: &str) -> Result<usize> {
        let log = std::fs::read_to_string(self.data.join(LOG)).context("read the scheduler's log")?;
        Ok(log.matches(text).count())
    }

    /// MiB of its journal's file.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[expect(clippy::cast_precision_loss, reason = "a few gigabytes")]
    pub(crate) fn journal_mib(&self) -> Result<f64> {
        let file = self.data.join("journal.redb");
        let size = file
            .metadata()
            .with_context(|| format!("look at {}", file.display()))?
            .len();
        Ok(size as f64 / 1024.0 / 1024.0)
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

const LOG: &str = "log";

fn launch(address: SocketAddr, data: &Path, journal: Option<&str>) -> Result<Child> {
    let log = File::create(data.join(LOG)).context("make a log")?;
    Command::new(binaries::path("berth-scheduler")?)
        .args(["--listen", &address.to_string(), "--data-dir"])
        .arg(data)
        .args(journal.map(|journal| ["--journal", journal]).iter().flatten())
        .env("BERTH_LOG", "warn,berth_scheduler::drive=info")
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .context("start berth-scheduler")
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the scheduler was not killed: {error}");
        }
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            eprintln!("{} was not removed: {error}", self.data.display());
        }
    }
}

/// What a process used while it was watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    resident_kib: u64,
    cpu_seconds: f64,
    wall_seconds: f64,
}

impl Usage {
    /// Resident memory at the end.
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    pub(crate) fn resident_mib(self) -> f64 {
        self.resident_kib as f64 / 1024.0
    }

    /// CPU time as a share of one core.
    pub(crate) fn cpu_percent(self) -> f64 {
        100.0 * self.cpu_seconds / self.wall_seconds
    }
}

/// Watches a process for a while.
///
/// # Errors
///
/// If it is not there.
pub(crate) async fn watch(pid: u32, span: Duration) -> Result<Usage> {
    let before = cpu_seconds(pid)?;
    let started = Instant::now();
    tokio::time::sleep(span).await;
    Ok(Usage {
        resident_kib: resident_kib(pid)?,
        cpu_seconds: cpu_seconds(pid)? - before,
        wall_seconds: started.elapsed().as_secs_f64(),
    })
}

/// CPU time of the process since its start.
///
/// # Errors
///
/// If it is not there.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process's stat")?;
    // The name in parentheses may hold spaces; what follows it does not. User and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| anyhow!("no name in {stat}"))?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Result<f64> { Ok(times.next().ok_or_else(|| anyhow!("no times in {stat}"))?.parse()?) };
    let ticks = next()? + next()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(ticks / f64::from(u32::try_from(per_second)?))
}
