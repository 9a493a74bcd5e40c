//! A `berth-scheduler` process of a bed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::binaries;
use crate::daemon::{Daemon, Spec};
use crate::ecs::Ecs;
use crate::wait::{Seen, wait_until};

const DEADLINE: Duration = Duration::from_secs(120);

/// A scheduler: started, killed and started again on the same data.
#[derive(Debug)]
pub struct Scheduler {
    daemon: Daemon,
    address: SocketAddr,
    data_dir: PathBuf,
}

impl Scheduler {
    /// Starts a scheduler and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started, or does not answer in time.
    pub fn start(namespace: &str, address: SocketAddr, data_dir: &Path, log: &Path, options: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let daemon = Daemon::start(Spec {
            name: "berth-scheduler".to_owned(),
            namespace: namespace.to_owned(),
            program: binaries::path("berth-scheduler")?,
            args: [
                "--listen".into(),
                address.to_string().into(),
                "--data-dir".into(),
                data_dir.into(),
            ]
            .into_iter()
            .chain(options.iter().map(Into::into))
            .collect(),
            // Beds trust their networks; tests of access keys and of certificates say otherwise among the options.
            environment: [("BERTH_AUTH", "off"), ("BERTH_ALLOW_PLAINTEXT", "true")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            log: log.to_path_buf(),
        })?;
        let mut scheduler = Self {
            daemon,
            address,
            data_dir: data_dir.to_path_buf(),
        };
        scheduler.wait_ready()?;
        Ok(scheduler)
    }

    /// The ECS API that it serves.
    #[must_use]
    pub fn ecs(&self) -> Ecs {
        Ecs::new(self.address)
    }

    /// Where it serves.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its journal lies.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process, to kill, to freeze and to resume.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Starts it on the same data after its end and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it runs, or does not answer in time.
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon.start_again()?;
        self.wait_ready()
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    ///
    /// If it has not ended in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.daemon.terminate(DEADLINE)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let ecs = self.ecs();
        let daemon = &mut self.daemon;
        wait_until("the scheduler answers", DEADLINE, || {
            if let Err(ended) = daemon.check_running() {
                return Ok(Seen::Done(Err(ended)));
            }
            let answer = ecs.call("ListClusters", &json!({}))?;
            ensure!(answer["clusterArns"].is_array(), "ListClusters: {answer}");
            Ok(Seen::Done(Ok(())))
        })?
    }
}
