//! A cluster with an authority: a scheduler that speaks TLS on a host, the operator's command line, and agents that join.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use berth_integration_tests::agent::{Agent, Options, Settings};
use berth_integration_tests::aws::Aws;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::daemon::{Daemon, Spec};
use berth_integration_tests::ecs::Ecs;
use berth_integration_tests::{Seen, TestBed, binaries, command, wait_until};
use serde_json::Value;

/// What all agents join.
pub(super) const CLUSTER: &str = "joining";
/// For one call.
pub(super) const CALL: Duration = Duration::from_secs(60);

/// A scheduler that speaks TLS on host `a`, and what the tests ask of it.
pub(super) struct Place<'b> {
    bed: &'b TestBed,
    _scheduler: Daemon,
    pub(super) data: PathBuf,
    pub(super) url: String,
    /// Who the operator is to the scheduler, as arguments of the command line.
    operator: Vec<OsString>,
}

impl<'b> Place<'b> {
    /// One that asks nobody who calls.
    pub(super) fn start(bed: &'b TestBed) -> Result<Self> {
        Self::start_with(bed, &["--auth", "off"], Vec::new(), |_| Vec::new())
    }

    /// One whose calls are signed, the operator's with the master key; with variables of the scheduler's environment.
    pub(super) fn start_guarded(bed: &'b TestBed, environment: Vec<(String, String)>) -> Result<Self> {
        Self::start_with(bed, &["--auth", "required"], environment, |data| {
            vec!["--master-key-file".into(), data.join("master.key").into()]
        })
    }

    fn start_with(
        bed: &'b TestBed,
        options: &[&str],
        environment: Vec<(String, String)>,
        operator: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Result<Self> {
        let host = bed.host("a")?;
        let address = format!("{}:7700", host.address());
        let data = bed.data_dir("scheduler");
        std::fs::create_dir_all(&data)?;
        let args = ["--listen", &address, "--data-dir"].map(OsString::from);
        let scheduler = Daemon::start(Spec {
            name: "berth-scheduler".to_owned(),
            namespace: host.link().namespace().to_owned(),
            program: binaries::path("berth-scheduler")?,
            args: args
                .into_iter()
                .chain([data.clone().into()])
                .chain(options.iter().map(OsString::from))
                .collect(),
            environment,
            log: bed.lane().log_dir().join("berth-scheduler.log"),
        })?;
        let place = Self {
            bed,
            _scheduler: scheduler,
            operator: operator(&data),
            data,
            url: format!("https://{address}"),
        };
        wait_until("the scheduler makes a cluster", SOON, || {
            place.berth(&["clusters", "create", CLUSTER]).map(Seen::Done)
        })?;
        Ok(place)
    }

    /// The command line, told where the scheduler is and whom to trust.
    pub(super) fn client(&self) -> Result<Command> {
        let mut berth = Command::new(binaries::path("berth")?);
        berth.args(["--scheduler", &self.url, "--cluster", CLUSTER, "--ca"]);
        berth.arg(self.data.join("ca.pem"));
        Ok(berth)
    }

    /// What the operator's command line prints.
    pub(super) fn berth(&self, arguments: &[&str]) -> Result<String> {
        command::run(self.client()?.args(&self.operator).args(arguments), CALL)
    }

    /// What `berth doctor` ends with and finds.
    pub(super) fn doctor(&self, scheduler: &str, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let mut doctor = Command::new(binaries::path("berth")?);
        doctor.args([
            "--scheduler",
            scheduler,
            "--cluster",
            CLUSTER,
            "--output",
            "json",
            "--ca",
        ]);
        doctor.arg(self.data.join("ca.pem")).arg("doctor").args(arguments);
        let output = command::output(&mut doctor, CALL)?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok((output.status.code(), report))
    }

    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.berth(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// The AWS CLI and boto3 of a user who trusts the cluster's authority.
    pub(super) fn aws(&self) -> Result<Aws> {
        let authority = self.data.join("ca.pem").display().to_string();
        let address = self.url.trim_start_matches("https://").parse()?;
        Ok(Aws::new(&Ecs::new(address))?
            .with_endpoint(&self.url)
            .with_variable("AWS_CA_BUNDLE", &authority)
            .with_variable("SSL_CERT_FILE", &authority))
    }

    /// What the AWS CLI shows of a command in the task, over TLS all the way.
    pub(super) fn execute(&self, task: &str, line: &str) -> Result<String> {
        let mut cli = self.aws()?.interactive("aws")?;
        cli.args(["ecs", "execute-command", "--cluster", CLUSTER]);
        cli.args(["--task", task, "--interactive", "--command", line]);
        command::run(&mut cli, CALL)
    }

    /// An agent that finds its token in a file.
    pub(super) fn start_agent(&self, host: &str, token: &str, arguments: &[&str]) -> Result<Agent> {
        let file = self.bed.data_dir(&format!("token-{host}"));
        std::fs::write(&file, token)?;
        let file = file.display().to_string();
        self.start_agent_with(host, &[&["--join-token-file", file.as_str()][..], arguments].concat())
    }

    /// An agent with these flags.
    pub(super) fn start_agent_with(&self, host: &str, arguments: &[&str]) -> Result<Agent> {
        self.start_agent_set(host, Settings::with_arguments(arguments))
    }

    /// An agent with these settings, and the host's name as an attribute.
    pub(super) fn start_agent_set(&self, host: &str, settings: Settings) -> Result<Agent> {
        self.bed.host(host)?.start_agent(&Options {
            scheduler: self.url.clone(),
            cluster: CLUSTER.to_owned(),
            settings: Settings {
                attributes: vec![("host".to_owned(), host.to_owned())],
                ..settings
            },
        })
    }

    /// Waits until as many instances are connected; their ARNs.
    pub(super) fn wait_connected(&self, count: usize) -> Result<Vec<String>> {
        wait_until("instances are connected", SOON, || {
            let answer = self.ask(&["instances"])?;
            let found = answer["containerInstances"].as_array().cloned().unwrap_or_default();
            let connected = found.iter().filter(|instance| instance["agentConnected"] == true);
            let arns: Vec<String> = connected
                .filter_map(|instance| instance["containerInstanceArn"].as_str().map(str::to_owned))
                .collect();
            Ok(match arns.len() == count {
                true => Seen::Done(arns),
                false => Seen::NotYet(answer.to_string()),
            })
        })
    }

    pub(super) fn log_of(&self, name: &str) -> Result<String> {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.bed.lane().log_dir())? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|file| file.to_string_lossy().contains(name))
            {
                all.push_str(&std::fs::read_to_string(&path)?);
            }
        }
        Ok(all)
    }

    pub(super) fn says(&self, log: &str, words: &str) -> Result<()> {
        wait_until(&format!("the log of {log} says '{words}'"), SOON, || {
            let said = self.log_of(log)?;
            Ok(Seen::when(said.contains(words), || said))
        })
    }
}
