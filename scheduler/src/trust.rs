//! Who is believed on the port, and whom the scheduler makes believable: the cluster's authority, the certificate that the port
//! shows, and those that members and operators get.
//!
//! Everything here follows from two files ([`files`]) that are looked at every few seconds: what they say can change while
//! everybody goes on. Who may speak for whom is the state's to say ([`door`]).

pub mod command;
pub mod door;
pub mod files;
pub mod link;
pub mod peer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use berth_model::time::Timestamp;
use berth_tls::{Authority, Client};
use berth_trust::Life;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::clock;
use files::Files;

/// How long a scheduler's own certificate is good; it makes another at two thirds.
const OWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The authority, and what follows from it.
#[derive(Debug)]
pub struct Trust {
    files: Files,
    /// Under which the scheduler is dialled by those who look at names.
    names: Vec<String>,
    lifetime: Duration,
    current: ArcSwap<Current>,
    /// Counts the authorities that there were.
    changes: watch::Sender<u64>,
}

/// What is shown and believed now.
#[derive(Debug)]
pub struct Current {
    /// Who signs.
    pub authority: Authority,
    /// The files that it is from.
    content: (String, String),
    server: Arc<ServerConfig>,
    client: Client,
    /// Of the scheduler's own certificate.
    life: Life,
}

impl Trust {
    /// Reads the authority from its files, or makes both; the scheduler is dialled under the names.
    ///
    /// # Errors
    /// The files cannot be read or made, or say something else.
    pub fn open(files: Files, names: Vec<String>, lifetime: Duration) -> anyhow::Result<Self> {
        let now = clock::now();
        let content = files.find(now)?;
        let current = Current::of(content, &names, now)?;
        tracing::info!(authority = %current.authority.fingerprint(), "speaking TLS");
        Ok(Self {
            files,
            names,
            lifetime,
            current: ArcSwap::from_pointee(current),
            changes: watch::channel(0).0,
        })
    }

    /// What is shown and believed now.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// For how long members' certificates are good.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Hears of each new authority.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Looks at the files and at the scheduler's own certificate, until the process ends.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let trust = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || trust.look(clock::now())).await;
            if let Err(error) = looked.map_err(anyhow::Error::new).and_then(|looked| looked) {
                tracing::error!(
                    error = format!("{error:#}"),
                    "authority not taken over; going on with the last"
                );
            }
        }
    }

    fn look(&self, now: Timestamp) -> anyhow::Result<()> {
        let before = self.current();
        let content = self.files.read()?;
        let is_new = content != before.content;
        if !is_new && now < before.life.renewal(0.0) {
            return Ok(());
        }
        let current = Current::of(content, &self.names, now)?;
        let authority = current.authority.fingerprint();
        self.current.store(Arc::new(current));
        if is_new {
            tracing::info!(%authority, "authorities of the cluster changed");
            self.changes.send_modify(|changes| *changes += 1);
        } else {
            tracing::info!(%authority, "the scheduler's own certificate renewed");
        }
        Ok(())
    }
}

impl Current {
    fn of(content: (String, String), names: &[String], now: Timestamp) -> anyhow::Result<Self> {
        let authority = Authority::read(&content.0, &content.1)?;
        let life = Life {
            begin: now,
            end: now + OWN,
        };
        let (chain, key) = authority.issue_scheduler(names, life)?;
        let client = Client::trusting(&authority.roots(), Some((chain.clone(), key.clone())))?;
        Ok(Self {
            server: Arc::new(server(&authority.roots(), chain, key).context("cannot speak TLS")?),
            client,
            life,
            authority,
            content,
        })
    }

    /// When the scheduler's own certificate is good.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.life
    }

    /// What takes connections.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }

    /// As what the scheduler dials others.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }
}

fn server(
    roots: &[CertificateDer<'static>],
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
) -> anyhow::Result<ServerConfig> {
    let mut trusted = RootCertStore::empty();
    for root in roots {
        trusted.add(root.clone())?;
    }
    let provider = berth_tls::provider();
    // Whoever signs its calls needs no certificate; streams ask for one (`door`).
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Each connection is judged by the certificate of its time.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
