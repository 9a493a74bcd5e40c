//! What a process holds, read from `/proc`.

use std::fmt;
use std::fs;

use anyhow::{Context, Result, anyhow};

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Its threads.
    pub threads: usize,
    /// Its open file descriptors.
    pub files: usize,
}

impl Holding {
    /// What the process holds now.
    ///
    /// # Errors
    ///
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let entries = |what: &str| {
            let listed = fs::read_dir(format!("/proc/{pid}/{what}"));
            listed
                .map(Iterator::count)
                .with_context(|| format!("{what} of process {pid}"))
        };
        Ok(Self {
            resident_kib: resident_kib(pid)?,
            threads: entries("task")?,
            files: entries("fd")?,
        })
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kib, threads, files) = (self.resident_kib, self.threads, self.files);
        write!(f, "{kib} KiB resident, {threads} threads, {files} open files")
    }
}

/// Resident memory of a process in KiB.
///
/// # Errors
///
/// If there is no such process.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or_else(|| anyhow!("no VmRSS"))?;
    Ok(figure.parse()?)
}

/// What each thread of a process does, a letter each as `ps` has it: `R` runs, `S` sleeps, `T` is stopped by a signal.
///
/// # Errors
///
/// If there is no such process.
pub fn thread_states(pid: u32) -> Result<String> {
    let mut states = String::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the process's threads")? {
        // A thread may end while the others are asked.
        let Ok(stat) = fs::read_to_string(thread?.path().join("stat")) else {
            continue;
        };
        // The name before the state may hold anything, parentheses too.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        states.extend(after_name.chars().next());
    }
    Ok(states)
}
