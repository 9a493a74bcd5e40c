//! The scheduler as a process of its own, and what a process uses.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use berth_integration_tests::process::resident_kib;
use berth_integration_tests::{binaries, files};

const READY: Duration = Duration::from_secs(30);

/// A scheduler on loopback with a journal of its own; both go when it is dropped.
#[derive(Debug)]
pub(crate) struct Scheduler {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
}

impl Scheduler {
    /// Starts it and waits until its port is open.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(crate) fn start() -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = files::target_dir()?.join(format!("bench-{}", std::process::id()));
        let child = Command::new(binaries::path("berth-scheduler")?)
            .args(["--listen", &address.to_string(), "--data-dir"])
            .arg(&data)
            .env("BERTH_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .context("start berth-scheduler")?;
        let scheduler = Self { child, address, data };
        let deadline = Instant::now() + READY;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!("the scheduler does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(scheduler)
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
