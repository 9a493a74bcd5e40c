//! The cluster's authority: a key, and the certificates that say whose it is.
//!
//! Its bundle begins with the certificate of its own key. Behind it stand those that vouch for it with keys that were there
//! before: who trusts only those follows the chain from the new one to the old, so that an authority can be replaced
//! while everybody goes on.

use std::net::IpAddr;
use std::time::Duration;

use berth_model::time::Timestamp;
use berth_trust::{Fingerprint, Identity, Life};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};

use crate::certificate::{Certificate, Unreadable};
use crate::{files, random};

/// How long an authority is good.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// By how much clocks of hosts may be behind: certificates are good from so long before they were made.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Something that signs certificates.
#[derive(Debug)]
pub struct Authority {
    key: KeyPair,
    /// Its own first.
    bundle: Vec<CertificateDer<'static>>,
    own: Certificate,
}

/// There is no authority in what was given, or it cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// What should be certificates is not.
    #[error("the certificates of the authority cannot be read")]
    Certificates(#[source] std::io::Error),
    /// One of them is none.
    #[error("a certificate of the authority cannot be read")]
    Certificate(#[from] Unreadable),
    /// What should be a key is not. What it is instead is not repeated.
    #[error("the key of the authority is no private key in PEM (PKCS #8)")]
    Key,
    /// The first certificate is not of the key.
    #[error("the first certificate of the authority belongs to no key that was given")]
    Stranger,
    /// A request that nobody with the key it names has made.
    #[error("the request for a certificate is none, or is not signed with its own key")]
    Request,
    /// The key cannot sign, or the system gives no random bytes.
    #[error("the authority cannot sign")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Somebody asks for a certificate, and has shown that the key is its own.
#[derive(Debug)]
pub struct Request {
    asked: CertificateSigningRequestParams,
    /// The fingerprint of the key.
    pub key: Fingerprint,
}

impl Request {
    /// Reads a request (PKCS #10, RFC 2986) and checks its signature. Of what it asks for only the key counts.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn read(der: &[u8]) -> Result<Self, AuthorityError> {
        let der = CertificateSigningRequestDer::from(der);
        let asked = CertificateSigningRequestParams::from_der(&der).map_err(|_| AuthorityError::Request)?;
        let key = Fingerprint::of(&asked.public_key.subject_public_key_info());
        Ok(Self { asked, key })
    }

    /// The same of a text in PEM.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn read_pem(text: &str) -> Result<Self, AuthorityError> {
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
        Self::read(&der.map_err(|_| AuthorityError::Request)?)
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn make(now: Timestamp) -> Result<Self, AuthorityError> {
        Self::of_key(KeyPair::generate().map_err(sign)?, now)
    }

    /// One of a key that has lost its certificate, or had none yet: whoever has a pin of it goes on.
    ///
    /// # Errors
    /// [`AuthorityError::Key`], [`AuthorityError::Sign`].
    pub fn remake(key: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        Self::of_key(KeyPair::from_pem(key).map_err(|_| AuthorityError::Key)?, now)
    }

    fn of_key(key: KeyPair, now: Timestamp) -> Result<Self, AuthorityError> {
        let root = authority(&key, now)?.self_signed(&key).map_err(sign)?;
        Self::of(key, vec![root.der().clone()])
    }

    /// The one of these texts in PEM: certificates, that of the key first, and the key. Of several keys the one of the first
    /// certificate counts.
    ///
    /// # Errors
    /// They are something else.
    pub fn read(certificates: &str, key: &str) -> Result<Self, AuthorityError> {
        let bundle = files::certificates(certificates).map_err(AuthorityError::Certificates)?;
        let own = Certificate::read(bundle.first().ok_or(Unreadable)?)?;
        let keys: Result<Vec<_>, _> = PrivatePkcs8KeyDer::pem_slice_iter(key.as_bytes()).collect();
        let keys: Result<Vec<_>, _> = keys
            .map_err(|_| AuthorityError::Key)?
            .iter()
            .map(KeyPair::try_from)
            .collect();
        let keys = keys.map_err(|_| AuthorityError::Key)?;
        if keys.is_empty() {
            return Err(AuthorityError::Key);
        }
        // While one takes the place of another both keys are there.
        let of_own = |key: &KeyPair| Fingerprint::of(&key.subject_public_key_info()) == own.key;
        let key = keys.into_iter().find(of_own).ok_or(AuthorityError::Stranger)?;
        Self::of(key, bundle)
    }

    fn of(key: KeyPair, bundle: Vec<CertificateDer<'static>>) -> Result<Self, AuthorityError> {
        let first = bundle.first().ok_or(Unreadable)?;
        let own = Certificate::read(first)?;
        if own.key != Fingerprint::of(&key.subject_public_key_info()) {
            return Err(AuthorityError::Stranger);
        }
        for certificate in &bundle {
            Certificate::read(certificate)?;
        }
        Ok(Self { key, bundle, own })
    }

    /// The one that takes its place: this one vouches for it, and stays trusted until it is dropped.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn successor(&self, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(sign)?;
        let params = authority(&key, now)?;
        let root = params.self_signed(&key).map_err(sign)?;
        let vouched = params.signed_by(&key, &self.issuer()?).map_err(sign)?;
        let mut bundle = vec![root.der().clone(), vouched.der().clone()];
        bundle.extend(self.bundle.iter().cloned());
        Self::of(key, bundle)
    }

    /// The same without those that were before it.
    ///
    /// # Errors
    /// A certificate of the bundle cannot be read.
    pub fn alone(&self) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&self.key_pem()).map_err(|_| AuthorityError::Key)?;
        Self::of(key, self.bundle.iter().take(1).cloned().collect())
    }

    /// What its key is known by.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.own.key
    }

    /// When its own certificate is good.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.own.life
    }

    /// Whether it signed the certificate itself, and none that was before it did.
    #[must_use]
    pub fn has_signed(&self, certificate: &Certificate) -> bool {
        certificate.issued_by == self.own.key_id
    }

    /// All certificates that show who vouches for it, its own first.
    #[must_use]
    pub fn bundle(&self) -> &[CertificateDer<'static>] {
        &self.bundle
    }

    /// Those of the bundle that are trusted for themselves.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        roots(&self.bundle)
    }

    /// The bundle as a text.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        files::pem(&self.bundle)
    }

    /// Its key as a text, for its own file and nothing else.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate for a member or an operator, with the chain that leads to everybody who is trusted.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn issue(
        &self,
        request: &Request,
        identity: &Identity,
        life: Life,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let mut params = leaf(identity, life)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&request.asked.public_key, &self.issuer()?);
        Ok(self.chain(signed.map_err(sign)?.der()))
    }

    /// A key and a certificate for a scheduler that is dialled under these names: as server, and as client of the others.
    /// The key is in PKCS #8.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`], also for what is no name.
    pub fn issue_scheduler(
        &self,
        names: &[String],
        life: Life,
    ) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), AuthorityError> {
        let key = KeyPair::generate().map_err(sign)?;
        let mut params = leaf(&Identity::Scheduler, life)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(sign)?),
            });
        }
        let signed = params.signed_by(&key, &self.issuer()?).map_err(sign)?;
        // Roots too: who has a pin and nothing else looks for its authority among them.
        let chain = [signed.der()].into_iter().chain(&self.bundle).cloned().collect();
        Ok((chain, key.serialize_der()))
    }

    /// The certificate and those that lead from our key to older ones; roots are the other side's to have.
    fn chain(&self, leaf: &CertificateDer<'static>) -> Vec<CertificateDer<'static>> {
        let roots = self.roots();
        let between = self.bundle.iter().filter(|certificate| !roots.contains(certificate));
        [leaf].into_iter().chain(between).cloned().collect()
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, AuthorityError> {
        let own = self.bundle.first().ok_or(Unreadable)?;
        Issuer::from_ca_cert_der(own, &self.key).map_err(sign)
    }
}

/// Those of the certificates that are trusted for themselves; the first is, whoever signed it.
pub(crate) fn roots(bundle: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let is_root = |certificate: &CertificateDer<'_>| Certificate::read(certificate).is_ok_and(|read| read.is_root);
    let others = bundle.iter().skip(1).filter(|certificate| is_root(certificate));
    bundle.iter().take(1).chain(others).cloned().collect()
}

fn sign(error: impl std::error::Error + Send + Sync + 'static) -> AuthorityError {
    AuthorityError::Sign(Box::new(error))
}

/// A moment as certificates have it.
fn moment(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.as_millis().div_euclid(1000)).map_err(sign)
}

fn params(life: Life) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let begin = Timestamp::from_millis(
        life.begin
            .as_millis()
            .saturating_sub(SKEW.as_millis().try_into().unwrap_or(0)),
    );
    params.not_before = moment(begin)?;
    params.not_after = moment(life.end)?;
    let mut serial: [u8; 16] = random().map_err(sign)?;
    // A positive number, as RFC 5280 wants it.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority(key: &KeyPair, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let life = Life {
        begin: now,
        end: now + LIFE,
    };
    let mut params = params(life)?;
    // Authorities of one name and several keys confuse those who look for issuers by name.
    let fingerprint = Fingerprint::of(&key.subject_public_key_info()).to_string();
    let name = format!("Berth cluster authority {}", &fingerprint[..16]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(identity: &Identity, life: Life) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(life)?;
    let name = match identity {
        Identity::Scheduler => berth_trust::SCHEDULER_NAME.to_owned(),
        Identity::Member(member) => format!("{} {}", member.role, member.id),
        Identity::Operator(key) => format!("operator {key}"),
    };
    params.distinguished_name.push(DnType::CommonName, name);
    let uri = Ia5String::try_from(identity.to_string()).map_err(sign)?;
    params.subject_alt_names.push(SanType::URI(uri));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}
