//! One host's Docker Engine: a `dockerd` of its own in the host's namespace, and the few calls of its API that tests
//! need, spoken over its socket. It leaves the machine's own Docker alone.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::daemon::{self, Daemon, Spec};
use crate::files;
use crate::http::{self, Response};
use crate::images;
use crate::wait::{Seen, wait_until};

mod behind;
mod container;
mod runtimes;
mod stock;
mod swarm;

pub use container::Container;
pub use stock::Stock;

/// The label that an agent puts on a task's containers; its value is the task's ARN.
pub const TASK_LABEL: &str = "com.amazonaws.ecs.task-arn";
/// The label with the container's name in its task definition.
pub const NAME_LABEL: &str = "com.amazonaws.ecs.container-name";

const DEADLINE: Duration = Duration::from_secs(120);

/// A Docker Engine of the bed.
#[derive(Debug)]
pub struct Engine {
    daemon: Mutex<Daemon>,
    socket: PathBuf,
    /// Its settings that are read again on SIGHUP.
    config: PathBuf,
    /// The daemon's own and its containerd's: killed, they leave them behind.
    pid_files: [PathBuf; 2],
}

/// Where an engine keeps things and what it is called.
#[derive(Debug)]
pub struct Place {
    /// The host's name.
    pub host: String,
    /// The host's network namespace.
    pub namespace: String,
    /// For the socket and the pid file.
    pub run_dir: PathBuf,
    /// For images and containers.
    pub data_dir: PathBuf,
    /// The daemon's log.
    pub log: PathBuf,
    /// The parent of all its containers' cgroups.
    pub cgroup: String,
    /// The address of its bridge.
    pub bridge: Ipv4Addr,
}

impl Engine {
    /// Starts `dockerd` and returns before it is ready.
    ///
    /// # Errors
    ///
    /// If its directories cannot be made or it cannot be started.
    pub fn start(place: &Place) -> Result<Self> {
        for dir in [&place.run_dir, &place.data_dir] {
            std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        }
        // The machine's own configuration is not ours.
        let config = place.run_dir.join("daemon.json");
        std::fs::write(&config, r#"{"live-restore": true}"#).with_context(|| format!("write {}", config.display()))?;
        let socket = place.run_dir.join("docker.sock");
        let exec_root = place.run_dir.join("exec");
        let pid_file = place.run_dir.join("docker.pid");
        let args = [
            format!("--config-file={}", config.display()),
            format!("--data-root={}", place.data_dir.display()),
            format!("--exec-root={}", exec_root.display()),
            format!("--pidfile={}", pid_file.display()),
            format!("--host=unix://{}", socket.display()),
            format!("--cgroup-parent={}", place.cgroup),
            format!("--bip={}/24", place.bridge),
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            "--log-level=warn".to_owned(),
            // No bed has a name server: looking up a name is to fail at once.
            "--dns=127.0.0.1".to_owned(),
        ];
        let daemon = Daemon::start(Spec {
            name: format!("dockerd of {}", place.host),
            namespace: place.namespace.clone(),
            program: PathBuf::from("dockerd"),
            args: args.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            log: place.log.clone(),
        })?;
        Ok(Self {
            daemon: Mutex::new(daemon),
            socket,
            config,
            pid_files: [pid_file, exec_root.join("containerd/containerd.pid")],
        })
    }

    /// The engine's address, as an agent takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The process, to freeze and to resume. Held only for the length of one act on it.
    pub fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the engine answers.
    ///
    /// # Errors
    ///
    /// If it ends or does not answer in time.
    pub fn wait_ready(&self) -> Result<()> {
        let ready = wait_until("the Docker Engine answers", DEADLINE, || {
            if let Err(ended) = self.daemon().check_running() {
                return Ok(Seen::Done(Err(ended)));
            }
            let pong = self.get("/_ping")?;
            Ok(if pong.status == 200 {
                Seen::Done(Ok(()))
            } else {
                Seen::NotYet(pong.text())
            })
        })?;
        ready.context(
            "no Docker Engine for the test; it needs dockerd, containerd and runc (on Debian: apt-get install docker.io \
             iptables) and root with all capabilities",
        )
    }

    /// Loads the test images.
    ///
    /// # Errors
    ///
    /// If they cannot be made or the engine refuses them.
    pub fn load_images(&self) -> Result<()> {
        let answer = self.request("POST", "/images/load?quiet=1", "application/x-tar", images::archive()?)?;
        let said = answer.text();
        // The load's own failure comes in the body of a 200.
        if answer.status != 200 || said.contains("errorDetail") {
            bail!("load the test images: {}: {said}", answer.status);
        }
        Ok(())
    }

    /// Pulls an image, and returns its id.
    ///
    /// # Errors
    ///
    /// If the engine cannot get it.
    pub fn pull(&self, name: &str) -> Result<String> {
        let target = format!("/images/create?fromImage={}", percent_encoded(name));
        let answer = self.request("POST", &target, "application/json", &[])?;
        let said = answer.text();
        if answer.status != 200 || said.contains("errorDetail") {
            bail!("pull {name}: {}: {said}", answer.status);
        }
        self.image(name)?
            .with_context(|| format!("{name} was pulled and is not there"))
    }

    /// The id of the image of a name, if there is one.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn image(&self, name: &str) -> Result<Option<String>> {
        let answer = self.get(&format!("/images/{name}/json"))?;
        match answer.status {
            200 => {
                let image: Value = serde_json::from_slice(&answer.body).context("parse Docker's inspect")?;
                Ok(image["Id"].as_str().map(str::to_owned))
            }
            404 => Ok(None),
            status => bail!("inspect {name}: {status}: {}", answer.text()),
        }
    }

