//! Hosts that join by token: a real agent on a host of a bed, a scheduler that speaks TLS, and the command line between them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::{Agent, Options, Settings};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::daemon::{Daemon, Spec};
use berth_integration_tests::{Seen, TestBed, binaries, command, wait_until};
use serde_json::{Value, json};

const CLUSTER: &str = "joining";
const CALL: Duration = Duration::from_secs(60);

/// A scheduler that speaks TLS on a host, and the operator's command line.
struct Place<'b> {
    bed: &'b TestBed,
    _scheduler: Daemon,
    data: PathBuf,
    url: String,
}

impl<'b> Place<'b> {
    fn start(bed: &'b TestBed) -> Result<Self> {
        let host = bed.host("a")?;
        let address = format!("{}:7700", host.address());
        let data = bed.data_dir("scheduler");
        std::fs::create_dir_all(&data)?;
        let args = ["--listen", &address, "--auth", "off", "--data-dir"];
        let scheduler = Daemon::start(Spec {
            name: "berth-scheduler".to_owned(),
            namespace: host.link().namespace().to_owned(),
            program: binaries::path("berth-scheduler")?,
            args: args.iter().map(OsString::from).chain([data.clone().into()]).collect(),
            environment: Vec::new(),
            log: bed.lane().log_dir().join("berth-scheduler.log"),
        })?;
        let place = Self {
            bed,
            _scheduler: scheduler,
            data,
            url: format!("https://{address}"),
        };
        wait_until("the scheduler makes a cluster", SOON, || {
            place.berth(&["clusters", "create", CLUSTER]).map(Seen::Done)
        })?;
        Ok(place)
    }

    /// What the command line prints.
    fn berth(&self, arguments: &[&str]) -> Result<String> {
        let mut berth = Command::new(binaries::path("berth")?);
        berth.args(["--scheduler", &self.url, "--cluster", CLUSTER, "--ca"]);
        berth.arg(self.data.join("ca.pem")).args(arguments);
        command::run(&mut berth, CALL)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.berth(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// An agent that finds its token in a file.
    fn start_agent(&self, host: &str, token: &str) -> Result<Agent> {
        let file = self.bed.data_dir(&format!("token-{host}"));
        std::fs::write(&file, token)?;
        let file = file.display().to_string();
        self.bed.host(host)?.start_agent(&Options {
            scheduler: self.url.clone(),
            cluster: CLUSTER.to_owned(),
            settings: Settings {
                attributes: vec![("host".to_owned(), host.to_owned())],
                ..Settings::with_arguments(&["--join-token-file", &file])
            },
        })
    }

    /// Waits until as many instances are connected; their ARNs.
    fn wait_connected(&self, count: usize) -> Result<Vec<String>> {
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

    fn log_of(&self, name: &str) -> Result<String> {
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

    fn says(&self, log: &str, words: &str) -> Result<()> {
        wait_until(&format!("the log of {log} says '{words}'"), SOON, || {
            let said = self.log_of(log)?;
            Ok(Seen::when(said.contains(words), || said))
        })
    }
}

#[test]
fn a_host_joins_by_token_runs_a_task_and_is_the_same_after_a_restart_and_one_with_a_revoked_token_is_refused()
-> Result<()> {
    TestBed::with("joining", &["a", "b"], |bed| {
        let place = Place::start(bed)?;
        let token = place.berth(&["tokens", "create"])?.trim().to_owned();
        let secret = token.split('.').nth(2).context("a token has four parts")?.to_owned();
        let mut agent = place.start_agent("a", &token)?;
        let joined = place.wait_connected(1)?;

        let definition = bed.data_dir("sleeper.json");
        let container = json!({"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]});
        std::fs::write(
            &definition,
            json!({"family": "sleeper", "containerDefinitions": [container]}).to_string(),
        )?;
        place.berth(&["task-definitions", "register", &definition.display().to_string()])?;
        place.berth(&["run", "sleeper", "--wait"])?;

        // It starts again, after a kill, with the token still there: nobody asks for that, and it is who it was.
        agent.daemon().kill()?;
        agent.daemon().start_again()?;
        wait_until("the agent has joined the cluster again", SOON, || {
            let joins = place.log_of("agent")?.matches("joined the cluster").count();
            Ok(Seen::when(joins >= 2, || format!("{joins} times")))
        })?;
        ensure!(place.wait_connected(1)? == joined);
        ensure!(place.log_of("scheduler")?.matches("member joined").count() == 1);
        let running = place.ask(&["ps"])?;
        ensure!(running["tasks"][0]["lastStatus"] == "RUNNING", "{running}");

        // Another host has a token that the operator took back.
        let revoked = place.berth(&["tokens", "create"])?;
        let id = revoked.split('.').nth(1).context("a token has four parts")?;
        place.berth(&["tokens", "revoke", id])?;
        let other = place.start_agent("b", &revoked)?;
        place.says("scheduler", "was revoked")?;
        place.says("agent", "this host cannot join the cluster")?;
        ensure!(place.wait_connected(1)? == joined);
        drop(other);

        // Nothing that is secret of a token is in what was written or is shown of processes, or in Docker's labels.
        ensure!(!place.log_of("")?.contains(&secret), "a log has the secret");
        for process in std::fs::read_dir("/proc")? {
            let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
            ensure!(
                !String::from_utf8_lossy(&line).contains(&secret),
                "a command line has the secret"
            );
        }
        for container in bed.host("a")?.engine().containers("")? {
            ensure!(
                !container.inspect.to_string().contains(&secret),
                "a container has the secret"
            );
        }
        let kept = [place.data.as_path(), &bed.host("a")?.state_dir(CLUSTER)];
        ensure!(
            !kept.iter().any(|directory| has(directory, secret.as_bytes())),
            "a file has the secret"
        );
        Ok(())
    })
}

/// Whether a file below the directory has the bytes in it.
fn has(directory: &Path, secret: &[u8]) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => has(&path, secret),
        false => std::fs::read(&path)
            .unwrap_or_default()
            .windows(secret.len())
            .any(|window| window == secret),
    })
}
