//! A real etcd on loopback.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use berth_integration_tests::files;

const READY: Duration = Duration::from_secs(60);

/// The members of an etcd; they go with their data when it is dropped.
#[derive(Debug)]
pub(crate) struct Etcd {
    members: Vec<(SocketAddr, Child)>,
    data: PathBuf,
}

impl Etcd {
    /// Starts so many members and waits until each takes connections.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub(crate) fn start(members: usize) -> Result<Self> {
        let data = files::target_dir()?.join(format!("bench-etcd-{}", std::process::id()));
        let addresses: Vec<(SocketAddr, SocketAddr)> = (0..members)
            .map(|_| anyhow::Ok((free_address()?, free_address()?)))
            .collect::<Result<_>>()?;
        let peers: Vec<String> = addresses
            .iter()
            .enumerate()
            .map(|(nth, (_, peer))| format!("m{nth}=http://{peer}"))
            .collect();
        let mut etcd = Self {
            members: Vec::new(),
            data,
        };
        for (nth, (client, peer)) in addresses.iter().enumerate() {
            let (name, client_url, peer_url) =
                (format!("m{nth}"), format!("http://{client}"), format!("http://{peer}"));
            let child = Command::new("etcd")
                .args(["--name", &name, "--data-dir"])
                .arg(etcd.data.join(&name))
                .args([
                    "--listen-client-urls",
                    &client_url,
                    "--advertise-client-urls",
                    &client_url,
                ])
                .args([
                    "--listen-peer-urls",
                    &peer_url,
                    "--initial-advertise-peer-urls",
                    &peer_url,
                ])
                .args(["--initial-cluster", &peers.join(",")])
                .args(["--quota-backend-bytes", "8589934592"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("start etcd (if it is missing: cargo xtask prepare)")?;
            etcd.members.push((*client, child));
        }
        etcd.members.iter().try_for_each(|(client, _)| wait_open(*client))?;
        Ok(etcd)
    }

    /// What a scheduler is told to find its journal.
    pub(crate) fn journal(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(|(client, _)| client.to_string()).collect();
        format!("etcd://{}/bench", hosts.join(","))
    }
}

/// An address on loopback that nobody listens at.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until somebody listens at the address.
pub(crate) fn wait_open(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + READY;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            bail!("nobody listens at {address}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for (address, child) in &mut self.members {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                eprintln!("the etcd at {address} was not killed: {error}");
            }
        }
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            eprintln!("{} was not removed: {error}", self.data.display());
        }
    }
}
