//! Access keys: who may call, and what each may do. Their secrets are kept nowhere: they follow from the id and the
//! operator's master key, of which only the fingerprint is here.

use std::sync::Arc;

use berth_model::id::AccessKeyId;
use berth_model::name::UserName;
use berth_model::policy::Policy;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One access key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Its id: given once, never to another.
    pub id: AccessKeyId,
    /// Who it is for.
    pub user: UserName,
    /// What it may do.
    pub policy: Arc<Policy>,
    /// Whether it is to be used.
    pub status: AccessKeyStatus,
    /// The fingerprint of the master key that its secret follows from.
    pub master: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, where another has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Whether an access key is to be used, in IAM's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    /// It is.
    Active,
    /// Its calls are refused until it is Active again.
    Inactive,
}

impl AccessKey {
    /// Whether calls with it are taken.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.status == AccessKeyStatus::Active && !self.has_ended(now)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl AccessKeyStatus {
    /// The status of IAM's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Active" => Some(Self::Active),
            "Inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// IAM's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}
