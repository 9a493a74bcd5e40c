//! CreateAccessKey, UpdateAccessKey, RotateAccessKey and DeleteAccessKey.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass, shortened};
use berth_model::id::AccessKeyId;
use berth_model::name::UserName;
use berth_model::policy::Policy;
use berth_model::time::Timestamp;

use crate::access_key::{AccessKey, AccessKeyStatus};
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::state::State;

/// Access keys that there can be.
pub const MOST: usize = 1000;
/// What ids of access keys begin with.
const KIND: &str = "AKIA";

/// Makes an access key.
#[derive(Debug, Clone)]
pub struct CreateAccessKey {
    /// Who it is for; others may be for the same.
    pub user: UserName,
    /// What it may do.
    pub policy: Arc<Policy>,
    /// The fingerprint of the master key that its secret is to follow from.
    pub master: Arc<str>,
}

/// Changes an access key.
#[derive(Debug, Clone)]
pub struct UpdateAccessKey {
    /// Its id.
    pub id: String,
    /// Whether it is to be used; as it is where absent.
    pub status: Option<AccessKeyStatus>,
    /// What it may do; as it is where absent.
    pub policy: Option<Arc<Policy>>,
}

/// Makes an access key that takes the place of another.
#[derive(Debug, Clone)]
pub struct RotateAccessKey {
    /// The other's id.
    pub id: String,
    /// The fingerprint of the master key that the new secret is to follow from.
    pub master: Arc<str>,
    /// For how long the other is good besides it.
    pub grace: Duration,
}

/// Deletes an access key.
#[derive(Debug, Clone)]
pub struct DeleteAccessKey {
    /// Its id.
    pub id: String,
}

impl Command for CreateAccessKey {
    type Outcome = Arc<AccessKey>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<AccessKey>>, Fault> {
        let key = AccessKey {
            id: new_id(state, env),
            user: self.user.clone(),
            policy: Arc::clone(&self.policy),
            status: AccessKeyStatus::Active,
            master: Arc::clone(&self.master),
            created_at: env.now(),
            expires_at: None,
        };
        add(state, env.now(), key, Vec::new())
    }
}

impl Command for RotateAccessKey {
    type Outcome = Arc<AccessKey>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<AccessKey>>, Fault> {
        let now = env.now();
        let known = find(state, &self.id, now)?;
        if known.expires_at.is_some() {
            return Err(Fault::client(format!(
                "Access key {} was rotated before: another has taken its place.",
                known.id
            )));
        }
        let old = AccessKey {
            expires_at: Some(now + self.grace),
            ..AccessKey::clone(known)
        };
        let key = AccessKey {
            id: new_id(state, env),
            master: Arc::clone(&self.master),
            created_at: now,
            ..AccessKey::clone(known)
        };
        add(state, now, key, vec![Change::AccessKeyPut { key: Arc::new(old) }])
    }
}

impl Command for UpdateAccessKey {
    type Outcome = Arc<AccessKey>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Arc<AccessKey>>, Fault> {
        let known = find(state, &self.id, env.now())?;
        let key = Arc::new(AccessKey {
            status: self.status.unwrap_or(known.status),
            policy: self
                .policy
                .as_ref()
                .map_or_else(|| Arc::clone(&known.policy), Arc::clone),
            ..AccessKey::clone(known)
        });
        if key == *known {
            return Ok(Decision::unchanged(key));
        }
        Ok(Decision {
            changes: vec![Change::AccessKeyPut { key: Arc::clone(&key) }],
            outcome: key,
        })
    }
}

impl Command for DeleteAccessKey {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let known = state.access_key(&self.id).ok_or_else(|| not_found(&self.id))?;
        Ok(Decision {
            changes: vec![Change::AccessKeyDeleted { id: known.id.clone() }],
            outcome: (),
        })
    }
}

/// The access key of the id, whose time is not over.
fn find<'s>(state: &'s State, id: &str, now: Timestamp) -> Result<&'s Arc<AccessKey>, Fault> {
    let known = state.access_key(id).filter(|key| !key.has_ended(now));
    known.ok_or_else(|| not_found(id))
}

/// `ResourceNotFoundException` for an access key.
#[must_use]
pub fn not_found(id: &str) -> Fault {
    Fault::new(
        FaultClass::ResourceNotFound,
        format!("Access key '{}' does not exist.", shortened(id)),
    )
}

