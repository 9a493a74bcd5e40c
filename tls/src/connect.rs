//! Connections to schedulers.

use std::sync::Arc;
use std::time::Duration;

use berth_trust::Fingerprint;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, version};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::provider;
use crate::verifier::{Pinned, scheduler_name, verifier};

/// A connection that is dead is noticed by pings that nobody answers: a partition leaves no other sign.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was not made, or the other side was not who it should be.
    #[error("connect")]
    Connect(#[source] tonic::transport::Error),
    /// The URL is https and there is nothing to hold the scheduler against, or the other way round.
    #[error("{0}")]
    Scheme(&'static str),
    /// What was given to hold it against, or to show, is none.
    #[error("the certificates cannot be used")]
    Certificates(#[source] rustls::Error),
}

/// Whom a client believes, and what it shows.
#[derive(Debug, Clone)]
pub struct Client(Arc<ClientConfig>);

/// What a client shows: certificates, its own first, and the key in PKCS #8.
pub type Shown = (Vec<CertificateDer<'static>>, Vec<u8>);

impl Client {
    /// Believes schedulers that these authorities vouch for.
    ///
    /// # Errors
    /// [`ConnectError::Certificates`].
    pub fn trusting(authorities: &[CertificateDer<'static>], shows: Option<Shown>) -> Result<Self, ConnectError> {
        let mut roots = RootCertStore::empty();
        for authority in crate::authority::roots(authorities) {
            roots.add(authority).map_err(ConnectError::Certificates)?;
        }
        let verifier =
            verifier(roots).map_err(|error| ConnectError::Certificates(rustls::Error::General(error.to_string())))?;
        Self::with(verifier, shows)
    }

    /// Believes schedulers that the authority of this fingerprint vouches for, and shows nothing.
    ///
    /// # Errors
    /// [`ConnectError::Certificates`].
    pub fn pinned(pin: Fingerprint) -> Result<Self, ConnectError> {
        Self::with(Arc::new(Pinned { pin }), None)
    }

    fn with(
        verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
        shows: Option<Shown>,
    ) -> Result<Self, ConnectError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(ConnectError::Certificates)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
                .map_err(ConnectError::Certificates)?,
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Each connection shows the certificate of its time, and is judged by it.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// A connection that is encrypted, with somebody who is a scheduler, for HTTP/1: what is asked without gRPC.
    ///
    /// # Errors
    /// Nobody is there, or is not who it should be ([`crate::distrust`]).
    pub async fn dial_http1(&self, authority: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        dial(Arc::new(config), authority).await
    }
}

async fn dial(config: Arc<ClientConfig>, authority: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let name = scheduler_name().map_err(std::io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// Whether the scheduler of the URL is spoken with over TLS.
#[must_use]
pub fn is_encrypted(endpoint: &Endpoint) -> bool {
    endpoint.uri().scheme_str() == Some("https")
}

/// Connects to a scheduler within the time: as it is for `http://`, held against what the client believes for `https://`.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(endpoint: &Endpoint, client: Option<&Client>, within: Duration) -> Result<Channel, ConnectError> {
    match (is_encrypted(endpoint), client) {
        (false, None) => {
            let connected = kept_alive(endpoint.clone(), within).connect().await;
            connected.map_err(ConnectError::Connect)
        }
        (true, Some(client)) => {
            let (encrypted, authority) = below(endpoint)?;
            let encrypted = kept_alive(encrypted, within);
            let client = client.clone();
            let dial = service_fn(move |_: Uri| {
                let (config, authority) = (Arc::clone(&client.0), authority.clone());
                async move { dial(config, &authority).await.map(TokioIo::new) }
            });
            let connected = encrypted.connect_with_connector(dial).await;
            connected.map_err(ConnectError::Connect)
        }
        (true, None) => Err(ConnectError::Scheme(
            "the scheduler's URL begins with https:// and nothing says which authority vouches for it",
        )),
        (false, Some(_)) => Err(ConnectError::Scheme(
            "the scheduler's URL begins with http://, and it must be https:// for one that certificates are shown to",
        )),
    }
}

/// The endpoint as the layer below TLS has it, and what is dialled. The URL stays what is asked for: `:scheme` is https.
fn below(endpoint: &Endpoint) -> Result<(Endpoint, String), ConnectError> {
    const RULE: ConnectError = ConnectError::Scheme("the scheduler's URL must be https://HOST:PORT");
    const PORT: u16 = 443;
    let uri = endpoint.uri();
    let host = uri.host().ok_or(RULE)?;
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(PORT));
    // The library refuses to dial https with a connector of ours where its own TLS is compiled in.
    let plain: Uri = format!("http://{authority}").parse().map_err(|_| RULE)?;
    Ok((Endpoint::from(plain).origin(uri.clone()), authority))
}

fn kept_alive(endpoint: Endpoint, within: Duration) -> Endpoint {
    endpoint
        .connect_timeout(within)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}
