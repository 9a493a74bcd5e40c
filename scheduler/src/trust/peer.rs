//! What the other side of a connection has shown.

use std::sync::Arc;

use berth_scheduler_core::membership::Credential;
use berth_tls::Certificate;
use berth_trust::Identity;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// The other side of one connection; every request that comes over it has this among its extensions.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Whether what it says can be read by nobody in between.
    pub encrypted: bool,
    /// Its certificate, which an authority of the cluster vouches for.
    pub certificate: Option<Arc<Certificate>>,
}

impl Peer {
    /// The other side of a connection over TLS that has shown these certificates.
    #[must_use]
    pub fn encrypted(shown: Option<&[CertificateDer<'_>]>) -> Self {
        let own = shown.and_then(<[_]>::first);
        Self {
            encrypted: true,
            certificate: own.and_then(|own| Certificate::read(own).ok()).map(Arc::new),
        }
    }

    /// The certificate, as decisions have it.
    #[must_use]
    pub fn credential(&self) -> Option<Credential> {
        self.certificate.as_ref().map(|certificate| Credential {
            identity: certificate.identity.clone(),
            key: certificate.key,
            expires_at: certificate.life.end,
        })
    }

    /// Whether it is another scheduler of the cluster.
    #[must_use]
    pub fn is_scheduler(&self) -> bool {
        let identity = self.certificate.as_ref().and_then(|own| own.identity.as_ref());
        identity == Some(&Identity::Scheduler)
    }
}
