//! A process of the bed that outlives a call: started in a network namespace, logging to a file, killed and started
//! again at will. Dropping it kills it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::files;
use crate::process;
use crate::wait::{Seen, wait_until};

/// The longest that a process may go on after it was told to stop in its tracks.
const FROZEN: Duration = Duration::from_secs(20);

/// How to start a daemon, each time anew.
#[derive(Debug, Clone)]
pub struct Spec {
    /// In messages and in the log's name.
    pub name: String,
    /// The network namespace it runs in.
    pub namespace: String,
    /// The program's path, or its name on the PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of its environment, beside the test's own.
    pub environment: Vec<(String, String)>,
    /// The file that both its outputs are appended to.
    pub log: PathBuf,
}

/// A daemon of the bed, running or not.
#[derive(Debug)]
pub struct Daemon {
    spec: Spec,
    child: Option<Child>,
}

impl Daemon {
    /// Starts the daemon.
    ///
    /// # Errors
    ///
    /// If its log cannot be written or `nsenter` cannot be run.
    pub fn start(spec: Spec) -> Result<Self> {
        let mut daemon = Self { spec, child: None };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Starts it as it was started first.
    ///
    /// # Errors
    ///
    /// If it still runs, and as [`Daemon::start`].
    pub fn start_again(&mut self) -> Result<()> {
        if self.is_running()? {
            bail!("{} runs already", self.spec.name);
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.spec.log)
            .with_context(|| format!("open {}", self.spec.log.display()))?;
        let child = in_namespace(&self.spec.namespace, &self.spec.program)
            .args(&self.spec.args)
            // The end of a log is to show an error, not where it came from; of a panic it may.
            .env("RUST_LIB_BACKTRACE", "0")
            .envs(self.spec.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log).context("log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.spec.name))?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether the process lives.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn is_running(&mut self) -> Result<bool> {
        match &mut self.child {
            None => Ok(false),
            Some(child) => Ok(child.try_wait().context("wait")?.is_none()),
        }
    }

    /// How the process ended by itself; none while it runs, and where it was killed from here or never started.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            None => Ok(None),
            Some(child) => child.try_wait().context("wait"),
        }
    }

    /// An error with the end of the log if the process is gone.
    ///
    /// # Errors
    ///
    /// If the daemon does not run.
    pub fn check_running(&mut self) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        Err(anyhow!(
            "{} has ended; its log ends:\n{}",
            self.spec.name,
            files::tail(&self.spec.log, 20)
        ))
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    ///
    /// If it does not run, or has not ended at the deadline.
    pub fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let name = self.spec.name.clone();
        let child = self.child_mut()?;
        let status = command::wait(child, deadline)?
            .ok_or_else(|| anyhow!("{name} has not ended {deadline:?} after SIGTERM"))?;
        self.child = None;
        Ok(status)
    }

    /// Ends the process at once (SIGKILL); nothing happens if it does not run.
    ///
    /// # Errors
    ///
    /// If it cannot be killed or waited for.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill")?;
            child.wait().context("wait")?;
        }
        Ok(())
    }

    /// Stops the process in its tracks (SIGSTOP): it holds its connections and says nothing from here on.
    ///
    /// # Errors
    ///
    /// If it does not run, or goes on.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = self.child_mut()?.id();
        // On a busy machine its threads go on for a while after the signal was sent.
        wait_until(&format!("{} is frozen", self.spec.name), FROZEN, || {
            let states = process::thread_states(pid)?;
            Ok(Seen::when(states.chars().all(|state| state == 'T'), || states))
        })
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Has the process read its configuration again (SIGHUP), where it knows how to.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn hang_up(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// The process's id.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pid(&mut self) -> Result<u32> {
        Ok(self.child_mut()?.id())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.check_running()?;
        let pid = Pid::from_child(self.child_mut()?);
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {}", self.spec.name))
    }

    fn child_mut(&mut self) -> Result<&mut Child> {
        let name = &self.spec.name;
        self.child.as_mut().ok_or_else(|| anyhow!("{name} does not run"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A process that cannot be killed is left to the sweep of the lane, which reports it.
        self.kill().ok();
    }
}

/// A command that will run a program in a network namespace. Not `ip netns exec`: that mounts a `/sys` of its own,
/// without the cgroups that Docker needs.
#[must_use]
pub fn in_namespace(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("--")
        .arg(program);
    command
}

/// Whether a process has ended; what is left may be its exit code, which whoever started it has yet to take.
#[must_use]
pub fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, fields)| fields.starts_with('Z'))
    })
}
