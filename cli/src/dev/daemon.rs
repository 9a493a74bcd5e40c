//! One daemon of `berth dev`: a child process with a log file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long a daemon may take to end before it is killed.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How much of a log is shown when something went wrong.
const SHOWN_LINES: usize = 15;
const SHOWN_BYTES: u64 = 16 * 1024;

/// A running daemon. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program`; what it prints goes to `logs/NAME.log` under `directory`.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let logs = directory.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let context = || format!("cannot write {}", log.display());
        let stdout = File::create(&log).with_context(context)?;
        let stderr = stdout.try_clone().with_context(context)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // A Ctrl-C of the terminal is for `berth dev` alone: it ends the daemons in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name, child, log })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        ended.with_context(|| format!("cannot look after the {}", self.name))
    }

    /// Waits until it ends. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = self.child.wait().await;
        ended.with_context(|| format!("cannot look after the {}", self.name))
    }

    /// Asks it to end, and kills it where it does not in time or when `impatient` resolves.
    pub(super) async fn stop(mut self, impatient: impl Future<Output = ()>) -> anyhow::Result<()> {
        // A child that has been waited for has no id any more: its number may be another's.
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let asked = kill_process(pid, Signal::TERM);
            asked.with_context(|| format!("cannot end the {}", self.name))?;
        }
        let in_time = tokio::select! {
            ended = tokio::time::timeout(END_WITHIN, self.wait()) => ended.ok(),
            () = impatient => None,
        };
        match in_time {
            Some(ended) => ended.map(|_status| ()),
            None => {
                let killed = self.child.kill().await;
                killed.with_context(|| format!("cannot kill the {}", self.name))
            }
        }
    }

    /// What happened to it, with the end of its log.
    pub(super) fn account(&self, what: &str) -> String {
        let log = self.log.display();
        let name = self.name;
        match tail(&self.log) {
            Ok(lines) if lines.is_empty() => format!("the {name} {what}; {log} is empty"),
            Ok(lines) => format!("the {name} {what}; the last lines of {log}:\n{lines}"),
            Err(error) => format!("the {name} {what}; {log} cannot be read: {error}"),
        }
    }
}

/// The last lines of a file, each indented.
fn tail(path: &Path) -> io::Result<String> {
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
