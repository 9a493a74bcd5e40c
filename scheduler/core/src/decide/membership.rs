//! CreateJoinToken, RevokeJoinToken and RemoveMember, and what members themselves ask: Enroll and Renew.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass, shortened};
use berth_model::id::AccessKeyId;
use berth_model::name::ClusterName;
use berth_model::time::Timestamp;
use berth_trust::{Fingerprint, Member, Role};

use super::access_key;
use crate::change::Change;
use crate::command::{Command, Decision, Env, Principal};
use crate::membership::{Claim, Ended, Enrollment, JoinToken, admitted, denied, is_deregistered};
use crate::state::State;

/// Join tokens that there can be.
pub const MOST: usize = 1000;
/// How long a token that nobody can join with any more is listed.
const LISTED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Makes a join token.
#[derive(Debug, Clone)]
pub struct CreateJoinToken {
    /// The cluster that is joined.
    pub cluster: ClusterName,
    /// As what.
    pub role: Role,
    /// The hash of the secret, which whoever asks has drawn.
    pub secret: Fingerprint,
    /// What joiners may claim; anything where it is empty.
    pub attributes: Arc<[Claim]>,
    /// How often it may be used.
    pub uses: u32,
    /// For how long.
    pub lifetime: Duration,
    /// Who asks.
    pub by: Principal,
}

/// Takes a join token back.
#[derive(Debug, Clone)]
pub struct RevokeJoinToken {
    /// The cluster that it is for.
    pub cluster: ClusterName,
    /// Its id.
    pub id: String,
}

/// Refuses a member from now on.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    /// Which.
    pub member: Member,
}

/// A host shows a token and becomes a member, or asks again for what came of it.
#[derive(Debug, Clone)]
pub struct Enroll {
    /// What it wants to be.
    pub member: Member,
    /// The fingerprint of its key, which it has shown to have.
    pub key: Fingerprint,
    /// The token.
    pub token: String,
    /// The hash of the secret that was sent; none where it is asked again.
    pub secret: Option<Fingerprint>,
    /// Who is about to sign its certificate.
    pub authority: Fingerprint,
    /// For how long that will be good.
    pub life: Duration,
}

/// A member wants a new certificate for the same key.
#[derive(Debug, Clone)]
pub struct Renew {
    /// Who, as its certificate says.
    pub member: Member,
    /// The fingerprint of its key.
    pub key: Fingerprint,
    /// Who is about to sign.
    pub authority: Fingerprint,
    /// For how long it will be good.
    pub life: Duration,
}

/// A certificate is made by which somebody calls as an access key.
#[derive(Debug, Clone)]
pub struct NoteCertificate {
    /// The access key, which must be usable.
    pub access_key: AccessKeyId,
    /// The fingerprint of the certificate's key.
    pub key: Fingerprint,
    /// When the certificate ends.
    pub expires_at: Timestamp,
}

impl Command for NoteCertificate {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let id = self.access_key.as_str();
        let known = state.access_key(id).filter(|known| known.is_usable(env.now()));
        known.ok_or_else(|| access_key::not_found(id))?;
        Ok(Decision {
            changes: vec![Change::OperatorCertified {
                access_key: self.access_key.clone(),
                key: self.key,
                expires_at: self.expires_at,
            }],
            outcome: (),
        })
    }
}

impl Command for CreateJoinToken {
    type Outcome = Arc<JoinToken>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<JoinToken>>, Fault> {
        state.active_cluster(&self.cluster)?;
        let now = env.now();
        let over = |token: &&Arc<JoinToken>| token.ended(now).is_some() && token.expires_at + LISTED <= now;
        let over: Vec<&Arc<JoinToken>> = state.join_tokens().filter(over).collect();
        if state.join_tokens.len() - over.len() >= MOST {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!("There are {MOST} join tokens, and at most so many are allowed."),
            ));
        }
        let mut changes: Vec<Change> = over
            .into_iter()
            .map(|token| Change::JoinTokenDeleted {
                id: Arc::clone(&token.id),
            })
            .collect();
        let token = Arc::new(JoinToken {
            id: new_id(state, env),
            secret: self.secret,
            cluster: self.cluster.clone(),
            role: self.role,
            attributes: Arc::clone(&self.attributes),
            uses_left: self.uses,
            created_by: Principal::clone(&self.by),
            created_at: now,
            expires_at: now + self.lifetime,
            revoked: false,
        });
        changes.push(put(Arc::clone(&token)));
        Ok(Decision {
            changes,
            outcome: token,
        })
    }
}

impl Command for RevokeJoinToken {
    type Outcome = Arc<JoinToken>;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<Arc<JoinToken>>, Fault> {
        let known = state.join_token(&self.id).filter(|token| token.cluster == self.cluster);
        let known = known.ok_or_else(|| not_found(&self.id))?;
        if known.revoked {
            return Ok(Decision::unchanged(Arc::clone(known)));
        }
        let token = Arc::new(JoinToken {
            revoked: true,
            ..JoinToken::clone(known)
        });
        Ok(Decision {
            changes: vec![put(Arc::clone(&token))],
            outcome: token,
        })
    }
}

