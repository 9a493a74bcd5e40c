//! Who is let in.

use std::net::Ipv4Addr;
use std::time::Duration;

use berth_model::fault::FaultClass;
use berth_model::id::AccessKeyId;
use berth_model::name::UserName;
use berth_model::policy::Policy;
use berth_scheduler_core::access_key::AccessKeyStatus;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::fold::fold;
use berth_signature::SigningDate;
use berth_signature::secret::MasterKey;
use berth_signature::sign::Credentials;

use super::*;

const ID: &str = "AKIAAAAAAAAAAAAAAAAA";

fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

fn now() -> Timestamp {
    SigningDate::from_basic("20261122T020000Z").unwrap().at()
}

fn later(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

/// A state with one access key.
fn state(status: AccessKeyStatus, master: &MasterKey, expires_at: Option<Timestamp>) -> State {
    let key = AccessKey {
        id: AccessKeyId::named(ID),
        user: UserName::parse("ci").unwrap(),
        policy: Arc::new(Policy::everything()),
        status,
        master: master.fingerprint().into(),
        created_at: now(),
        expires_at,
    };
    let mut state = State::default();
    fold(&mut state, &Change::AccessKeyPut { key: Arc::new(key) });
    state
}

fn key(secret: String) -> Credentials {
    Credentials {
        access_key: ID.into(),
        secret,
        token: None,
    }
}

/// What becomes of a change that was signed with these at `now()`, when it comes at `at`.
fn identify(
    authenticator: &Authenticator,
    credentials: &Credentials,
    state: &State,
    at: Timestamp,
) -> Result<Caller, Fault> {
    let headers = [("host", &b"127.0.0.1:7700"[..]), ("x-amz-target", b"T.RunTask")];
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        body: b"{}",
    };
    let added = credentials.sign(&request, SigningDate::of(now()), "us-east-1", "ecs");
    let mut all = headers.to_vec();
    all.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
    let call = Call {
        request: &HttpRequest {
            headers: &all,
            ..request
        },
        wire: "ecs",
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        services: &["ecs"],
        writes: true,
        peer: None,
    };
    authenticator.identify(&call, state, at)
}

fn authenticator() -> Authenticator {
    Authenticator::new(true, Some(master().into()))
}

#[test]
fn the_secret_that_follows_from_the_id_lets_in_and_no_other() {
    let state = state(AccessKeyStatus::Active, &master(), None);
    let good = key(master().secret_of(ID));
    let caller = identify(&authenticator(), &good, &state, now()).unwrap();
    assert_eq!(&*caller.principal, "ecs 127.0.0.1 user/ci AKIAAAAAAAAAAAAAAAAA");
    assert!(matches!(caller.authority, Authority::Key(key) if key.id.as_str() == ID));
    let wrong = identify(&authenticator(), &key("wrong".into()), &state, now()).unwrap_err();
    assert_eq!(wrong.class, FaultClass::InvalidSignature);
}

#[test]
fn a_key_that_is_unknown_disabled_ended_or_of_another_master_is_not_told_apart() {
    let good = key(master().secret_of(ID));
    let other = MasterKey::from_bytes([8; 32]);
    for state in [
        State::default(),
        state(AccessKeyStatus::Inactive, &master(), None),
        state(AccessKeyStatus::Active, &master(), Some(now())),
        state(AccessKeyStatus::Active, &other, None),
    ] {
        let refused = identify(&authenticator(), &good, &state, now()).unwrap_err();
        assert_eq!(refused, unrecognized());
    }
    let without = Authenticator::new(true, None);
    let state = state(AccessKeyStatus::Active, &master(), None);
    assert_eq!(identify(&without, &good, &state, now()).unwrap_err(), unrecognized());
}

#[test]
fn who_has_the_master_key_is_let_in_without_any_access_key() {
    let id = master().root_id();
    let root = Credentials {
        secret: master().secret_of(&id),
        access_key: id.clone(),
        token: None,
    };
    let caller = identify(&authenticator(), &root, &State::default(), now()).unwrap();
    assert_eq!(&*caller.principal, format!("ecs 127.0.0.1 root {id}"));
    assert!(matches!(caller.authority, Authority::Root(_)));
}

#[test]
fn a_session_lets_in_until_it_ends_or_its_key_does() {
    let session = Session {
        access_key: ID.into(),
        id: "ASIABBBBBBBBBBBBBBBB".into(),
        expires: later(60),
    };
    let (token, secret) = session.issue(&master());
    let credentials = Credentials {
        access_key: session.id.clone(),
        secret,
        token: Some(token),
    };
    let active = state(AccessKeyStatus::Active, &master(), None);
    let at = |state: &State, at| identify(&authenticator(), &credentials, state, at);
    let caller = at(&active, now()).unwrap();
    let name = "ecs 127.0.0.1 user/ci ASIABBBBBBBBBBBBBBBB of AKIAAAAAAAAAAAAAAAAA";
    assert_eq!(&*caller.principal, name);
    assert_eq!(at(&active, later(60)).unwrap_err().class, FaultClass::ExpiredToken);
    let inactive = state(AccessKeyStatus::Inactive, &master(), None);
    assert_eq!(at(&inactive, now()).unwrap_err(), unrecognized());
    let renamed = Credentials {
        access_key: ID.into(),
        ..credentials.clone()
    };
    assert_eq!(
        identify(&authenticator(), &renamed, &active, now()).unwrap_err(),
        unrecognized()
    );
    let without = Credentials {
        token: None,
        ..credentials.clone()
    };
    assert_eq!(
        identify(&authenticator(), &without, &active, now()).unwrap_err(),
        unrecognized()
    );
}

#[test]
fn the_same_change_is_taken_once() {
    let authenticator = authenticator();
    let state = state(AccessKeyStatus::Active, &master(), None);
    let good = key(master().secret_of(ID));
    identify(&authenticator, &good, &state, now()).unwrap();
    let replayed = identify(&authenticator, &good, &state, later(200)).unwrap_err();
    assert!(replayed.message.contains("made before"), "{replayed}");
}

#[test]
fn on_loopback_nobody_is_asked_unless_that_is_wanted() {
    let on = |mode: AuthMode, address: &str| mode.is_required_on(address.parse().unwrap());
    for address in [
        "127.0.0.1:7700",
        "127.3.2.1:7700",
        "[::1]:7700",
        "[::ffff:127.0.0.1]:7700",
    ] {
        assert!(
            !on(AuthMode::Loopback, address) && on(AuthMode::Required, address),
            "{address}"
        );
    }
    for address in ["0.0.0.0:7700", "[::]:7700", "10.0.0.5:7700"] {
        assert!(
            on(AuthMode::Loopback, address) && !on(AuthMode::Off, address),
            "{address}"
        );
    }
}
