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
    /// What is particular to it.
    pub settings: Settings,
}

/// What is particular to an agent.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    /// Tells agents of one host apart, in their state directories and logs; empty where there is only one.
    pub name: String,
    /// Attributes of its container instance.
    pub attributes: Vec<(String, String)>,
    /// More of its command line.
    pub arguments: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl Settings {
    /// Settings with these attributes and nothing else.
    #[must_use]
    pub fn with_attributes(attributes: &[(&str, &str)]) -> Self {
        Self {
            attributes: owned(attributes),
            ..Self::default()
        }
    }

    /// Settings with these flags and nothing else.
    #[must_use]
    pub fn with_arguments(arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// Tests are about what tasks do with what they have of their host; who wants a host's policy gives its flags.
const OPEN: [&str; 5] = [
    "--disable-privileged=false",
    "--allow-host-namespace=network,pid,ipc",
    "--allow-host-path=/",
    "--allow-device=/dev",
    "--allow-capability=ALL",
];

/// How full this machine's disk is must not decide a test.
fn roomy() -> impl Iterator<Item = (String, String)> {
    let percent = [("LOW", "98"), ("CLEAN", "99"), ("REFUSE", "100")];
    percent
        .into_iter()
        .map(|(name, value)| (format!("BERTH_DISK_{name}_PERCENT"), value.to_owned()))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
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
        // Settings of an agent that this machine may have besides are not for this one.
        args.extend(["--config", "/dev/null", "--ecs-config", "/dev/null"].map(OsString::from));
        // Whoever gives any flag of the policy means exactly these.
        if !options
            .settings
            .arguments
            .iter()
            .any(|argument| argument.starts_with("--allow-") || argument.starts_with("--disable-privileged"))
        {
            args.extend(OPEN.map(OsString::from));
        }
        for (name, value) in &options.settings.attributes {
            args.extend(["--attribute".into(), format!("{name}={value}").into()]);
        }
        args.extend(options.settings.arguments.iter().map(OsString::from));
        let daemon = Daemon::start(Spec {
            name: format!("berth-agent of {host}"),
            namespace: namespace.to_owned(),
            program: binaries::path("berth-agent")?,
            args,
            environment: roomy().chain(options.settings.environment.clone()).collect(),
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
