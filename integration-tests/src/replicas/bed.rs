//! The bed: members of etcd, schedulers, and hosts of clients and of agents, each in a network namespace of its own.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::disk::Disk;
use super::etcd::{self, Member};
use super::fault::Targets;
use crate::lane::Lane;
use crate::network::{Link, Network};
use crate::scheduler::Scheduler;

const PORT: u16 = 7700;
/// Hosts of clients, and of agents.
const HOSTS: usize = 3;
/// Where the addresses of each begin.
const MEMBERS_FROM: u8 = 1;
const SCHEDULERS_FROM: u8 = 20;
const CLIENTS_FROM: u8 = 40;
const AGENTS_FROM: u8 = 60;

/// Seconds for which an agent may be away before its services' tasks are replaced.
const GRACE: &str = "15";

/// All processes and hosts of a run. Dropping it removes all of it.
#[derive(Debug)]
pub(super) struct Bed {
    // Fields drop in this order: the lane, last, sweeps what the others left.
    pub(super) schedulers: Vec<Seat>,
    pub(super) members: Vec<Member>,
    pub(super) clients: Vec<Link>,
    pub(super) agents: Vec<Link>,
    _network: Network,
    pub(super) lane: Lane,
}

/// A scheduler and where it is.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) link: Link,
    pub(super) process: Scheduler,
    disk: Option<Disk>,
}

impl Seat {
    /// The disk that its journal is on, where that is a file.
    pub(super) fn disk(&self) -> Result<&Disk> {
        self.disk.as_ref().context("this scheduler has no disk of its own")
    }
}

impl Bed {
    /// Makes it and waits until everything serves. Without members of etcd there is one scheduler with a file.
    pub(super) fn start(name: &str, targets: Targets) -> Result<Self> {
        let lane = Lane::claim(name)?;
        let network = Network::create(&lane)?;
        let members = match targets.members {
            0 => Vec::new(),
            count => etcd::start(&lane, &network, count, MEMBERS_FROM)?,
        };
        let journal = etcd::journal(&members);
        let mut options = vec!["--lost-instance-grace", GRACE];
        if !members.is_empty() {
            options.extend(["--journal", &journal]);
        }
        let mut schedulers = Vec::new();
        for (nth, index) in (0..targets.schedulers).zip(SCHEDULERS_FROM..) {
            let name = format!("sched{nth}");
            let link = network.plug_in(&lane, &name, index)?;
            let data = lane.data_dir().join(&name);
            let own_disk = members.is_empty() && targets.disks;
            let disk = own_disk.then(|| Disk::mount(&lane, &name, &data)).transpose()?;
            let process = Scheduler::start(
                link.namespace(),
                SocketAddr::from((link.address(), PORT)),
                &data,
                &lane.log_dir().join(format!("{name}.log")),
                &options,
            )?;
            schedulers.push(Seat { link, process, disk });
        }
        let hosts = |kind: &str, first: u8| -> Result<Vec<Link>> {
            let hosts = (0..HOSTS).zip(first..);
            hosts
                .map(|(nth, index)| network.plug_in(&lane, &format!("{kind}{nth}"), index))
                .collect()
        };
        let (clients, agents) = (hosts("client", CLIENTS_FROM)?, hosts("agent", AGENTS_FROM)?);
        Ok(Self {
            schedulers,
            members,
            clients,
            agents,
            _network: network,
            lane,
        })
    }

    /// Where the schedulers serve.
    pub(super) fn urls(&self) -> Vec<String> {
        self.schedulers.iter().map(|seat| seat.process.url()).collect()
    }

    /// The address of the journal in etcd.
    pub(super) fn journal(&self) -> String {
        etcd::journal(&self.members)
    }
}

/// The namespaces of hosts.
pub(super) fn namespaces(hosts: &[Link]) -> Vec<String> {
    hosts.iter().map(|link| link.namespace().to_owned()).collect()
}
