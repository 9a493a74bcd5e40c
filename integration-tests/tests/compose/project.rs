//! A directory with a project's files, and `berth` run in it as its user would.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::docker::Container;
use berth_integration_tests::{Seen, binaries, command, http, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{CLUSTER, FRONT, Hosts};

/// Longer than any wait of the program itself in these tests.
const DEADLINE: Duration = Duration::from_secs(240);

pub(super) struct Project<'h> {
    hosts: &'h Hosts,
    name: &'static str,
    directory: PathBuf,
}

/// How `berth` ended, and what it said.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// `berth` at work.
pub(super) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl<'h> Project<'h> {
    /// A project with this Compose file.
    pub(super) fn new(hosts: &'h Hosts, name: &'static str, compose: &str) -> Result<Self> {
        let project = Self::empty(hosts, name)?;
        project.write("compose.yaml", compose)?;
        Ok(project)
    }

    /// A directory of that name with nothing in it.
    pub(super) fn empty(hosts: &'h Hosts, name: &'static str) -> Result<Self> {
        let directory = hosts.bed.data_dir("projects").join(name);
        fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        Ok(Self { hosts, name, directory })
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.directory.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs `berth` with these arguments in the directory.
    pub(super) fn berth(&self, arguments: &[&str]) -> Result<Ran> {
        let output = command::output(&mut self.command(arguments)?, DEADLINE)?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `berth compose`, which must succeed.
    pub(super) fn compose(&self, arguments: &[&str]) -> Result<Ran> {
        let ran = self.berth(&[&["compose"], arguments].concat())?;
        ensure!(ran.code == Some(0), "compose {arguments:?}: {ran:#?}");
        Ok(ran)
    }

    /// Starts `berth compose` and leaves it running.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running> {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.directory.join(name));
        let to = |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        let mut command = self.command(&[&["compose"], arguments].concat())?;
        command.stdin(Stdio::null()).stdout(to(&stdout)?).stderr(to(&stderr)?);
        Ok(Running {
            child: command.spawn().context("start berth")?,
            stdout,
            stderr,
        })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut berth = Command::new(binaries::path("berth")?);
        // Nothing of the caller's environment may say how files are read.
        berth.current_dir(&self.directory).env_clear();
        berth.env("BERTH_SCHEDULER", self.hosts.cluster.scheduler.url());
        berth.env("BERTH_CLUSTER", CLUSTER);
        berth.args(arguments);
        Ok(berth)
    }

    /// The service of the cluster that this one of the files became.
    pub(super) fn service(&self, name: &str) -> Result<Value> {
        self.hosts.cluster.service(&format!("{}-{name}", self.name))
    }

    /// Running containers of a service of the files, with the host of each.
    pub(super) fn containers(&self, service: &str) -> Result<Vec<(&'h str, Container)>> {
        let mut found = Vec::new();
        for host in self.hosts.bed.hosts() {
            let label = format!("com.docker.compose.project={}", self.name);
            let containers = host.engine().containers(&label)?;
            let is_meant = |container: &Container| {
                container.is_running() && container.label("com.docker.compose.service") == service
            };
            found.extend(
                containers
                    .into_iter()
                    .filter(is_meant)
                    .map(|container| (host.name(), container)),
            );
        }
        Ok(found)
    }

    /// Sees that nothing of the project is left: no service, no definition, nothing that runs.
    pub(super) fn check_gone(&self) -> Result<()> {
        let ecs = self.hosts.cluster.ecs();
        let prefix = format!("{}-", self.name);
        let families = ecs.call(
            "ListTaskDefinitionFamilies",
            &json!({"familyPrefix": prefix, "status": "ACTIVE"}),
        )?;
        ensure!(families["families"] == json!([]), "{families}");
        let services = ecs.call("ListServices", &json!({"cluster": CLUSTER, "maxResults": 100}))?;
        ensure!(!services.to_string().contains(&format!("/{prefix}")), "{services}");
        for host in self.hosts.bed.hosts() {
            for container in host
                .engine()
                .containers(&format!("com.docker.compose.project={}", self.name))?
            {
                ensure!(!container.is_running(), "{} runs on", container.id());
            }
        }
        Ok(())
    }

    /// What the gateway answers on this port.
    pub(super) fn ask(&self, port: u16, path: &str) -> Result<String> {
        get(self.hosts, FRONT, port, path)
    }

    /// Waits until the gateway answers so on this port.
    pub(super) fn wait_answer(&self, port: u16, path: &str, expected: &str) -> Result<()> {
        wait_until(&format!("{path} answers {expected:?}"), SOON, || {
            let answer = self.ask(port, path)?;
            Ok(Seen::when(answer.trim_end() == expected, || answer))
        })
    }
}

impl Ran {
    /// What is said to be not honoured, line by line.
    pub(super) fn not_honoured(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix("not honoured: "))
            .collect()
    }

    /// Sees that it was said, in these words.
    pub(super) fn said(&self, text: &str) -> Result<()> {
        ensure!(self.stderr.contains(text), "not said: {text}: {self:#?}");
        Ok(())
    }
}

impl Running {
    /// Waits until it has told something.
    pub(super) fn wait_told(&mut self, text: &str) -> Result<()> {
        wait_until(&format!("berth says {text:?}"), DEADLINE, || {
            let told = fs::read_to_string(&self.stderr)?;
            if let Some(status) = self.child.try_wait()? {
                return Ok(Seen::Done(Err(anyhow::anyhow!(
                    "{status} before it said {text:?}: {told}"
                ))));
            }
            Ok(match told.contains(text) {
                true => Seen::Done(Ok(())),
                false => Seen::NotYet(told),
            })
        })?
    }

    /// Presses Ctrl-C and waits for its end.
    pub(super) fn interrupt(mut self) -> Result<Ran> {
        let pid = Pid::from_raw(self.child.id().try_into()?).context("no process")?;
        kill_process(pid, Signal::INT).context("interrupt berth")?;
        let Some(status) = command::wait(&mut self.child, SOON)? else {
            self.child.kill()?;
            bail!("berth goes on {SOON:?} after Ctrl-C");
        };
        Ok(Ran {
            code: status.code(),
            stdout: fs::read_to_string(&self.stdout)?,
            stderr: fs::read_to_string(&self.stderr)?,
        })
    }
}

/// What a host answers on this port.
pub(super) fn get(hosts: &Hosts, host: &str, port: u16, path: &str) -> Result<String> {
    let address = SocketAddr::from((hosts.bed.host(host)?.address(), port));
    let answer = http::tcp(address, &http::request("GET", path, &[], b""))?;
    ensure!(
        answer.status == 200,
        "{address}{path}: {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer.text())
}
