//! Runs jobs, several at a time, the output of each kept in a file and told whole when it ends. An interrupt from
//! the terminal reaches all of them: they are in the group of this process.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use super::binaries;
use super::plan::Job;
use super::report::Report;

/// A binary that takes longer hangs: the slowest, which first gets a Debian from its mirrors, takes a third of this.
const WITHIN: Duration = Duration::from_secs(1200);
const PAUSE: Duration = Duration::from_millis(50);

/// What all jobs run with.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    /// The directory in which outputs are kept.
    pub(super) outputs: &'a Path,
    /// That of the daemons under test.
    pub(super) programs: &'a Path,
    /// Told the whole output of each job.
    pub(super) tell: fn(&str),
}

impl Runner<'_> {
    /// Runs the jobs in this order, `at_once` at a time.
    ///
    /// # Errors
    /// One cannot be started or its output not be kept. Tests that fail are no error here.
    pub(super) fn run(&self, jobs: &[Job], at_once: usize) -> anyhow::Result<Vec<Report>> {
        let waiting: Mutex<VecDeque<&Job>> = Mutex::new(jobs.iter().collect());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || {
            let mut reports = Vec::new();
            while let Some(job) = next() {
                reports.push(self.run_one(job)?);
            }
            Ok(reports)
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            let mut reports = Vec::new();
            for worker in workers {
                let done: anyhow::Result<Vec<Report>> = worker.join().map_err(|_| anyhow!("a runner panicked"))?;
                reports.extend(done?);
            }
            Ok(reports)
        })
    }

    fn run_one(&self, job: &Job) -> anyhow::Result<Report> {
        let (name, mut command) = self.command(job);
        let path = self.outputs.join(format!("{}.log", file_name(&name)));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let ended = wait(&mut child, begun + WITHIN)?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let output = String::from_utf8_lossy(&bytes);
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = ended.as_deref().unwrap_or("passed");
        // One call: nothing of another job comes in between.
        (self.tell)(&format!(
            "==== {name}\n{}\n==== {verdict} after {seconds:.1} s: {name}\n",
            output.trim()
        ));
        Ok(Report::read(&name, &output, ended.as_deref()))
    }

    fn command(&self, job: &Job) -> (String, Command) {
        let (name, mut command) = match job {
            Job::Tests(binary) => {
                let mut command = Command::new(&binary.program);
                command.current_dir(&binary.directory);
                // As cargo does; what is there is that of this program.
                command.env("CARGO_MANIFEST_DIR", &binary.directory);
                (binary.to_string(), command)
            }
            Job::Documentation => {
                let mut cargo = binaries::cargo();
                cargo.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
                ("cargo test --workspace --doc".to_owned(), cargo)
            }
        };
        command.env("BERTH_BIN_DIR", self.programs);
        (name, command)
    }
}

/// How the process ended if not well; it is killed at the deadline. What it leaves the next test bed sweeps.
fn wait(child: &mut Child, deadline: Instant) -> anyhow::Result<Option<String>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((!status.success()).then(|| format!("ended with {status}")));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(Some(format!("was killed after {} s", WITHIN.as_secs())));
        }
        sleep(PAUSE);
    }
}

fn file_name(name: &str) -> String {
    let words = name.strip_prefix("cargo test ").unwrap_or(name).split([' ', '-']);
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && *word != "p").collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::binaries::Binary;
    use std::path::PathBuf;

    fn shell(dir: &Path, name: &str, script: &str) -> Job {
        use std::os::unix::fs::PermissionsExt;
        let program = dir.join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Job::Tests(Binary {
            package: "shell".to_owned(),
            target: format!("--test {name}"),
            program,
            directory: dir.to_path_buf(),
        })
    }

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("berth-xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn jobs_run_at_the_same_time_and_one_that_fails_stops_no_other() {
        let dir = directory("together");
        // Each waits for the other: one after the other they would never end.
        let jobs = [
            shell(&dir, "one", "touch 1; until [ -e 2 ]; do sleep 0.01; done; exit 3"),
            shell(
                &dir,
                "two",
                "touch 2; until [ -e 1 ]; do sleep 0.01; done; echo 'test result: ok. 4 passed; 0'",
            ),
            shell(
                &dir,
                "three",
                "echo \"test result: ok. 5 passed; 0\"; [ \"$BERTH_BIN_DIR\" = / ] && [ \"$PWD\" = \"$CARGO_MANIFEST_DIR\" ]",
            ),
        ];
        let runner = Runner {
            outputs: &dir,
            programs: Path::new("/"),
            tell: |told| assert!(told.starts_with("==== cargo test -p shell --test "), "{told}"),
        };
        let reports = runner.run(&jobs, 2).unwrap();
        let failed: Vec<String> = reports
            .iter()
            .filter(|report| report.has_failed())
            .map(Report::to_string)
            .collect();
        assert_eq!(
            failed,
            ["FAILED: cargo test -p shell --test one\n    ended with exit status: 3"]
        );
        assert_eq!(reports.iter().map(Report::passed).sum::<usize>(), 9);
        assert!(dir.join("shell-test-two.log").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_process_that_hangs_is_killed_at_its_deadline() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let ended = wait(&mut child, Instant::now()).unwrap();
        assert_eq!(ended, Some(format!("was killed after {} s", WITHIN.as_secs())));
    }
}