impl Command for RemoveMember {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let known = state.enrollment(&self.member).ok_or_else(|| {
            Fault::new(
                FaultClass::ResourceNotFound,
                format!("There is no member {}.", self.member),
            )
        })?;
        Ok(Decision {
            changes: vec![Change::MemberRemoved {
                member: known.member.clone(),
            }],
            outcome: (),
        })
    }
}

impl Command for Enroll {
    type Outcome = Arc<Enrollment>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<Enrollment>>, Fault> {
        let now = env.now();
        state.active_cluster(&self.member.cluster)?;
        refuse_deregistered(state, &self.member)?;
        let known = state.enrollment(&self.member);
        if let Some(known) = known
            && !known.key.matches(&self.key)
        {
            return Err(denied(format!(
                "{} is a member with another key: remove it first if this host is to take its place.",
                self.member
            )));
        }
        let recorded = known.filter(|known| *known.token == *self.token && now < known.expires_at);
        let Some(secret) = &self.secret else {
            if let Some(known) = recorded {
                return Ok(self.enrolled(Enrollment::clone(known), None, env));
            }
            let usable = state.join_token(&self.token).map(|token| self.check(token, env));
            usable.transpose()?;
            return Err(not_found(&self.token));
        };
        let token = state
            .join_token(&self.token)
            .filter(|token| token.secret.matches(secret));
        let token = token.ok_or_else(|| {
            denied(format!(
                "Join token '{}' does not exist, or this is not its secret.",
                shortened(&self.token)
            ))
        })?;
        // A use that was counted already.
        if let Some(known) = recorded {
            return Ok(self.enrolled(Enrollment::clone(known), None, env));
        }
        self.check(token, env)?;
        let enrollment = Enrollment {
            member: self.member.clone(),
            key: self.key,
            token: Arc::clone(&token.id),
            attributes: Arc::clone(&token.attributes),
            joined_at: known.map_or(now, |known| known.joined_at),
            authority: self.authority,
            expires_at: now,
        };
        let used = JoinToken {
            uses_left: token.uses_left.saturating_sub(1),
            ..JoinToken::clone(token)
        };
        Ok(self.enrolled(enrollment, Some(used), env))
    }
}

impl Enroll {
    /// Whether the member may join with the token.
    fn check(&self, token: &JoinToken, env: &Env<'_>) -> Result<(), Fault> {
        let id = &token.id;
        match token.ended(env.now()) {
            Some(Ended::Revoked) => return Err(denied(format!("Join token {id} was revoked."))),
            Some(Ended::Expired) => {
                let at = token.expires_at.to_rfc3339();
                return Err(denied(format!("Join token {id} ended at {at}.")));
            }
            Some(Ended::Used) => return Err(denied(format!("Join token {id} was used as often as it may be."))),
            None => {}
        }
        if (token.role, &token.cluster) != (self.member.role, &self.member.cluster) {
            return Err(denied(format!(
                "Join token {id} is for the role {} in cluster {}, this is {}.",
                token.role, token.cluster, self.member
            )));
        }
        Ok(())
    }

    fn enrolled(&self, enrollment: Enrollment, used: Option<JoinToken>, env: &Env<'_>) -> Decision<Arc<Enrollment>> {
        let mut changes: Vec<Change> = used.into_iter().map(|token| put(Arc::new(token))).collect();
        let enrollment = Arc::new(Enrollment {
            authority: self.authority,
            expires_at: env.now() + self.life,
            ..enrollment
        });
        changes.push(Change::MemberEnrolled {
            enrollment: Arc::clone(&enrollment),
        });
        Decision {
            changes,
            outcome: enrollment,
        }
    }
}

impl Command for Renew {
    type Outcome = Arc<Enrollment>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<Enrollment>>, Fault> {
        refuse_deregistered(state, &self.member)?;
        let known = admitted(state, &self.member, &self.key)?;
        let enrollment = Arc::new(Enrollment {
            authority: self.authority,
            expires_at: env.now() + self.life,
            ..Enrollment::clone(known)
        });
        Ok(Decision {
            changes: vec![Change::MemberEnrolled {
                enrollment: Arc::clone(&enrollment),
            }],
            outcome: enrollment,
        })
    }
}

fn refuse_deregistered(state: &State, member: &Member) -> Result<(), Fault> {
    match is_deregistered(state, member) {
        false => Ok(()),
        true => Err(denied(format!(
            "Container instance {} is INACTIVE: it was deregistered. Remove the agent's state to join as a new instance.",
            member.id
        ))),
    }
}

fn put(token: Arc<JoinToken>) -> Change {
    Change::JoinTokenPut { token }
}

/// `ResourceNotFoundException` for a join token.
fn not_found(id: &str) -> Fault {
    Fault::new(
        FaultClass::ResourceNotFound,
        format!("Join token '{}' does not exist, or nothing came of it.", shortened(id)),
    )
}

fn new_id(state: &State, env: &mut Env<'_>) -> Arc<str> {
    loop {
        let id = format!("{:016x}", env.draw());
        if state.join_token(&id).is_none() {
            return id.into();
        }
    }
}

#[cfg(test)]
mod tests;
