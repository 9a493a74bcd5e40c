//! Programs that go on in the background: started in a session of their own, known again by a file.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::place::Place;
use crate::steps::until;

/// How much of a log is shown when something went wrong.
const SHOWN_LINES: usize = 15;
const SHOWN_BYTES: u64 = 16 * 1024;

/// A program that runs, or may have run, in the background.
#[derive(Debug)]
pub(super) struct Daemon {
    name: &'static str,
    mark: PathBuf,
    log: PathBuf,
}

/// A process, told from a later one that has the same number.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    pid: u32,
    started: String,
}

impl Daemon {
    pub(super) fn named(name: &'static str, place: &Place) -> Self {
        Self {
            name,
            mark: place.path(&format!("{name}.pid")),
            log: place.path(&format!("{name}.log")),
        }
    }

    /// Starts it; the terminal it was started from is nothing to it.
    pub(super) fn start(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let log = File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        // `setsid` becomes the program: the process keeps its number.
        let child = Command::new("setsid")
            .arg(program)
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let Some(started) = start_time(child.id()) else {
            bail!(self.account("ended at once"));
        };
        let mark = format!("{} {started}\n", child.id());
        fs::write(&self.mark, mark).with_context(|| format!("cannot write {}", self.mark.display()))
    }

    /// Whether the process that `start` started still runs.
    pub(super) fn runs(&self) -> bool {
        self.identity()
            .is_some_and(|identity| start_time(identity.pid).is_some_and(|started| started == identity.started))
    }

    /// Ends it; answers whether there was anything to end.
    ///
    /// # Errors
    /// It is still there after `within` and a kill.
    pub(super) fn stop(&self, within: Duration) -> anyhow::Result<bool> {
        if !self.runs() {
            return Ok(false);
        }
        let gone = || Ok((!self.runs()).then_some(()));
        self.signal("TERM")?;
        if until(Instant::now() + within, gone)?.is_none() {
            self.signal("KILL")?;
            let killed = until(Instant::now() + Duration::from_secs(5), gone)?;
            killed.with_context(|| format!("the {} does not end", self.name))?;
        }
        Ok(true)
    }

    /// What happened to it, with the end of its log.
    pub(super) fn account(&self, what: &str) -> String {
        let (name, log) = (self.name, self.log.display());
        match tail(&self.log) {
            Ok(lines) => format!("the {name} {what}; the last lines of {log}:\n{lines}"),
            Err(error) => format!("the {name} {what}; {log} cannot be read: {error}"),
        }
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let Some(identity) = self.identity() else {
            return Ok(());
        };
        // The shell's own `kill`: the program of that name is not on every machine.
        let kill = format!("kill -{signal} {}", identity.pid);
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        if !status.success() && self.runs() {
            bail!("cannot end the {} (process {})", self.name, identity.pid);
        }
        Ok(())
    }

    fn identity(&self) -> Option<Identity> {
        let mark = fs::read_to_string(&self.mark).ok()?;
        let (pid, started) = mark.trim_end().split_once(' ')?;
        Some(Identity {
            pid: pid.parse().ok()?,
            started: started.to_owned(),
        })
    }
}

/// When the process began, in clock ticks since the machine did; nothing for one that is gone or a zombie.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    // proc(5): the 22nd of all fields, and two came before.
    fields.get(19).map(|&started| started.to_owned())
}

/// The last lines of a file, each indented.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Ok(shown
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n"))
}

#[cfg(test)]
mod tests {
    use super::start_time;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let own = start_time(std::process::id());
        assert!(own.is_some_and(|ticks| ticks.parse::<u64>().is_ok_and(|ticks| ticks > 0)));
        // The highest number that Linux gives is below it.
        assert_eq!(start_time(u32::MAX), None);
    }
}
