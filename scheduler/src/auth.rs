//! Who calls: signatures of requests, held against the access keys of the state and the operator's master key.
//!
//! Where nothing need be signed nobody is asked, and the name that goes into the journal is what the caller says. What a caller
//! may do is another question, which `api` asks with the whole request in hand.

mod master;
mod replay;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::AccessKeyId;
use berth_model::time::Timestamp;
use berth_scheduler_core::access_key::AccessKey;
use berth_scheduler_core::command::Principal;
use berth_scheduler_core::state::State;
use berth_signature::secret::MasterKeys;
use berth_signature::session::{Session, unrecognized};
use berth_signature::{HttpRequest, Presented};
use berth_trust::Identity;
use clap::ValueEnum;

use crate::trust::peer::Peer;

pub use master::{MasterKeyError, find};
use replay::Replays;

/// Of which calls is asked who makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Of all, unless the scheduler listens on a loopback address
    Loopback,
    /// Of all
    Required,
    /// Of none
    Off,
}

impl AuthMode {
    /// Whether calls must be signed where the scheduler listens on the address.
    #[must_use]
    pub fn is_required_on(self, listen: SocketAddr) -> bool {
        match self {
            Self::Loopback => !listen.ip().to_canonical().is_loopback(),
            Self::Required => true,
            Self::Off => false,
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Goes into the journal with what the call changes.
    pub principal: Principal,
    /// Where the call comes from, as the connection says.
    pub address: IpAddr,
    /// What it may do.
    pub authority: Authority,
    /// Where it found this scheduler.
    pub reached: Reached,
}

/// By what address a scheduler was called, as its caller has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Host and port; none where the request does not say, or what it says is none.
    pub authority: Option<Arc<str>>,
    /// Whether TLS is spoken there.
    pub encrypted: bool,
}

impl Reached {
    /// As the headers of a request say it, and its connection. A proxy that ends TLS says so (`X-Forwarded-Proto`); whoever
    /// says so wrongly misleads nobody but itself.
    #[must_use]
    pub fn of(headers: &[(&str, &[u8])], peer: Option<&Peer>) -> Self {
        let named = |wanted: &str| {
            let mut named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.next().and_then(|(_, value)| std::str::from_utf8(value).ok())
        };
        let authority = named("host").and_then(|host| host.parse::<http::uri::Authority>().ok());
        let forwarded = named("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        Self {
            authority: authority.map(|authority| authority.as_str().into()),
            encrypted: forwarded || peer.is_some_and(|peer| peer.encrypted),
        }
    }
}

/// What a caller may do.
#[derive(Debug, Clone)]
pub enum Authority {
    /// Everything: nobody was asked.
    Unasked,
    /// Everything: it has the operator's own key of this id.
    Root(Arc<str>),
    /// What the policy of the access key says.
    Key(Arc<AccessKey>),
}

/// What is known of a call before its signature is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The request.
    pub request: &'a HttpRequest<'a>,
    /// `ecs` or `grpc`: on which of its ways it came.
    pub wire: &'a str,
    /// Where it comes from.
    pub address: IpAddr,
    /// The services that it may be signed for.
    pub services: &'a [&'a str],
    /// Whether it may change something.
    pub writes: bool,
    /// What the connection has shown.
    pub peer: Option<&'a Peer>,
}

impl Call<'_> {
    fn reached(&self) -> Reached {
        Reached::of(self.request.headers, self.peer)
    }

    /// The access key that the connection's certificate names, where the call says nothing of its own.
    fn shown(&self) -> Option<&AccessKeyId> {
        let is_signed = |name: &str| name.eq_ignore_ascii_case("authorization");
        if self.request.headers.iter().any(|(name, _)| is_signed(name))
            || self.request.query.contains("X-Amz-Signature=")
        {
            return None;
        }
        match self.peer?.certificate.as_ref()?.identity.as_ref()? {
            Identity::Operator(key) => Some(key),
            Identity::Scheduler | Identity::Member(_) => None,
        }
    }
}

/// Finds out who calls.
#[derive(Debug)]
pub struct Authenticator {
    required: bool,
    master: Option<MasterKeys>,
    replays: Replays,
}

