//! What Docker says of a container that only the container itself asks for.

use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a look at a container shows beside its state.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// When Docker created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Id of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Its addresses in Docker's networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
}

/// An address in one of Docker's networks.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The network's name.
    pub network: String,
    /// IPv4.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// Bits of the IPv4 network.
    #[serde(default)]
    pub ipv4_prefix: u8,
    /// The host's end of the network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// IPv6.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// Of the interface.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
}

impl Detail {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
