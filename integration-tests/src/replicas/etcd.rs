//! etcd on hosts of its own, whose members can be killed, stopped, cut off and given a slow disk or a full one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::disk::Disk;
use crate::daemon::{Daemon, Spec};
use crate::http;
use crate::lane::Lane;
use crate::network::{Link, Network};
use crate::wait::{Seen, wait_until};

const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
/// The host of one that is alone in a bed: far from those that a bed has.
const ALONE: u8 = 200;
const READY: Duration = Duration::from_secs(60);

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) link: Link,
    pub(super) daemon: Daemon,
    disk: Option<Disk>,
}

/// Starts an etcd of so many members, on hosts from `first` on, and waits until all serve.
pub(super) fn start(lane: &Lane, network: &Network, members: usize, first: u8) -> Result<Vec<Member>> {
    let mut links = Vec::new();
    for (nth, index) in (0..members).zip(first..) {
        links.push(network.plug_in(lane, &name(nth), index)?);
    }
    let peers: Vec<String> = links
        .iter()
        .enumerate()
        .map(|(nth, link)| format!("{}=http://{}:{PEERS}", name(nth), link.address()))
        .collect();
    let peers = peers.join(",");
    let mut all = Vec::new();
    for (nth, link) in links.into_iter().enumerate() {
        all.push(Member::start(lane, link, nth, &peers)?);
    }
    all.iter().try_for_each(Member::wait_ready)?;
    Ok(all)
}

/// An etcd of one member, on a host of its own.
#[derive(Debug)]
pub struct Etcd(Vec<Member>);

impl Etcd {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not answer in time.
    pub(crate) fn start(lane: &Lane, network: &Network) -> Result<Self> {
        Ok(Self(start(lane, network, 1, ALONE)?))
    }

    /// What schedulers are told to find their journal.
    pub(crate) fn journal(&self) -> String {
        journal(&self.0)
    }
}

/// What schedulers are told to find their journal.
pub(super) fn journal(members: &[Member]) -> String {
    let hosts: Vec<String> = members.iter().map(|member| member.link.address().to_string()).collect();
    format!("etcd://{}/replicas?deadline=1", hosts.join(","))
}

fn name(nth: usize) -> String {
    format!("etcd{nth}")
}

impl Member {
    fn start(lane: &Lane, link: Link, nth: usize, peers: &str) -> Result<Self> {
        let name = name(nth);
        let data = lane.data_dir().join(&name);
        let disk = Disk::can_be_had()
            .then(|| Disk::mount(lane, &name, &data))
            .transpose()?;
        let address = link.address();
        let (clients, own) = (
            format!("http://{address}:{CLIENTS}"),
            format!("http://{address}:{PEERS}"),
        );
        let data = data.join("data").display().to_string();
        let args = [
            ["--name", &name],
            ["--data-dir", &data],
            ["--listen-client-urls", &clients],
            ["--advertise-client-urls", &clients],
            ["--listen-peer-urls", &own],
            ["--initial-advertise-peer-urls", &own],
            ["--initial-cluster", peers],
        ];
        let daemon = Daemon::start(Spec {
            // Another version than the one installed can be tried.
            program: std::env::var_os("BERTH_TEST_ETCD").map_or_else(|| PathBuf::from("etcd"), PathBuf::from),
            args: args.as_flattened().iter().map(Into::into).collect(),
            namespace: link.namespace().to_owned(),
            environment: Vec::new(),
            log: lane.log_dir().join(format!("{name}.log")),
            name,
        })?;
        let mut member = Self { link, daemon, disk };
        member.hold()?;
        Ok(member)
    }

    /// Starts it again on its data.
    pub(super) fn start_again(&mut self) -> Result<()> {
        self.daemon.start_again()?;
        self.hold()
    }

    fn hold(&mut self) -> Result<()> {
        match &self.disk {
            Some(disk) => disk.holds(self.daemon.pid()?),
            None => Ok(()),
        }
    }

    /// Its disk, where it has one of its own.
    pub(super) fn disk(&self) -> Result<&Disk> {
        self.disk.as_ref().context("this member has no disk of its own")
    }

    fn wait_ready(&self) -> Result<()> {
        let address = SocketAddr::from((self.link.address(), CLIENTS));
        wait_until("a member of etcd is healthy", READY, || {
            let answer = http::tcp(address, &http::request("GET", "/health", &[], b""))?;
            ensure!(answer.status == 200, "status {}", answer.status);
            Ok(Seen::Done(()))
        })
    }
}
