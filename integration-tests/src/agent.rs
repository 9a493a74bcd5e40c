//! A `berth-agent` process on a host of a bed.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use crate::binaries;
use crate::daemon::{Daemon, Spec};

/// What an agent is told on its command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scheduler's URL.
    pub scheduler: String,
    /// The cluster to join.
    pub cluster: String,
    /// Attributes of its container instance.
    pub attributes: Vec<(String, String)>,
}

/// An agent: started, killed and started again on the same state.
#[derive(Debug)]
pub struct Agent {
    host: String,
    daemon: Daemon,
}

impl Agent {
    pub(crate) fn start(
        host: &str,
        namespace: &str,
        docker: &str,
        state_dir: &Path,
        log: &Path,
        options: &Options,
    ) -> Result<Self> {
        std::fs::create_dir_all(state_dir).with_context(|| format!("create {}", state_dir.display()))?;
        let mut args: Vec<OsString> = vec![
            "--scheduler".into(),
            options.scheduler.clone().into(),
            "--cluster".into(),
            options.cluster.clone().into(),
            "--state-dir".into(),
            state_dir.into(),
            "--docker".into(),
            docker.into(),
        ];
        for (name, value) in &options.attributes {
            args.extend(["--attribute".into(), format!("{name}={value}").into()]);
        }
        let daemon = Daemon::start(Spec {
            name: format!("berth-agent of {host}"),
            namespace: namespace.to_owned(),
            program: binaries::path("berth-agent")?,
            args,
            log: log.to_path_buf(),
        })?;
        Ok(Self {
            host: host.to_owned(),
            daemon,
        })
    }

    /// The name of the host it runs on.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The process, to kill, to start again, to freeze and to resume.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}
