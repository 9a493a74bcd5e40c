//! Who speaks for what between the hosts of a cluster: the names in certificates ([`Identity`]), the text of join tokens
//! ([`JoinToken`]), what authorities and keys are known by ([`Fingerprint`]), and when a certificate is renewed ([`Life`]).
//!
//! Nothing here reads a certificate, a file or a clock: `berth-tls` does, and asks here.

mod fingerprint;
mod identity;
mod life;
mod token;

pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use identity::{Identity, Member, Role, SCHEDULER_NAME};
pub use life::Life;
pub use token::{JoinToken, NotAToken, Secret};
