//! What is known of one container of a task.

mod detail;

use berth_model::quantity::Protocol;
use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use detail::{Address, Detail};

use crate::create::TASK_NETWORK;
use crate::image::Pin;

/// How far a container has come. It only moves forward; a restart in place begins anew at [`Phase::Starting`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Docker has nothing of it yet.
    #[default]
    Waiting,
    /// Its image is there.
    Pulled,
    /// Docker has it; it was never started.
    Created,
    /// A start was asked for, at least once: it may run.
    Starting,
    /// It runs.
    Running,
    /// It ended, or will never start.
    Stopped,
}

/// A container, as it is kept over restarts of the agent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name in the definition.
    pub name: String,
    /// How far it has come.
    pub phase: Phase,
    /// Docker's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// Digest of the image, or its id where it has no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Docker's id of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// What the image wants to be stopped with; SIGTERM where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Exit code of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Host ports that forward to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
    /// What it may be told of itself, as far as Docker was looked at.
    #[serde(default, skip_serializing_if = "Detail::is_empty")]
    pub detail: Detail,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When it was told to stop: SIGKILL follows after its stop timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signalled_at: Option<Timestamp>,
    /// Docker has it no more.
    #[serde(default)]
    pub removed: bool,
    /// How often it was started again in its place, by its restart policy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// When its process began by Docker's word, which tells one run from the next; none until Docker was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Timestamp>,
    /// What its health check says, where its definition has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// What its start waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The last lines of its log, and what its health check said: as it failed, where it failed by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// Somebody has paused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Somebody else has ended it and started it again: it is stopped, for how it ended is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

impl Container {
    /// Whether it runs, or is between two runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Running || (self.phase == Phase::Starting && self.restarts > 0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Container {
    /// What its image's name was taken for.
    #[must_use]
    pub fn image_pin(&self) -> Option<Pin> {
        let id = self.image_id.as_ref()?;
        Some(match self.image_digest.as_ref().filter(|digest| *digest != id) {
            Some(digest) => Pin::Digest(digest.clone()),
            None => Pin::Id(id.clone()),
        })
    }
}

impl Container {
    /// Its IPv4 address on the network of tasks that have one of their own.
    #[must_use]
    pub fn task_address(&self) -> Option<&str> {
        let mut addresses = self.detail.addresses.iter();
        let own = addresses.find(|address| address.network == TASK_NETWORK)?;
        Some(own.ipv4.as_str()).filter(|address| !address.is_empty())
    }
}

/// A host port that forwards to a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    /// The port inside.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port of the host.
    pub host_port: u16,
    /// The address that it listens on.
    pub bind_ip: String,
    /// How many ports in a row it stands for, where a range is mapped; 0 for a single port.
    #[serde(default, skip_serializing_if = "is_single")]
    pub range: u16,
}

fn is_single(range: &u16) -> bool {
    *range == 0
}

impl Binding {
    /// The ports one by one.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.range.max(1)).map(|offset| Self {
            container_port: self.container_port.saturating_add(offset),
            host_port: self.host_port.saturating_add(offset),
            range: 0,
            ..self.clone()
        })
    }
}

/// The bindings without those that only repeat a port for IPv6. Where Docker chose another port for IPv6 both stay, that
/// of IPv4 first: it is the one that readers of the first binding mean.
#[must_use]
pub fn without_duplicates(mut bindings: Vec<Binding>) -> Vec<Binding> {
    // In this order `0.0.0.0` comes before `::`.
    bindings.sort();
    bindings.dedup_by(|later, kept| {
        (later.container_port, later.protocol, later.host_port) == (kept.container_port, kept.protocol, kept.host_port)
    });
    bindings.sort_by_key(|binding| (binding.container_port, binding.protocol, binding.bind_ip.contains(':')));
    bindings
}

/// What Docker says of a container that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Docker's id.
    pub id: String,
    /// Created, running or over.
    pub state: RunState,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// Host ports that forward to it now.
    pub bindings: Vec<Binding>,
    /// What it wants to be stopped with.
    pub stop_signal: Option<String>,
    /// What its health check says; unknown where it has none or has not said anything yet.
    pub health: HealthStatus,
    /// Its processes are frozen.
    pub paused: bool,
    /// What it may be told of itself.
    pub detail: Detail,
    /// The last lines of its log, and what its health check said, where it has failed and that was asked for.
    pub tail: Vec<String>,
}

/// Docker's states, as far as they make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Never started.
    Created,
    /// Its process lives, paused or not.
    Running,
    /// Its process has ended.
    Exited {
        /// Exit code of the process.
        exit_code: i32,
        /// The kernel killed a process of it for want of memory.
        oom_killed: bool,
        /// When it ended.
        finished_at: Option<Timestamp>,
    },
}

/// A container in Docker's list: coarser than a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// Its name in the definition.
    pub name: String,
    /// Docker's id.
    pub id: String,
    /// Whether its process lives.
    pub running: bool,
    /// Whether its processes are frozen.
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_reported_once_for_both_families() {
        let binding = |bind_ip: &str, host_port| Binding {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_port,
            bind_ip: bind_ip.to_owned(),
            range: 0,
        };
        let all = vec![
            binding("::", 32768),
            binding("0.0.0.0", 32768),
            binding("0.0.0.0", 32769),
        ];
        assert_eq!(
            without_duplicates(all),
            [binding("0.0.0.0", 32768), binding("0.0.0.0", 32769)]
        );
    }

    #[test]
    fn the_port_for_ipv4_comes_first_where_ipv6_has_a_lower_one() {
        let binding = |bind_ip: &str, container_port, host_port| Binding {
            container_port,
            protocol: Protocol::Tcp,
            host_port,
            bind_ip: bind_ip.to_owned(),
            range: 0,
        };
        // The port that comes next was taken for IPv4 alone.
        let all = vec![
            binding("::", 80, 32770),
            binding("0.0.0.0", 80, 32771),
            binding("0.0.0.0", 53, 32773),
        ];
        assert_eq!(
            without_duplicates(all),
            [
                binding("0.0.0.0", 53, 32773),
                binding("0.0.0.0", 80, 32771),
                binding("::", 80, 32770)
            ]
        );
    }
}
