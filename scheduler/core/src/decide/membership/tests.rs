//! Who joins with which token, who is refused and with which words.

use berth_model::id::InstanceId;
use berth_model::time::Timestamp;
use berth_trust::{Identity, Secret};

use super::*;
use crate::change::{Entry, Record};
use crate::command::Memory;
use crate::decide::instance::{ConnectInstance, DeregisterInstance};
use crate::fold::fold_record;
use crate::keys::ClusterKey;
use crate::membership::{Credential, speaks_for};

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    state: State,
    now: Timestamp,
}

fn secret(nth: u8) -> Secret {
    Secret::from_bytes([nth; 32])
}

fn prod() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

fn instance(bits: u128) -> Member {
    Member {
        role: Role::Instance,
        cluster: prod(),
        id: InstanceId::from_bits(bits),
    }
}

impl World {
    fn new() -> Self {
        let mut state = State::default();
        for (key, name) in [(1, "prod"), (2, "test")] {
            let created = Change::ClusterCreated {
                name: ClusterName::parse(name).unwrap(),
                key: ClusterKey(key),
                tags: Vec::new(),
            };
            crate::fold::fold(&mut state, &created);
        }
        Self {
            state,
            now: Timestamp::from_millis(1_000_000),
        }
    }

    fn submit<C: Command>(&mut self, command: &C) -> Result<C::Outcome, Fault> {
        let mut memory = Memory::default();
        let seed = self.state.revision().0;
        let decision = command.decide(&self.state, &mut Env::new(self.now, seed, &mut memory))?;
        let record = Record {
            v: Record::FORMAT,
            revision: self.state.revision().next(),
            entries: vec![Entry {
                at: self.now,
                by: "test".into(),
                changes: decision.changes,
            }],
        };
        fold_record(&mut self.state, &record);
        Ok(decision.outcome)
    }

    fn token(&mut self, nth: u8, uses: u32) -> Arc<JoinToken> {
        let create = CreateJoinToken {
            cluster: prod(),
            role: Role::Instance,
            secret: secret(nth).hash(),
            attributes: Arc::default(),
            uses,
            lifetime: HOUR,
            by: "ops".into(),
        };
        self.submit(&create).unwrap()
    }

    fn enroll(
        &mut self,
        member: Member,
        key: &[u8],
        token: &JoinToken,
        with: Option<u8>,
    ) -> Result<Arc<Enrollment>, Fault> {
        self.submit(&Enroll {
            member,
            key: Fingerprint::of(key),
            token: token.id.to_string(),
            secret: with.map(|nth| secret(nth).hash()),
            authority: Fingerprint::of(b"authority"),
            life: 24 * HOUR,
        })
    }

    fn renew(&mut self, member: Member, key: &[u8]) -> Result<Arc<Enrollment>, Fault> {
        self.submit(&Renew {
            member,
            key: Fingerprint::of(key),
            authority: Fingerprint::of(b"another"),
            life: 24 * HOUR,
        })
    }

