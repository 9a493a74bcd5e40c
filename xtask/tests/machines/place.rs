//! What all machines of a test share: a directory, a switch, and a scheduler beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shell::{line, run, until};

/// The scheduler's address on the switch; machines have those after it.
const NETWORK: &str = "10.219.7";
const CLUSTER: &str = "machines";

/// A network of its own with a scheduler on it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    name: String,
    scheduler: Child,
}

impl Place {
    /// Makes the network and starts the scheduler; what a killed run has left is taken away.
    pub(crate) fn make(name: &str) -> Result<Self> {
        let directory = machines().join(name);
        let name = format!("berth-{name}");
        remove(&name, &directory)?;
        fs::create_dir_all(&directory)?;
        line(&format!("ip netns add {name}"))?;
        let inside = format!("ip -n {name}");
        line(&format!("{inside} link set lo up"))?;
        line(&format!("{inside} link add switch type bridge"))?;
        line(&format!("{inside} address add {NETWORK}.1/24 dev switch"))?;
        line(&format!("{inside} link set switch up"))?;
        let log = fs::File::create(directory.join("scheduler.log"))?;
        let scheduler = Command::new("ip")
            .args(["netns", "exec", &name])
            .arg(programs()?.join("berth-scheduler"))
            .arg("--data-dir")
            .arg(directory.join("journal"))
            .args(["--listen", &format!("{NETWORK}.1:7700")])
            .env("BERTH_AUTH", "off")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let place = Self {
            directory,
            name,
            scheduler,
        };
        until("the scheduler serves", Duration::from_secs(60), || {
            place.berth(&["clusters", "create", CLUSTER]).map(Some)
        })?;
        Ok(place)
    }

    /// Plugs a network namespace for the machine with this number into the switch; its name.
    pub(crate) fn plug(&self, number: u8) -> Result<String> {
        let namespace = format!("{}-{number}", self.name);
        line(&format!("ip netns add {namespace}"))?;
        line(&format!(
            "ip -n {} link add port{number} type veth peer name host0 netns {namespace}",
            self.name
        ))?;
        line(&format!("ip -n {} link set port{number} master switch up", self.name))?;
        let inside = format!("ip -n {namespace}");
        line(&format!("{inside} address add {NETWORK}.{}/24 dev host0", 10 + number))?;
        line(&format!("{inside} link set host0 up"))?;
        line(&format!("{inside} link set lo up"))?;
        Ok(namespace)
    }

    /// A token with which one machine may join.
    pub(crate) fn token(&self) -> Result<String> {
        let token = self.berth(&["tokens", "create"])?;
        Ok(token.trim().to_owned())
    }

    /// A token that was taken back before anybody used it.
    pub(crate) fn revoked_token(&self) -> Result<String> {
        let token = self.token()?;
        let id = token.split('.').nth(1).context("a token has an id")?;
        self.berth(&["tokens", "revoke", id])?;
        Ok(token)
    }

    /// What an agent needs to know, line by line, as ecs.config has it.
    pub(crate) fn settings(token: &str) -> String {
        format!("ECS_CLUSTER={CLUSTER}\nBERTH_SCHEDULER=https://{NETWORK}.1:7700\nBERTH_JOIN_TOKEN={token}\n")
    }

    /// The same for agent.toml.
    pub(crate) fn toml(token: &str) -> String {
        format!("scheduler = [\"https://{NETWORK}.1:7700\"]\ncluster = \"{CLUSTER}\"\njoin-token = \"{token}\"\n")
    }

