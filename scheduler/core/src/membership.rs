//! Who belongs to the clusters: join tokens, of which only the hashes are here, and what has joined with them.

use std::fmt;
use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::ClusterName;
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;
use berth_trust::{Fingerprint, Identity, Member, Role};
use serde::{Deserialize, Serialize};

use crate::command::Principal;
use crate::keys::InstanceKey;
use crate::observation::InstanceFacts;
use crate::state::State;

/// A join token: with it hosts become members of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What it is called in lists and logs.
    pub id: Arc<str>,
    /// The hash of its secret.
    pub secret: Fingerprint,
    /// The cluster that is joined.
    pub cluster: ClusterName,
    /// As what.
    pub role: Role,
    /// What joiners may claim; anything where it is empty.
    #[serde(default, skip_serializing_if = "no_claims")]
    pub attributes: Arc<[Claim]>,
    /// How often it may still be used.
    pub uses_left: u32,
    /// Who made it.
    pub created_by: Principal,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on nobody joins with it.
    pub expires_at: Timestamp,
    /// An operator took it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// An attribute that joiners may claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// Its name.
    pub name: Arc<str>,
    /// Its value; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Arc<str>>,
}

/// What has joined: whoever has the key speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// As what, where, and its id.
    pub member: Member,
    /// The fingerprint of its key, which it keeps for life.
    pub key: Fingerprint,
    /// The token that it joined with last.
    pub token: Arc<str>,
    /// What it may claim; anything where it is empty.
    #[serde(default, skip_serializing_if = "no_claims")]
    pub attributes: Arc<[Claim]>,
    /// When it joined first.
    pub joined_at: Timestamp,
    /// The authority that signed its newest certificate.
    pub authority: Fingerprint,
    /// When that ends.
    pub expires_at: Timestamp,
}

fn no_claims(claims: &Arc<[Claim]>) -> bool {
    claims.is_empty()
}

impl JoinToken {
    /// Why nobody can join with it, if that is so.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Ended> {
        match () {
            () if self.revoked => Some(Ended::Revoked),
            () if self.expires_at <= now => Some(Ended::Expired),
            () if self.uses_left == 0 => Some(Ended::Used),
            () => None,
        }
    }
}

/// Why nobody can join with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// An operator took it back.
    Revoked,
    /// Its time is over.
    Expired,
    /// It was used as often as it may be.
    Used,
}

impl Ended {
    /// As lists say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "Revoked",
            Self::Expired => "Expired",
            Self::Used => "Used",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&self.name),
            Some(value) => write!(f, "{}={value}", self.name),
        }
    }
}

impl Enrollment {
    /// Whether its host may say this of itself. What the agent finds out (names in a namespace such as `ecs.`) is no claim.
    ///
    /// # Errors
    /// `AccessDeniedException` that names the attribute and the token.
    pub fn check_claims(&self, facts: &InstanceFacts) -> Result<(), Fault> {
        let may = |name: &str, value: Option<&String>| {
            let claims = &mut self.attributes.iter();
            claims.any(|claim| {
                *claim.name == *name && (claim.value.is_none() || claim.value.as_deref() == value.map(String::as_str))
            })
        };
        let claimed = facts
            .attributes
            .iter()
            .filter(|(name, _)| berth_model::attribute::check_name(name).is_ok());
        for (name, value) in claimed {
            if !self.attributes.is_empty() && !may(name, value.as_ref()) {
                let value = value.as_deref().unwrap_or_default();
                return Err(denied(format!(
                    "{} may not claim the attribute {name}={value}: join token {} does not have it.",
                    self.member, self.token
                )));
            }
        }
        Ok(())
    }
}

/// `AccessDeniedException` with these words.
#[must_use]
pub fn denied(text: impl Into<String>) -> Fault {
    Fault::new(FaultClass::AccessDenied, text)
}

/// What somebody has shown to be who it says: a certificate that an authority of the cluster vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is; nobody's where it has no name of ours.
    pub identity: Option<Identity>,
    /// The fingerprint of its key.
    pub key: Fingerprint,
    /// From when on it is good for nothing.
    pub expires_at: Timestamp,
}

/// Whether who has shown this speaks for the member: its own instance or gateway, and no other.
///
/// # Errors
/// `AccessDeniedException` with the reason.
pub fn speaks_for<'s>(
    state: &'s State,
    shown: Option<&Credential>,
    member: &Member,
    now: Timestamp,
) -> Result<&'s Arc<Enrollment>, Fault> {
    let shown = shown.ok_or_else(|| {
        denied(format!(
            "{member} has shown no certificate: hosts join with a token, and speak over TLS with the certificate that they get."
        ))
    })?;
    if shown.expires_at <= now {
        let at = shown.expires_at.to_rfc3339();
        return Err(denied(format!("The certificate of {member} ended at {at}.")));
    }
    match &shown.identity {
        Some(Identity::Member(own)) if own == member => admitted(state, member, &shown.key),
        Some(other) => Err(denied(format!(
            "The certificate is that of {other}: it does not speak for {member}."
        ))),
        None => Err(denied(format!(
            "The certificate names nobody of this cluster: it does not speak for {member}."
        ))),
    }
}

/// What the state knows of a member whose certificate somebody has shown.
///
/// # Errors
/// `AccessDeniedException`: it never joined or was removed, or its key is another.
pub fn admitted<'s>(state: &'s State, member: &Member, key: &Fingerprint) -> Result<&'s Arc<Enrollment>, Fault> {
    let enrollment = state.enrollment(member).ok_or_else(|| {
        denied(format!(
            "The certificate of {member} is refused: it was removed from the cluster, or never joined."
        ))
    })?;
    if !enrollment.key.matches(key) {
        return Err(denied(format!(
            "The certificate of {member} is refused: its key is not the one that it joined with."
        )));
    }
    Ok(enrollment)
}

/// Whether an instance of this member was deregistered.
pub(crate) fn is_deregistered(state: &State, member: &Member) -> bool {
    let cluster = state.cluster(&member.cluster);
    let instance = cluster.and_then(|cluster| {
        state.instance(InstanceKey {
            cluster: cluster.key,
            instance: member.id,
        })
    });
    member.role == Role::Instance && instance.is_some_and(|instance| instance.status == InstanceStatus::Inactive)
}