/// Adds a key, and lets go of those whose time is over.
fn add(
    state: &State,
    now: Timestamp,
    key: AccessKey,
    mut changes: Vec<Change>,
) -> Result<Decision<Arc<AccessKey>>, Fault> {
    let ended = state.access_keys().filter(|known| known.has_ended(now));
    let ended: Vec<&AccessKeyId> = ended.map(|known| &known.id).collect();
    if state.access_keys.len() - ended.len() >= MOST {
        return Err(Fault::new(
            FaultClass::LimitExceeded,
            format!("There are {MOST} access keys, and at most so many are allowed."),
        ));
    }
    changes.extend(ended.into_iter().map(|id| Change::AccessKeyDeleted { id: id.clone() }));
    let key = Arc::new(key);
    changes.push(Change::AccessKeyPut { key: Arc::clone(&key) });
    Ok(Decision { changes, outcome: key })
}

fn new_id(state: &State, env: &mut Env<'_>) -> AccessKeyId {
    loop {
        let bits = (u128::from(env.draw()) << 64) | u128::from(env.draw());
        let id = AccessKeyId::from_bits(KIND, bits);
        if state.access_key(id.as_str()).is_none() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Entry, Record};
    use crate::command::Memory;
    use crate::fold::fold_record;

    fn submit<C: Command>(state: &mut State, millis: i64, command: &C) -> Result<C::Outcome, Fault> {
        let mut memory = Memory::default();
        let at = Timestamp::from_millis(millis);
        let seed = state.revision().0;
        let decision = command.decide(state, &mut Env::new(at, seed, &mut memory))?;
        let entry = Entry {
            at,
            by: "test".into(),
            changes: decision.changes,
        };
        let record = Record {
            v: Record::FORMAT,
            revision: state.revision().next(),
            entries: vec![entry],
        };
        fold_record(state, &record);
        Ok(decision.outcome)
    }

    fn create() -> CreateAccessKey {
        CreateAccessKey {
            user: UserName::parse("ci").unwrap(),
            policy: Arc::new(Policy::everything()),
            master: "m".into(),
        }
    }

    #[test]
    fn a_key_is_good_until_it_is_disabled_or_deleted() {
        let mut state = State::default();
        let key = submit(&mut state, 1, &create()).unwrap();
        assert!(
            key.id.as_str().starts_with("AKIA") && key.id.as_str().len() == 20,
            "{}",
            key.id
        );
        let now = Timestamp::from_millis(2);
        let usable = |state: &State| state.access_key(key.id.as_str()).is_some_and(|key| key.is_usable(now));
        assert!(usable(&state));
        for status in [AccessKeyStatus::Inactive, AccessKeyStatus::Active] {
            let update = UpdateAccessKey {
                id: key.id.to_string(),
                status: Some(status),
                policy: None,
            };
            submit(&mut state, 2, &update).unwrap();
            assert_eq!(usable(&state), status == AccessKeyStatus::Active);
        }
        let delete = DeleteAccessKey { id: key.id.to_string() };
        submit(&mut state, 3, &delete).unwrap();
        assert!(!usable(&state));
        assert_eq!(submit(&mut state, 3, &delete), Err(not_found(key.id.as_str())));
    }

    #[test]
    fn a_rotated_key_is_good_for_its_grace_besides_the_new_one_and_then_gone() {
        let mut state = State::default();
        let old = submit(&mut state, 1, &create()).unwrap();
        let rotate = RotateAccessKey {
            id: old.id.to_string(),
            master: "n".into(),
            grace: Duration::from_millis(100),
        };
        let new = submit(&mut state, 10, &rotate).unwrap();
        assert_ne!(new.id, old.id);
        assert_eq!((&*new.master, &new.user, &new.policy), ("n", &old.user, &old.policy));
        let at = |state: &State, id: &AccessKeyId, millis| {
            state
                .access_key(id.as_str())
                .is_some_and(|key| key.is_usable(Timestamp::from_millis(millis)))
        };
        assert!(at(&state, &old.id, 109) && at(&state, &new.id, 109));
        assert!(!at(&state, &old.id, 110) && at(&state, &new.id, 110));
        let again = submit(&mut state, 50, &rotate).unwrap_err();
        assert!(again.message.contains("rotated before"), "{again}");
        assert_eq!(submit(&mut state, 110, &rotate), Err(not_found(old.id.as_str())));
        submit(&mut state, 200, &create()).unwrap();
        assert!(state.access_key(old.id.as_str()).is_none());
        assert!(state.access_key(new.id.as_str()).is_some());
    }

    #[test]
    fn there_are_so_many_keys_and_no_more() {
        let mut state = State::default();
        for _ in 0..MOST {
            submit(&mut state, 1, &create()).unwrap();
        }
        let refused = submit(&mut state, 1, &create()).unwrap_err();
        assert_eq!(refused.class, FaultClass::LimitExceeded);
    }
}