impl Authenticator {
    /// One that asks, or not; without master keys there are no access keys.
    #[must_use]
    pub fn new(required: bool, master: Option<MasterKeys>) -> Self {
        Self {
            required,
            master,
            replays: Replays::default(),
        }
    }

    /// Whether calls must be signed.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// The master keys, where there are any.
    #[must_use]
    pub const fn master(&self) -> Option<&MasterKeys> {
        self.master.as_ref()
    }

    /// Who makes the call.
    ///
    /// # Errors
    /// In AWS's words, why the signature is not taken.
    pub fn identify(&self, call: &Call<'_>, state: &State, now: Timestamp) -> Result<Caller, Fault> {
        if let Some(id) = call.shown() {
            return by_certificate(call, id, state, now);
        }
        let presented = Presented::read(call.request)?;
        presented.check_scope(call.services, now)?;
        let (authority, secret, name) = self.authority(&presented, state, now)?;
        presented.verify(call.request, &secret)?;
        if call.writes {
            self.replays.note(&presented.signature, presented.good_until(), now)?;
        }
        Ok(Caller {
            principal: format!("{} {} {name}", call.wire, call.address.to_canonical()).into(),
            address: call.address,
            authority,
            reached: call.reached(),
        })
    }

    /// What the access key may do, its secret, and its name as the journal has it.
    fn authority(
        &self,
        presented: &Presented,
        state: &State,
        now: Timestamp,
    ) -> Result<(Authority, String, String), Fault> {
        let master = self.master.as_ref().ok_or_else(unrecognized)?;
        let id = presented.access_key.as_str();
        let Some(token) = &presented.token else {
            if let Some(master) = master.of_root_id(id) {
                return Ok((Authority::Root(id.into()), master.secret_of(id), format!("root {id}")));
            }
            let key = usable(state, id, now)?;
            let secret = self.master_of(key)?.secret_of(id);
            let name = format!("user/{} {id}", key.user);
            return Ok((Authority::Key(Arc::clone(key)), secret, name));
        };
        let (session, code) = Session::read(token)?;
        if session.id != id {
            return Err(unrecognized());
        }
        let parent = session.access_key.as_str();
        if let Some(master) = master.of_root_id(parent) {
            let secret = session.verify(&code, master, now)?;
            return Ok((Authority::Root(parent.into()), secret, format!("root {id} of {parent}")));
        }
        let key = usable(state, parent, now)?;
        let secret = session.verify(&code, self.master_of(key)?, now)?;
        let name = format!("user/{} {id} of {parent}", key.user);
        Ok((Authority::Key(Arc::clone(key)), secret, name))
    }

    fn master_of(&self, key: &AccessKey) -> Result<&berth_signature::secret::MasterKey, Fault> {
        let known = self.master.as_ref().and_then(|keys| keys.of_fingerprint(&key.master));
        known.ok_or_else(|| {
            tracing::warn!(
                access_key = %key.id,
                master = %key.master,
                "access key was made with a master key that this scheduler does not have"
            );
            unrecognized()
        })
    }
}

/// Who has a certificate for an access key may do what the key may, and as long as it may. The time of the certificate itself was
/// judged when the connection was made, and is again: a connection may last longer.
fn by_certificate(call: &Call<'_>, id: &AccessKeyId, state: &State, now: Timestamp) -> Result<Caller, Fault> {
    let certificate = call.peer.and_then(|peer| peer.certificate.as_ref());
    if certificate.is_none_or(|certificate| certificate.life.is_over(now)) {
        return Err(unrecognized());
    }
    let key = usable(state, id.as_str(), now)?;
    let address = call.address.to_canonical();
    Ok(Caller {
        principal: format!("{} {address} user/{} {id} by certificate", call.wire, key.user).into(),
        address: call.address,
        authority: Authority::Key(Arc::clone(key)),
        reached: call.reached(),
    })
}

fn usable<'s>(state: &'s State, id: &str, now: Timestamp) -> Result<&'s Arc<AccessKey>, Fault> {
    let key = state.access_key(id).filter(|key| key.is_usable(now));
    key.ok_or_else(unrecognized)
}

#[cfg(test)]
mod tests;