    /// What the scheduler has said.
    pub(crate) fn log(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("scheduler.log")).context("read the scheduler's log")
    }

    /// Runs the command line against the scheduler; what it prints.
    pub(crate) fn berth(&self, arguments: &[&str]) -> Result<String> {
        let mut berth = Command::new("ip");
        berth.args(["netns", "exec", &self.name]);
        berth.arg(programs()?.join("berth")).args(arguments);
        berth.args([
            "--scheduler",
            &format!("https://{NETWORK}.1:7700"),
            "--cluster",
            CLUSTER,
        ]);
        berth.arg("--ca").arg(self.directory.join("journal/ca.pem"));
        run(&mut berth)
    }

    /// The same, as JSON.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.berth(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// Waits until as many instances are connected and take tasks; their ids.
    pub(crate) fn instances(&self, count: usize) -> Result<Vec<String>> {
        until(
            &format!("{count} instances are connected"),
            Duration::from_secs(120),
            || {
                let answer = self.ask(&["instances"])?;
                let mut ids = Vec::new();
                find(&answer, &mut |object| {
                    if object["agentConnected"] == true
                        && object["status"] == "ACTIVE"
                        && let Some(arn) = object["containerInstanceArn"].as_str()
                    {
                        ids.push(arn.rsplit('/').next().unwrap_or(arn).to_owned());
                    }
                });
                ids.sort();
                ensure!(ids.len() == count, "{answer}");
                Ok(Some(ids))
            },
        )
    }

    /// Runs the task definition and waits until its tasks run; the ids of the tasks.
    pub(crate) fn run_tasks(&self, count: usize) -> Result<()> {
        let definition = serde_json::json!({
            "family": "sleeper",
            "containerDefinitions": [{
                "name": "sleeper", "image": "sleeper", "memory": 32, "essential": true,
                "command": ["/busybox", "sleep", "100000"], "stopTimeout": 2,
            }],
            "placementConstraints": [],
        });
        let file = self.directory.join("sleeper.json");
        fs::write(&file, definition.to_string())?;
        self.berth(&["task-definitions", "register", &file.to_string_lossy()])?;
        self.berth(&["run", "sleeper", "--count", &count.to_string(), "--wait"])
            .map(drop)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may have ended; what is left is taken away at the next start.
        self.scheduler.kill().ok();
        self.scheduler.wait().ok();
        if let Err(error) = take_network(&self.name) {
            eprintln!("{error:#}");
        }
    }
}

/// Calls `look` with every object in the value.
fn find(value: &Value, look: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            look(value);
            members.values().for_each(|member| find(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn remove(name: &str, directory: &Path) -> Result<()> {
    take_network(name)?;
    crate::machine::unmount_below(directory)?;
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

fn take_network(name: &str) -> Result<()> {
    for listed in line("ip netns list")?.lines() {
        let own = listed.split_whitespace().next().unwrap_or_default();
        if own == name || own.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) {
            line(&format!("ip netns delete {own}"))?;
        }
    }
    Ok(())
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where machines are made.
pub(crate) fn machines() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target")).join("machines")
}

/// What is packaged.
const PROGRAMS: [&str; 4] = ["berth", "berth-scheduler", "berth-agent", "berth-gateway"];

/// The directory of the programs under test: BERTH_BIN_DIR, else where cargo has built them.
pub(crate) fn programs() -> Result<PathBuf> {
    let beside = || Path::new(env!("CARGO_BIN_EXE_xtask")).parent().map(PathBuf::from);
    let directory = std::env::var_os("BERTH_BIN_DIR").map(PathBuf::from).or_else(beside);
    let directory = directory.context("there is no directory with the programs")?;
    for program in PROGRAMS {
        ensure!(
            directory.join(program).is_file(),
            "there is no {program} in {}: cargo build -p berth-cli -p berth-scheduler -p berth-agent -p berth-gateway",
            directory.display()
        );
    }
    Ok(directory)
}

/// Makes packages of the programs under test.
pub(crate) fn package(version: &str) -> Result<PathBuf> {
    let into = machines().join("packages").join(version);
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let mut package = Command::new(env!("CARGO_BIN_EXE_xtask"));
    package.args(["package", "--quick", "--version", version, "--programs"]);
    run(package.arg(programs()?).arg("--into").arg(&into))?;
    Ok(into)
}

/// Makes images of a static program that is none of ours, which says what it was called as: ours would have to be built anew.
pub(crate) fn images() -> Result<PathBuf> {
    let into = machines().join("images");
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let programs = into.join("programs");
    fs::create_dir_all(&programs)?;
    for program in PROGRAMS {
        fs::copy("/bin/busybox", programs.join(program)).context("/bin/busybox: Debian's busybox-static")?;
    }
    let mut images = Command::new(env!("CARGO_BIN_EXE_xtask"));
    images.args(["images", "--version", "0.1.0", "--programs"]);
    run(images.arg(&programs).arg("--into").arg(&into))?;
    fs::remove_dir_all(&programs)?;
    Ok(into)
}
