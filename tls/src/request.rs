//! A new key, and the request for a certificate of it.

use rcgen::{CertificateParams, KeyPair};

/// Both as texts in PEM: the key in PKCS #8, and what is sent to whoever signs.
#[derive(Clone)]
pub struct NewKey {
    /// For its owner alone.
    pub key: String,
    /// PKCS #10, signed with the key.
    pub request: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl NewKey {
    /// Draws a key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn draw() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        Ok(Self {
            request: request.pem()?,
            key: key.serialize_pem(),
        })
    }
}
