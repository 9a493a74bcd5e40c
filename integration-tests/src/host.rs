//! One host of a bed: its end of the network and its Docker Engine.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::agent::{Agent, Options};
use crate::docker::{Engine, Place};
use crate::gateway::{self, Gateway};
use crate::lane::Lane;
use crate::network::{Link, Network};

/// A host. Its engine runs from its making to its end; agents come and go.
#[derive(Debug)]
pub struct Host {
    name: String,
    link: Link,
    engine: Engine,
    data_dir: PathBuf,
    log_dir: PathBuf,
    /// Where agents make the control groups of tasks: among what the lane sweeps.
    task_cgroup: String,
}

impl Host {
    /// Plugs the host in and starts its Docker Engine, which is ready once [`Host::wait_ready`] returns.
    ///
    /// # Errors
    ///
    /// If the network or the engine cannot be started.
    pub fn start(lane: &Lane, network: &Network, name: &str, index: u8) -> Result<Self> {
        let link = network.plug_in(lane, name, index)?;
        let data_dir = lane.data_dir().join(name);
        let engine = Engine::start(&Place {
            host: name.to_owned(),
            namespace: link.namespace().to_owned(),
            run_dir: lane.run_dir().join(name),
            data_dir: data_dir.join("docker"),
            log: lane.log_dir().join(format!("{name}-dockerd.log")),
            cgroup: lane.cgroup(name),
            bridge: Ipv4Addr::new(172, 30, 10 + index, 1),
        })?;
        Ok(Self {
            name: name.to_owned(),
            link,
            engine,
            data_dir,
            log_dir: lane.log_dir(),
            task_cgroup: format!("{}/berth", lane.cgroup(name)),
        })
    }

    /// Waits until Docker answers, and loads the test images.
    ///
    /// # Errors
    ///
    /// If Docker does not come up.
    pub fn wait_ready(&self) -> Result<()> {
        let ready = self.engine.wait_ready();
        ready
            .and_then(|()| self.engine.load_images())
            .with_context(|| format!("host {}", self.name))
    }

    /// The host's name in its bed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's address, which the test, the scheduler and the other hosts reach.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.link.address()
    }

    /// The cable to the switch.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Where the engine's images and the agents' state are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The host's Docker Engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where Docker keeps images and containers.
    #[must_use]
    pub fn docker_dir(&self) -> PathBuf {
        self.data_dir.join("docker")
    }

    /// The state directory of the host's agent in a cluster.
    #[must_use]
    pub fn state_dir(&self, cluster: &str) -> PathBuf {
        self.data_dir.join("agents").join(cluster)
    }

    /// Starts a gateway of a cluster on the host.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_gateway(&self, options: &gateway::Options) -> Result<Gateway> {
        Gateway::start(
            &self.name,
            self.link.namespace(),
            &self.data_dir.join("gateways").join(&options.cluster),
            &self.log_dir.join(format!("{}-gateway.log", self.name)),
            options,
        )
    }

    /// Starts an agent on the host, with a state directory that belongs to the cluster's name.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_agent(&self, options: &Options) -> Result<Agent> {
        let mut options = options.clone();
        let dash = if options.settings.name.is_empty() { "" } else { "-" };
        let own = format!("{dash}{}", options.settings.name);
        // Of its own: an agent that starts sweeps the groups of tasks that it does not know.
        let cgroup = format!("{}/{}{own}", self.task_cgroup, options.cluster);
        let arguments = &mut options.settings.arguments;
        arguments.extend(["--task-cgroup".to_owned(), cgroup]);
        Agent::start(
            &self.name,
            self.link.namespace(),
            &self.engine.url(),
            &self.state_dir(&format!("{}{own}", options.cluster)),
            &self.log_dir.join(format!("{}-agent{own}.log", self.name)),
            &options,
        )
    }
}
