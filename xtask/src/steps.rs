//! Telling how far things are, and not waiting for them forever.

use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// A whole task ends within this, whatever happens, unless it says that it takes longer.
const ALL_WITHIN: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(100);
/// Between two words of a program that has nothing to say itself.
const WORD: Duration = Duration::from_secs(30);

/// Counts the steps and the time.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
    within: Duration,
    number: usize,
    total: usize,
}

impl Steps {
    pub(crate) fn begin(total: usize) -> Self {
        Self::begin_within(total, ALL_WITHIN)
    }

    /// Those of a task that takes longer than most.
    pub(crate) fn begin_within(total: usize, within: Duration) -> Self {
        Self {
            begun: Instant::now(),
            within,
            number: 0,
            total,
        }
    }

    /// Announces the next step.
    pub(crate) fn next(&mut self, what: &str) {
        self.number += 1;
        let (number, total) = (self.number, self.total);
        println!("[{number}/{total}] {:>4} s  {what}", self.begun.elapsed().as_secs());
    }

    /// Says something about the present step.
    pub(crate) fn note(&self, what: &str) {
        println!("               {what}");
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When something must be done that may take `within`, and no longer than all may.
    pub(crate) fn deadline(&self, within: Duration) -> Instant {
        (self.begun + self.within).min(Instant::now() + within)
    }

    /// Runs a program whose own output is the progress that people see.
    pub(crate) fn run(&self, command: &mut Command, within: Duration) -> anyhow::Result<()> {
        self.run_telling(command, within, || None)
    }

    /// The same of one that is silent for long: now and then `word` tells how far it is.
    pub(crate) fn run_telling(
        &self,
        command: &mut Command,
        within: Duration,
        word: impl FnMut() -> Option<String>,
    ) -> anyhow::Result<()> {
        let name = command.get_program().display().to_string();
        let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let status = self.wait(&mut child, &name, within, word)?;
        ensure!(status.success(), "{name} ended with {status}; its own words are above");
        Ok(())
    }

    /// What a program says that is quick, without the space around it.
    pub(crate) fn ask(&self, command: &mut Command) -> anyhow::Result<String> {
        let name = command.get_program().display().to_string();
        let output = command.output().with_context(|| format!("cannot run {name}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{name} ended with {}: {}",
            output.status,
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn wait(
        &self,
        child: &mut Child,
        name: &str,
        within: Duration,
        mut word: impl FnMut() -> Option<String>,
    ) -> anyhow::Result<ExitStatus> {
        let deadline = self.deadline(within);
        let mut next = Instant::now() + WORD;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("{name} did not end in time and was stopped");
            }
            if Instant::now() > next {
                if let Some(word) = word() {
                    self.note(&format!("{} s: {word}", self.elapsed().as_secs()));
                }
                next += WORD;
            }
            sleep(PAUSE);
        }
    }
}

/// Looks until `look` finds something or `deadline` passes.
///
/// # Errors
/// Those of `look`; time passing is none, the answer is then empty.
pub(crate) fn until<T>(
    deadline: Instant,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        sleep(PAUSE);
    }
}
