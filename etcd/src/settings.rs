//! What is to be known to reach etcd.

use std::fmt;
use std::time::Duration;

/// Where etcd is, and who asks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its members, each as `host:port`.
    pub endpoints: Vec<String>,
    /// Encryption; none: what goes over the wire can be read.
    pub tls: Option<Tls>,
    /// Who asks, if etcd's authentication is on and the certificate does not say it.
    pub credentials: Option<Credentials>,
    /// How long one call may take.
    pub deadline: Duration,
}

/// TLS, and the certificate of the client if etcd asks for one. All PEM.
#[derive(Clone)]
pub struct Tls {
    /// Certificates of the authorities that may have signed those of the members.
    pub authorities: Vec<u8>,
    /// The client's certificate with its chain, and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("identity", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

/// A user of etcd.
#[derive(Clone)]
pub struct Credentials {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
