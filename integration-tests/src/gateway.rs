//! A `berth-gateway` process on a host of a bed.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use crate::binaries;
use crate::daemon::{Daemon, Spec};

/// What a gateway is told on its command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scheduler's URL.
    pub scheduler: String,
    /// The cluster whose services it serves.
    pub cluster: String,
    /// More of its command line.
    pub arguments: Vec<String>,
}

/// A gateway: started, stopped, killed and started again on the same state.
#[derive(Debug)]
pub struct Gateway {
    daemon: Daemon,
}

impl Gateway {
    pub(crate) fn start(host: &str, namespace: &str, state_dir: &Path, log: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(state_dir).with_context(|| format!("create {}", state_dir.display()))?;
        let mut args: Vec<OsString> = vec![
            "--scheduler".into(),
            options.scheduler.clone().into(),
            "--cluster".into(),
            options.cluster.clone().into(),
            "--state-dir".into(),
            state_dir.into(),
        ];
        args.extend(options.arguments.iter().map(OsString::from));
        let daemon = Daemon::start(Spec {
            name: format!("berth-gateway of {host}"),
            namespace: namespace.to_owned(),
            program: binaries::path("berth-gateway")?,
            args,
            environment: Vec::new(),
            log: log.to_path_buf(),
        })?;
        Ok(Self { daemon })
    }

    /// The process, to stop, to kill and to start again.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}
