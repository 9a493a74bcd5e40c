//! Whether the other side is a scheduler of the cluster.

use std::fmt;
use std::sync::Arc;

use berth_trust::{Fingerprint, SCHEDULER_NAME};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::certificate::Certificate;
use crate::provider;

/// No certificate that the other side shows is of the authority that the token names.
#[derive(thiserror::Error)]
#[error(
    "the scheduler is not vouched for by the authority {0} that the join token names: it is another cluster's, or somebody is in between"
)]
struct OtherAuthority(Fingerprint);

/// rustls shows errors that are not its own by this alone.
impl fmt::Debug for OtherAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Trusts the authority of one fingerprint, which the other side must show.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) pin: Fingerprint,
}

impl Pinned {
    fn verifier(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let is_pinned =
            |certificate: &&CertificateDer<'_>| Certificate::read(certificate).is_ok_and(|read| read.key == self.pin);
        let other = || {
            let error = OtherError(Arc::new(OtherAuthority(self.pin)));
            Error::InvalidCertificate(CertificateError::Other(error))
        };
        let authority = shown.iter().find(is_pinned).ok_or_else(other)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        verifier(roots).map_err(|_| other())
    }
}

/// Holds schedulers against these authorities.
pub(crate) fn verifier(
    roots: RootCertStore,
) -> Result<Arc<WebPkiServerVerifier>, tokio_rustls::rustls::server::VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
}

/// The name under which every scheduler is known, whatever it was dialled by.
pub(crate) fn scheduler_name() -> Result<ServerName<'static>, Error> {
    ServerName::try_from(SCHEDULER_NAME).map_err(|error| Error::General(error.to_string()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier(intermediates)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
