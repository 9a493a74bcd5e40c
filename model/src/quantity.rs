//! CPU units, memory, ports and GPUs: what a task asks for and an instance has.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// What is left after taking `other`; nothing when it is more.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;

            /// The sum, at most `u32::MAX`.
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

quantity! {
    /// CPU units: 1024 are one core.
    CpuUnits
}

quantity! {
    /// Memory in MiB.
    MemoryMib
}

quantity! {
    /// Whole GPUs.
    GpuCount
}

impl GpuCount {
    /// Whether there is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0 == 0
    }
}

/// The transport of a port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, also where nothing is said.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name that ECS and Docker use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a host, with its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// TCP and UDP ports are counted apart.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub port: u16,
}

/// A set of host ports, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortSet(Vec<HostPort>);

impl PortSet {
    /// Whether the port is in the set.
    #[must_use]
    pub fn contains(&self, port: HostPort) -> bool {
        self.0.binary_search(&port).is_ok()
    }

    /// Adds the port; says whether it was new.
    pub fn insert(&mut self, port: HostPort) -> bool {
        match self.0.binary_search(&port) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, port);
                true
            }
        }
    }

    /// The ports in order.
    pub fn iter(&self) -> impl Iterator<Item = HostPort> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<HostPort> for PortSet {
    fn from_iter<I: IntoIterator<Item = HostPort>>(ports: I) -> Self {
        let mut ports: Vec<_> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        Self(ports)
    }
}

/// What one copy of a task takes from its instance.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// CPU units reserved.
    pub cpu: CpuUnits,
    /// Memory reserved.
    pub memory: MemoryMib,
    /// Host ports that the definition fixes.
    #[serde(default, skip_serializing_if = "PortSet::is_empty")]
    pub ports: PortSet,
    /// GPUs of all containers.
    #[serde(default, skip_serializing_if = "GpuCount::is_none")]
    pub gpus: GpuCount,
}
