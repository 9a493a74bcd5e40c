//! The bed's network: a switch in a namespace of its own, on which the scheduler has its address, a link from there
//! to the machine for the tests' own calls, and a link to each host that can be pulled.
//!
//! The switch is not in the machine's own namespace because the machine's Docker drops what it would forward there.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::run;
use crate::daemon::in_namespace;
use crate::lane::Lane;

const DEADLINE: Duration = Duration::from_secs(60);

/// The switch of one bed.
#[derive(Debug)]
pub struct Network {
    lane: u8,
    namespace: String,
}

/// One host's end of the network.
#[derive(Debug)]
pub struct Link {
    switch: String,
    port: String,
    namespace: String,
    address: Ipv4Addr,
}

impl Network {
    /// Makes the switch, the scheduler's address on it and the machine's link to it.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn create(lane: &Lane) -> Result<Self> {
        let namespace = lane.namespace(None);
        let network = Self {
            lane: lane.number(),
            namespace,
        };
        let (switch, uplink) = (&network.namespace, &uplink(network.lane));
        ip(&["netns", "add", switch])?;
        ip(&["-n", switch, "link", "set", "lo", "up"])?;
        ip(&["-n", switch, "link", "add", "switch", "type", "bridge"])?;
        let own = format!("{}/24", network.scheduler_address());
        ip(&["-n", switch, "addr", "add", &own, "dev", "switch"])?;
        ip(&["-n", switch, "link", "set", "switch", "up"])?;
        ip(&[
            "link", "add", uplink, "type", "veth", "peer", "name", "machine", "netns", switch,
        ])?;
        ip(&["-n", switch, "link", "set", "machine", "master", "switch", "up"])?;
        let machine = format!("{}/24", network.address(254));
        ip(&["addr", "add", &machine, "dev", uplink])?;
        ip(&["link", "set", uplink, "up"])?;
        Ok(network)
    }

    /// The namespace of the switch, in which the scheduler runs.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the scheduler listens.
    #[must_use]
    pub fn scheduler_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// Makes the namespace of the `index`-th host and plugs it in.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn plug_in(&self, lane: &Lane, host: &str, index: u8) -> Result<Link> {
        let link = Link {
            switch: self.namespace.clone(),
            port: format!("to-{host}"),
            namespace: lane.namespace(Some(host)),
            address: self.address(10 + index),
        };
        let (switch, namespace) = (&link.switch, &link.namespace);
        ip(&["netns", "add", namespace])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        ip(&[
            "link", "add", &link.port, "netns", switch, "type", "veth", "peer", "name", "eth0", "netns", namespace,
        ])?;
        let own = format!("{}/24", link.address);
        ip(&["-n", namespace, "addr", "add", &own, "dev", "eth0"])?;
        ip(&["-n", namespace, "link", "set", "eth0", "up"])?;
        ip(&["-n", switch, "link", "set", &link.port, "master", "switch", "up"])?;
        Ok(link)
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.lane, host)
    }
}

impl Link {
    /// The host's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The host's address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Pulls the cable: nothing reaches the host and nothing leaves it, and neither side is told.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn cut(&self) -> Result<()> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "down"])
    }

    /// Puts the cable back.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn mend(&self) -> Result<()> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "up"])
    }

    /// Loses everything that comes from an address; what is sent there arrives. Neither side is told.
    ///
    /// # Errors
    ///
    /// If `iptables` fails.
    pub fn block(&self, from: Ipv4Addr) -> Result<()> {
        self.filter("--append", from)
    }

    /// Takes what comes from a blocked address again.
    ///
    /// # Errors
    ///
    /// If `iptables` fails, also where the address was not blocked.
    pub fn unblock(&self, from: Ipv4Addr) -> Result<()> {
        self.filter("--delete", from)
    }

    fn filter(&self, change: &str, from: Ipv4Addr) -> Result<()> {
        let mut iptables = in_namespace(&self.namespace, Path::new("iptables"));
        iptables
            .args(["--wait", change, "INPUT", "--jump", "DROP", "--source"])
            .arg(from.to_string());
        run(&mut iptables, DEADLINE).map(drop)
    }
}

/// Does something on a thread that is in a network namespace: its connections come from there.
///
/// # Errors
///
/// If the thread cannot enter the namespace, and what it does itself fails with.
pub fn inside<T: Send>(namespace: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            let path = format!("/run/netns/{namespace}");
            let file = File::open(&path).with_context(|| format!("open {path}"))?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("enter {path}"))?;
            act()
        });
        there
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the thread in {namespace} panicked")))
    })
}

/// The name of the machine's end of the link to a lane's switch.
#[must_use]
pub fn uplink(lane: u8) -> String {
    format!("berth-bed{lane}")
}

fn ip(args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(args), DEADLINE).map(drop)
}
