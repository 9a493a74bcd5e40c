//! Certificates and what is done with them: made by the cluster's authority ([`Authority`]), read ([`Certificate`]), kept in
//! files that only their owner may read ([`files`]), and shown and asked for on the way to a scheduler ([`Membership`],
//! [`connect`]).
//!
//! Who may speak for what is decided elsewhere: by the names in `berth-trust`, and by the scheduler's state.

mod authority;
mod certificate;
mod connect;
pub mod files;
mod look;
mod membership;
mod request;
pub mod token;
mod verifier;

pub use authority::{Authority, AuthorityError, Request};
pub use certificate::{Certificate, Unreadable};
pub use connect::{Client, ConnectError, Shown, connect, is_encrypted};
pub use look::{Distrust, distrust, is_for, shown_by};
pub use membership::{JoinError, Membership, agree};

pub use request::NewKey;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// What encrypts: named, so that nothing depends on who else brings a provider along.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// So many random bytes of the operating system.
///
/// # Errors
/// It gives none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}