    fn uses_left(&self, token: &JoinToken) -> u32 {
        self.state.join_token(&token.id).unwrap().uses_left
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Fault>, says: &str) {
    let fault = answer.unwrap_err();
    assert_eq!(fault.class, FaultClass::AccessDenied, "{fault}");
    assert!(fault.message.contains(says), "{fault}");
}

#[test]
fn a_token_lets_in_as_many_as_it_says_and_each_only_once() {
    let mut world = World::new();
    let token = world.token(1, 2);
    let first = world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    assert_eq!((first.expires_at, first.joined_at), (world.now + 24 * HOUR, world.now));
    assert_eq!(world.uses_left(&token), 1);
    // The answer got lost, and it is asked again: without the secret, or with it by an agent that lost its memory of that.
    world.enroll(instance(1), b"a", &token, None).unwrap();
    world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    assert_eq!(world.uses_left(&token), 1);
    world.enroll(instance(2), b"b", &token, Some(1)).unwrap();
    refused(
        world.enroll(instance(3), b"c", &token, Some(1)),
        "was used as often as it may be",
    );
    refused(
        world.enroll(instance(3), b"c", &token, None),
        "was used as often as it may be",
    );
}

#[test]
fn a_token_that_was_revoked_or_is_over_or_is_for_something_else_says_so() {
    let mut world = World::new();
    let token = world.token(1, 5);
    let gateway = Member {
        role: Role::Gateway,
        ..instance(1)
    };
    refused(
        world.enroll(gateway, b"a", &token, Some(1)),
        "is for the role instance in cluster prod",
    );
    let elsewhere = Member {
        cluster: ClusterName::parse("test").unwrap(),
        ..instance(1)
    };
    refused(world.enroll(elsewhere, b"a", &token, Some(1)), "in cluster prod");
    refused(
        world.enroll(instance(1), b"a", &token, Some(2)),
        "or this is not its secret",
    );
    let nothing_came_of_it = world.enroll(instance(1), b"a", &token, None).unwrap_err();
    assert_eq!(nothing_came_of_it.class, FaultClass::ResourceNotFound);
    let revoke = RevokeJoinToken {
        cluster: prod(),
        id: token.id.to_string(),
    };
    assert!(world.submit(&revoke).unwrap().revoked);
    for with in [Some(1), None] {
        refused(world.enroll(instance(1), b"a", &token, with), "was revoked");
    }
    let late = world.token(2, 5);
    world.now = late.expires_at;
    refused(
        world.enroll(instance(1), b"a", &late, Some(2)),
        "ended at 1970-01-01T01:16:40.000Z",
    );
    let elsewhere = RevokeJoinToken {
        cluster: ClusterName::parse("test").unwrap(),
        id: late.id.to_string(),
    };
    assert_eq!(
        world.submit(&elsewhere).unwrap_err().class,
        FaultClass::ResourceNotFound
    );
}

#[test]
fn nobody_takes_the_place_of_a_member_who_has_another_key() {
    let mut world = World::new();
    let token = world.token(1, 5);
    world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    for with in [Some(1), None] {
        refused(
            world.enroll(instance(1), b"thief", &token, with),
            "is a member with another key",
        );
    }
    refused(world.renew(instance(1), b"thief"), "not the one that it joined with");
    refused(world.renew(instance(2), b"a"), "never joined");
    let renewed = world.renew(instance(1), b"a").unwrap();
    assert_eq!(renewed.authority, Fingerprint::of(b"another"));
    world.submit(&RemoveMember { member: instance(1) }).unwrap();
    refused(world.renew(instance(1), b"a"), "was removed");
    world.enroll(instance(1), b"thief", &token, Some(1)).unwrap();
}

#[test]
fn who_comes_back_after_its_certificate_ended_needs_another_token() {
    let mut world = World::new();
    let token = world.token(1, 5);
    let first = world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    world.now = first.expires_at;
    refused(world.enroll(instance(1), b"a", &token, None), "ended at");
    let second = world.token(2, 1);
    let again = world.enroll(instance(1), b"a", &second, Some(2)).unwrap();
    assert_eq!((again.joined_at, &*again.token), (first.joined_at, &*second.id));
}

#[test]
fn a_deregistered_instance_gets_no_certificate() {
    let mut world = World::new();
    let token = world.token(1, 5);
    world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    let connect = ConnectInstance {
        cluster: prod(),
        instance: instance(1).id,
        facts: Arc::default(),
        leaving: None,
        via: None,
    };
    world.submit(&connect).unwrap();
    world.renew(instance(1), b"a").unwrap();
    let deregister = DeregisterInstance {
        cluster: prod(),
        instance: instance(1).id,
        force: false,
    };
    world.submit(&deregister).unwrap();
    refused(world.renew(instance(1), b"a"), "is INACTIVE: it was deregistered");
    refused(world.enroll(instance(1), b"a", &token, Some(1)), "is INACTIVE");
}

#[test]
fn joiners_claim_what_their_token_has_and_agents_find_out_the_rest() {
    let claim = |name: &str, value: Option<&str>| Claim {
        name: name.into(),
        value: value.map(Into::into),
    };
    let mut world = World::new();
    let token = world.token(1, 1);
    let enrollment = world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    let facts = |given: &[(&str, &str)]| crate::observation::InstanceFacts {
        attributes: given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect(),
        ..Default::default()
    };
    enrollment
        .check_claims(&facts(&[("rack", "r1"), ("vault", "yes")]))
        .unwrap();
    let narrow = Enrollment {
        attributes: [claim("rack", None), claim("tier", Some("web"))].into(),
        ..Enrollment::clone(&enrollment)
    };
    narrow
        .check_claims(&facts(&[("rack", "r1"), ("tier", "web"), ("ecs.os-type", "linux")]))
        .unwrap();
    refused(
        narrow.check_claims(&facts(&[("tier", "vault")])),
        "may not claim the attribute tier=vault",
    );
    refused(
        narrow.check_claims(&facts(&[("vault", "yes")])),
        "may not claim the attribute vault=yes",
    );
}

#[test]
fn a_certificate_speaks_for_the_member_that_it_names_and_only_while_the_state_knows_it() {
    let mut world = World::new();
    let token = world.token(1, 5);
    let enrollment = world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    world.enroll(instance(2), b"b", &token, Some(1)).unwrap();
    let shown = |identity, key: &[u8]| Credential {
        identity,
        key: Fingerprint::of(key),
        expires_at: enrollment.expires_at,
    };
    let own = shown(Some(Identity::Member(instance(1))), b"a");
    let speaks = |world: &World, shown: Option<&Credential>| {
        speaks_for(&world.state, shown, &instance(1), world.now).map(Arc::clone)
    };
    assert_eq!(speaks(&world, Some(&own)).unwrap(), enrollment);
    refused(speaks(&world, None), "has shown no certificate");
    let anothers = shown(Some(Identity::Member(instance(2))), b"b");
    refused(speaks(&world, Some(&anothers)), "does not speak for instance/prod/0");
    refused(
        speaks(&world, Some(&shown(Some(Identity::Scheduler), b"a"))),
        "does not speak for",
    );
    refused(speaks(&world, Some(&shown(None, b"a"))), "names nobody");
    let of_another_key = shown(Some(Identity::Member(instance(1))), b"b");
    refused(speaks(&world, Some(&of_another_key)), "not the one that it joined with");
    world.submit(&RemoveMember { member: instance(1) }).unwrap();
    refused(speaks(&world, Some(&own)), "was removed");
    world.enroll(instance(1), b"a", &token, Some(1)).unwrap();
    world.now = own.expires_at;
    refused(speaks(&world, Some(&own)), "ended at");
}

#[test]
fn there_are_so_many_tokens_and_no_more_until_old_ones_are_let_go_of() {
    let mut world = World::new();
    for _ in 0..MOST {
        world.token(1, 1);
    }
    let create = CreateJoinToken {
        cluster: prod(),
        role: Role::Gateway,
        secret: secret(1).hash(),
        attributes: Arc::default(),
        uses: 1,
        lifetime: HOUR,
        by: "ops".into(),
    };
    assert_eq!(world.submit(&create).unwrap_err().class, FaultClass::LimitExceeded);
    world.now = world.now + HOUR + LISTED;
    world.submit(&create).unwrap();
    assert_eq!(world.state.join_tokens().count(), 1);
}
