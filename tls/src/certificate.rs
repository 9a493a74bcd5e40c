//! What a certificate says. Whether it is to be believed has been asked before.

use berth_model::time::Timestamp;
use berth_trust::{Fingerprint, Identity, Life};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// What one certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is; nobody's of ours where it has not exactly one name of ours.
    pub identity: Option<Identity>,
    /// The fingerprint of its key.
    pub key: Fingerprint,
    /// When it is good.
    pub life: Life,
    /// What the key that signed it is known by in certificates: not that key's fingerprint.
    pub issued_by: Vec<u8>,
    /// The same of its own key.
    pub key_id: Vec<u8>,
    /// Whether it signed itself, as roots do.
    pub is_root: bool,
}

/// The bytes are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no X.509 certificate")]
pub struct Unreadable;

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        let validity = certificate.validity();
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let mut names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| {
                let GeneralName::URI(uri) = name else { return None };
                Identity::parse(uri)
            });
        let identity = names.next().filter(|_| names.next().is_none());
        let key = Fingerprint::of(certificate.public_key().raw);
        let (mut issued_by, mut key_id) = (Vec::new(), Vec::new());
        for extension in certificate.extensions() {
            let parsed = extension.parsed_extension();
            if let ParsedExtension::AuthorityKeyIdentifier(id) = parsed {
                issued_by = id.key_identifier.as_ref().map(|id| id.0.to_vec()).unwrap_or_default();
            } else if let ParsedExtension::SubjectKeyIdentifier(id) = parsed {
                key_id = id.0.to_vec();
            }
        }
        let is_root = certificate.subject() == certificate.issuer() && (issued_by.is_empty() || issued_by == key_id);
        Ok(Self {
            identity,
            key,
            life: Life {
                begin: at(validity.not_before.timestamp()),
                end: at(validity.not_after.timestamp()),
            },
            issued_by,
            key_id,
            is_root,
        })
    }
}
