//! How histories make and revoke join tokens, and what joins, renews and is removed.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_scheduler_core::decide::membership::{CreateJoinToken, Enroll, RemoveMember, Renew, RevokeJoinToken};
use berth_scheduler_core::membership::Claim;
use berth_trust::{Fingerprint, Member, Role};

use super::History;

/// Of how many members and keys there are few, so that they meet.
fn member(cluster: &ClusterName, nth: u8) -> Member {
    Member {
        role: if nth.is_multiple_of(3) {
            Role::Gateway
        } else {
            Role::Instance
        },
        cluster: cluster.clone(),
        id: InstanceId::from_bits(u128::from(nth)),
    }
}

fn fingerprint(nth: u8) -> Fingerprint {
    Fingerprint::of(&[nth])
}

impl History {
    pub(super) fn create_join_token(&mut self, cluster: &ClusterName, uses: u32, lifetime: u64) -> Result<(), Fault> {
        let command = CreateJoinToken {
            cluster: cluster.clone(),
            role: if uses.is_multiple_of(2) {
                Role::Instance
            } else {
                Role::Gateway
            },
            secret: fingerprint(0),
            attributes: Arc::new([Claim {
                name: "rack".into(),
                value: None,
            }]),
            uses,
            lifetime: Duration::from_millis(lifetime),
            by: "ops".into(),
        };
        self.submit(&command).map(drop)
    }

    pub(super) fn revoke_join_token(&mut self) -> Result<(), Fault> {
        let (id, cluster) = self.a_join_token()?;
        self.submit(&RevokeJoinToken { cluster, id }).map(drop)
    }

    pub(super) fn enroll(&mut self, nth: u8, key: u8, sends: bool) -> Result<(), Fault> {
        let (token, cluster) = self.a_join_token()?;
        let uses = |history: &Self| history.state.join_token(&token).map_or(0, |token| token.uses_left);
        let before = uses(self);
        let known = self.state.enrollment(&member(&cluster, nth)).cloned();
        let command = Enroll {
            member: member(&cluster, nth),
            key: fingerprint(key),
            token: token.clone(),
            secret: sends.then(|| fingerprint(0)),
            authority: fingerprint(9),
            life: Duration::from_millis(500),
        };
        let enrollment = self.submit(&command)?;
        let after = uses(self);
        assert!(after == before || after + 1 == before, "{before} {after}");
        assert!(sends || after == before, "who sends no secret uses none");
        assert!(
            known.is_none_or(|known| known.key == enrollment.key),
            "a member keeps its key"
        );
        Ok(())
    }

    pub(super) fn renew(&mut self, nth: usize) -> Result<(), Fault> {
        let Some(known) = self.state.members().nth(nth).cloned() else {
            return Ok(());
        };
        let command = Renew {
            member: known.member.clone(),
            key: known.key,
            authority: fingerprint(8),
            life: Duration::from_millis(500),
        };
        self.submit(&command).map(drop)
    }

    pub(super) fn remove_member(&mut self, nth: usize) -> Result<(), Fault> {
        let Some(known) = self.state.members().nth(nth).cloned() else {
            return Ok(());
        };
        self.submit(&RemoveMember {
            member: known.member.clone(),
        })
    }

    /// The last one, and its cluster.
    fn a_join_token(&self) -> Result<(String, ClusterName), Fault> {
        let token = self.state.join_tokens().last();
        let token = token.ok_or_else(|| Fault::client("there is no token yet"))?;
        Ok((token.id.to_string(), token.cluster.clone()))
    }
}