    /// Ends `dockerd` with SIGTERM and starts it again; containers live on.
    ///
    /// # Errors
    ///
    /// If it does not end or does not come back in time.
    pub fn restart(&self) -> Result<()> {
        self.daemon().terminate(DEADLINE)?;
        self.start_again()
    }

    /// Kills `dockerd`, and with it its containerd; containers live on.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub fn kill(&self) -> Result<()> {
        let [_, containerd] = &self.pid_files;
        let containerd = files::read_pid(containerd)?;
        self.daemon().kill()?;
        wait_until("containerd is gone", DEADLINE, || {
            let gone = daemon::is_gone(containerd);
            Ok(Seen::when(gone, || format!("process {containerd:?}")))
        })
    }

    /// Starts a `dockerd` that was killed.
    ///
    /// # Errors
    ///
    /// If it runs, or does not come up in time.
    pub fn start_again(&self) -> Result<()> {
        // A killed daemon's number, taken for a living one's, would have the new one wait for it.
        for pid_file in &self.pid_files {
            files::remove(pid_file)?;
        }
        self.daemon().start_again()?;
        self.wait_ready()
    }

    /// All containers that carry a label, running or not; with an empty label simply all.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn containers(&self, label: &str) -> Result<Vec<Container>> {
        let filter = if label.is_empty() {
            String::new()
        } else {
            format!("&filters={}", percent_encoded(&format!(r#"{{"label":["{label}"]}}"#)))
        };
        let listed = self.json("GET", &format!("/containers/json?all=1{filter}"), None)?;
        let mut containers = Vec::new();
        for listed in listed.as_array().into_iter().flatten() {
            let id = listed["Id"].as_str().unwrap_or_default();
            let answer = self.get(&format!("/containers/{id}/json"))?;
            match answer.status {
                200 => containers.push(Container::new(&answer.body)?),
                // Removed since it was listed.
                404 => {}
                status => bail!("inspect {id}: {status}: {}", answer.text()),
            }
        }
        Ok(containers)
    }

    /// The containers of one task.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn task_containers(&self, task_arn: &str) -> Result<Vec<Container>> {
        self.containers(&format!("{TASK_LABEL}={task_arn}"))
    }

    /// Creates and starts a container that no agent knows; returns its id.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn run(&self, name: &str, spec: &Value) -> Result<String> {
        let id = self.create(name, spec)?;
        self.json("POST", &format!("/containers/{id}/start"), None)?;
        Ok(id)
    }

    /// Changes limits of a container, as `docker update` does.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn update(&self, id: &str, limits: &Value) -> Result<()> {
        self.json("POST", &format!("/containers/{id}/update"), Some(limits))
            .map(drop)
    }

    /// What a container uses, as `docker stats` is told.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn stats(&self, id: &str) -> Result<Value> {
        self.json("GET", &format!("/containers/{id}/stats?stream=0"), None)
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn signal(&self, id: &str, signal: &str) -> Result<()> {
        self.json("POST", &format!("/containers/{id}/kill?signal={signal}"), None)
            .map(drop)
    }

    /// Does to a container what Docker's command of the name does: `stop`, `restart`, `pause`, `unpause`.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn act(&self, id: &str, command: &str) -> Result<()> {
        self.json("POST", &format!("/containers/{id}/{command}"), None)
            .map(drop)
    }

    /// A container's exit code, once it has one.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn wait_exit(&self, id: &str) -> Result<i64> {
        let ended = self.json("POST", &format!("/containers/{id}/wait"), None)?;
        ended["StatusCode"].as_i64().context("no StatusCode")
    }

    /// What a container has written to both its outputs.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn logs(&self, id: &str) -> Result<String> {
        let answer = self.get(&format!("/containers/{id}/logs?stdout=1&stderr=1"))?;
        Ok(container::log_text(&answer.body))
    }

    /// Waits until a container has printed a text. A script that is to be sent a signal sets its trap first and prints
    /// then: before, the signal would end the shell.
    ///
    /// # Errors
    ///
    /// If it has not printed it in time.
    pub fn wait_printed(&self, id: &str, text: &str) -> Result<()> {
        wait_until(&format!("container {id} prints {text:?}"), DEADLINE, || {
            let printed = self.logs(id)?;
            Ok(Seen::when(printed.contains(text), || format!("{printed:?}")))
        })
    }

    /// Removes a container, running or not, with its anonymous volumes.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.json("DELETE", &format!("/containers/{id}?force=1&v=1"), None)
            .map(drop)
    }

    /// Removes an image that no container uses, by its name.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn remove_image(&self, name: &str) -> Result<()> {
        self.json("DELETE", &format!("/images/{name}"), None).map(drop)
    }

    /// Removes a network that no container is on.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn remove_network(&self, name: &str) -> Result<()> {
        self.json("DELETE", &format!("/networks/{name}"), None).map(drop)
    }

    /// Removes all containers and ends `dockerd`, in good order so that nothing is left but files.
    ///
    /// # Errors
    ///
    /// If the engine does not answer or does not end in time.
    pub fn shut_down(&self) -> Result<()> {
        self.daemon().resume()?;
        for container in self.containers("")? {
            self.remove(container.id())?;
        }
        self.daemon().terminate(DEADLINE).map(drop)
    }

    /// Names of the engine's volumes.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn volumes(&self) -> Result<Vec<String>> {
        let listed = self.json("GET", "/volumes", None)?;
        Ok(listed["Volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|volume| volume["Name"].as_str().map(str::to_owned))
            .collect())
    }

    fn json(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.request(method, target, "application/json", body.as_bytes())?;
        if !(200..400).contains(&answer.status) {
            bail!("{method} {target}: {}: {}", answer.status, answer.text());
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{method} {target}"))
    }

    fn get(&self, target: &str) -> Result<Response> {
        self.request("GET", target, "application/json", &[])
    }

    fn request(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Result<Response> {
        let request = http::request(method, target, &[("content-type", kind)], body);
        http::unix(&self.socket, &request)
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
