//! The host's part of the endpoint: ECS's address on the loopback device, and its port 80 led to the agent's.
//!
//! The AWS SDKs know one address and one port, 169.254.170.2:80. The address is put on `lo`, where containers reach it
//! through their gateway and those in the host's network directly. Its port 80 cannot be listened at: whoever does keeps
//! every task and Docker itself from port 80 of all addresses. So the host leads it to a port that no task may have, in
//! both ways that packets come (`prerouting` from containers, `output` from the host), ahead of Docker's own rules. The
//! rules are in a table of nftables' of their own: nobody who rewrites his rules takes them away.

use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// ECS's address.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where the agent listens: the port of the ECS agent, which no task may have by default.
pub(crate) const PORT: u16 = 51679;

const DEADLINE: Duration = Duration::from_secs(10);
/// The table and all that is in it.
const TABLE: &str = "berth_agent";

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Containers reach the endpoint.
    Up,
    /// The host is as it was.
    Down,
}

/// The host could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The program is not there, cannot be started or does not end.
    #[error("{0} cannot be run: {1}")]
    Program(&'static str, std::io::Error),
    /// It refused.
    #[error("{0}: {1}")]
    Refused(String, String),
}

/// Makes the host as asked; doing it again changes nothing.
///
/// # Errors
/// What `ip` or `nft` fails with: in most cases the caller is not root.
pub(crate) async fn set(network: Network) -> Result<(), HostError> {
    match network {
        Network::Up => {
            done("ip", &["address", "replace", &net(), "dev", "lo"]).await?;
            done("nft", &[format!("{}{}", gone(), table())]).await?;
        }
        Network::Down => {
            done("nft", &[gone()]).await?;
            let shown = run("ip", &["address", "show", "to", &net(), "dev", "lo"]).await?;
            if !shown.stdout.is_empty() {
                done("ip", &["address", "delete", &net(), "dev", "lo"]).await?;
            }
        }
    }
    Ok(())
}

fn net() -> String {
    format!("{ADDRESS}/32")
}

/// Takes the table away, also where there is none. With what follows in the same call it is one transaction.
fn gone() -> String {
    format!("add table ip {TABLE}; delete table ip {TABLE};")
}

/// The table. Docker's own chains are at `dstnat`, which is -100.
fn table() -> String {
    let chain = |hook: &str| {
        format!(
            " chain {hook} {{ type nat hook {hook} priority -105; ip daddr {ADDRESS} tcp dport 80 dnat to {ADDRESS}:{PORT}; }};"
        )
    };
    format!(" table ip {TABLE} {{{}{} }};", chain("prerouting"), chain("output"))
}

async fn done(program: &'static str, arguments: &[impl AsRef<str>]) -> Result<(), HostError> {
    let output = run(program, arguments).await?;
    if output.status.success() {
        return Ok(());
    }
    let command: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HostError::Refused(format!("{program} {}", command.join(" ")), said))
}

async fn run(program: &'static str, arguments: &[impl AsRef<str>]) -> Result<Output, HostError> {
    let running = Command::new(program)
        .args(arguments.iter().map(AsRef::as_ref))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    match tokio::time::timeout(DEADLINE, running).await {
        Ok(output) => output.map_err(|error| HostError::Program(program, error)),
        Err(elapsed) => Err(HostError::Program(program, late(elapsed))),
    }
}
