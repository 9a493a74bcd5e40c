//! What all machines of a test share: a directory, a switch, and a scheduler beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::machines;
use crate::shell::{line, run, until};
use crate::system::unmount_below;

/// The scheduler's address on the switch; machines have those after it.
const NETWORK: &str = "10.219.7";
const CLUSTER: &str = "machines";

/// A network of its own with a scheduler on it.
#[derive(Debug)]
pub struct Place {
    /// What is kept of it, beside other places.
    pub directory: PathBuf,
    name: String,
    programs: PathBuf,
    scheduler: Child,
}

impl Place {
    /// Makes the network and starts the scheduler of the directory with the `programs`; what a killed run has left is taken
    /// away.
    ///
    /// # Errors
    /// This is not root, or the scheduler does not serve.
    pub fn make(name: &str, programs: &Path) -> Result<Self> {
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
        let scheduler = inside_of(&name, &programs.join("berth-scheduler"))
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
            programs: programs.to_path_buf(),
            scheduler,
        };
        until("the scheduler serves", Duration::from_secs(60), || {
            place.berth(&["clusters", "create", CLUSTER]).map(Some)
        })?;
        Ok(place)
    }

    /// Plugs a network namespace for the machine with this number into the switch; its name.
    ///
    /// # Errors
    /// The namespace cannot be made.
    pub fn plug(&self, number: u8) -> Result<String> {
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
        // Docker does it on a host; a machine cannot write there, and has what the host happened to have when this was made.
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run(Command::new("ip").args(["netns", "exec", &namespace, "sh", "-c", forward]))?;
        Ok(namespace)
    }

    /// A token with which one machine may join.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub fn token(&self) -> Result<String> {
        let token = self.berth(&["tokens", "create"])?;
        Ok(token.trim().to_owned())
    }

    /// A token that was taken back before anybody used it.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub fn revoked_token(&self) -> Result<String> {
        let token = self.token()?;
        let id = token.split('.').nth(1).context("a token has an id")?;
        self.berth(&["tokens", "revoke", id])?;
        Ok(token)
    }

    /// What an agent needs to know, line by line, as ecs.config has it.
    #[must_use]
    pub fn settings(token: &str) -> String {
        format!("ECS_CLUSTER={CLUSTER}\nBERTH_SCHEDULER=https://{NETWORK}.1:7700\nBERTH_JOIN_TOKEN={token}\n")
    }

    /// The same for agent.toml.
    #[must_use]
    pub fn toml(token: &str) -> String {
        format!("scheduler = [\"https://{NETWORK}.1:7700\"]\ncluster = \"{CLUSTER}\"\njoin-token = \"{token}\"\n")
    }

    /// What the scheduler has said.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("scheduler.log")).context("read the scheduler's log")
    }

    /// A program that is to run in the network, beside the scheduler.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        inside_of(&self.name, program)
    }

    /// Runs the command line against the scheduler; what it prints.
    ///
    /// # Errors
    /// It does not succeed; with what it printed.
    pub fn berth(&self, arguments: &[&str]) -> Result<String> {
        let mut berth = self.command(&self.programs.join("berth"));
        berth.args(arguments);
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
    ///
    /// # Errors
    /// As those of [`Self::berth`], or the answer is no JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.berth(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// The ids of the instances that are connected and take tasks, sorted.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub fn connected(&self) -> Result<Vec<String>> {
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
        Ok(ids)
    }

    /// Waits until as many instances are connected and take tasks; their ids.
    ///
    /// # Errors
    /// There are others after two minutes; with what the scheduler says of them.
    pub fn instances(&self, count: usize) -> Result<Vec<String>> {
        let within = Duration::from_secs(120);
        until(&format!("{count} instances are connected"), within, || {
            let ids = self.connected()?;
            ensure!(ids.len() == count, "{ids:?} of {}", self.ask(&["instances"])?);
            Ok(Some(ids))
        })
    }

    /// Runs the task definition and waits until as many tasks of it run.
    ///
    /// # Errors
    /// One is not placed, or stops.
    pub fn run_tasks(&self, count: usize) -> Result<()> {
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

/// A program that is to run in a network namespace.
fn inside_of(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
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
    unmount_below(directory)?;
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
