//! A bed's lane: the number that its addresses, namespaces, cgroups and directories are made from, held by a lock
//! file for as long as its process lives, and the sweep that removes whatever a lane holds.
//!
//! The kernel drops the lock when the process ends, however it ends. So a lane whose lock can be had has no owner,
//! and whatever is in it is left over: [`Lane::claim`] sweeps all such lanes. A lane that is held is never touched.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::files;

mod sweep;

const RUN_DIR: &str = "/run";
const LANES: u8 = 200;

/// A lane that this process holds. Dropping it sweeps it and lets it go.
#[derive(Debug)]
pub struct Lane {
    number: u8,
    work_dir: PathBuf,
    keep_logs: AtomicBool,
    lock: File,
}

impl Lane {
    /// Sweeps the lanes whose owners are gone and takes the first free one.
    ///
    /// # Errors
    ///
    /// Without root, when all lanes are held, or when something left over cannot be removed.
    pub fn claim(name: &str) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces and runs Docker Engines: run it as root (sudo -E cargo test ...)"
        );
        sweep_ownerless()?;
        for number in turn() {
            if let Some(mut lock) = lock(&lock_path(number))? {
                let work_dir = files::target_dir()?
                    .join("integration")
                    .join(format!("{name}-{number}"));
                write!(lock, "{}\n{}\n", std::process::id(), work_dir.display())
                    .context("write the lane's lock file")?;
                let lane = Self {
                    number,
                    work_dir,
                    keep_logs: AtomicBool::new(false),
                    lock,
                };
                lane.make_dirs()?;
                return Ok(lane);
            }
        }
        bail!("all {LANES} lanes are held by running tests (see {RUN_DIR}/berth-bed-*.lock)");
    }

    /// The number, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Sockets and pid files: a short path, since a socket's may have 107 bytes only.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        run_dir(self.number)
    }

    /// The daemons' logs; they stay after a failed test.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.work_dir.join("logs")
    }

    /// The daemons' state; never outlives the lane.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.work_dir)
    }

    /// The name of the lane's namespace for a host, or of its switch.
    #[must_use]
    pub fn namespace(&self, host: Option<&str>) -> String {
        match host {
            Some(host) => format!("{}-{host}", stem(self.number)),
            None => stem(self.number),
        }
    }

    /// The parent cgroup of a host's containers.
    #[must_use]
    pub fn cgroup(&self, host: &str) -> String {
        format!("/{}/{host}", stem(self.number))
    }

    /// What of this lane is left on the machine: processes, namespaces, links, mounts, cgroups, directories.
    ///
    /// # Errors
    ///
    /// If the machine cannot be searched.
    pub fn leftovers(number: u8, data_dir: &Path) -> Result<Vec<String>> {
        sweep::leftovers(number, data_dir)
    }

    /// Has the logs outlive the lane.
    pub fn keep_logs(&self) {
        self.keep_logs.store(true, Ordering::Relaxed);
    }

    fn make_dirs(&self) -> Result<()> {
        remove_dir(&self.work_dir)?;
        for dir in [self.run_dir(), self.log_dir(), self.data_dir()] {
            fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        }
        Ok(())
    }
}

impl Drop for Lane {
    #[expect(clippy::print_stderr, reason = "a test's output is its report")]
    fn drop(&mut self) {
        if let Err(error) = sweep::sweep(self.number, &self.data_dir()) {
            // The lock file stays, and with it the next run's duty to sweep.
            eprintln!("lane {}: not swept: {error:#}", self.number);
            return;
        }
        if !self.keep_logs.load(Ordering::Relaxed)
            && let Err(error) = remove_dir(&self.work_dir)
        {
            eprintln!("{error:#}");
        }
        release(self.number, &self.lock);
    }
}

/// All lanes, beginning after the one that this process tried last: a lane that was let go is not taken again soon.
fn turn() -> impl Iterator<Item = u8> {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let first = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    (first..LANES).chain(0..first).map(|lane| lane + 1)
}

fn stem(number: u8) -> String {
    format!("berth-bed-{number}")
}

fn run_dir(number: u8) -> PathBuf {
    Path::new(RUN_DIR).join(stem(number))
}

fn lock_path(number: u8) -> PathBuf {
    Path::new(RUN_DIR).join(format!("{}.lock", stem(number)))
}

fn data_dir(work_dir: &Path) -> PathBuf {
    work_dir.join("data")
}

fn sweep_ownerless() -> Result<()> {
    for number in 1..=LANES {
        let path = lock_path(number);
        if !path.exists() {
            continue;
        }
        let Some(mut file) = lock(&path)? else {
            continue;
        };
        let mut record = String::new();
        file.read_to_string(&mut record)
            .with_context(|| format!("read {}", path.display()))?;
        let work_dir = record.lines().nth(1).map(PathBuf::from);
        sweep::sweep(number, &data_dir(&work_dir.unwrap_or_default()))
            .with_context(|| format!("sweep what a killed run left in lane {number}"))?;
        release(number, &file);
    }
    Ok(())
}

/// The locked file, at its start; `None` while another process holds it.
fn lock(path: &Path) -> Result<Option<File>> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    // Between open and lock the holder may have removed the file; then this lock guards nothing.
    let held = file.metadata().context("stat a lock file")?.ino();
    if fs::metadata(path).map(|found| found.ino()).ok() != Some(held) {
        return Ok(None);
    }
    file.rewind().context("rewind a lock file")?;
    Ok(Some(file))
}

/// Removes the lock file of a lane that is swept; `_held` shows that the caller holds it.
fn release(number: u8, _held: &File) {
    // A file that stays costs the next run a sweep of nothing.
    fs::remove_file(lock_path(number)).ok();
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
