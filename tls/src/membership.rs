//! A member's certificate: asked for with a join token once, kept over restarts, shown to schedulers and renewed.
//!
//! The key is made here and never leaves the directory. What is durable before each step is said at the step: a crash
//! between any two neither loses the identity nor sends a token twice.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_daemon::{Backoff, chain, fraction};
use berth_model::time::Timestamp;
use berth_proto::trust::v1::enrollment_client::EnrollmentClient;
use berth_proto::trust::v1::{Authorities, Certificates, EnrollRequest, RenewRequest};
use berth_trust::{Fingerprint, JoinToken, Life, Member};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use tokio::sync::Notify;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::certificate::Certificate;
use crate::connect::{Client, ConnectError, connect, is_encrypted};
use crate::files::{self, PUBLIC, SECRET};
use crate::token::{TokenError, TokenSource};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const AUTHORITIES: &str = "authorities.pem";
/// The id of the token that was sent.
const SENT: &str = "token-sent";
/// For an answer to a request for a certificate.
const ANSWER: Duration = Duration::from_secs(15);
/// Between attempts to renew, at least: a third of a life is left for them.
const AGAIN: Duration = Duration::from_secs(5);

/// Why there is no certificate to show, or no connection.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A file of the directory.
    #[error("{operation} '{}'", path.display())]
    File {
        /// What was done with it.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to join with.
    #[error("there is no certificate and no join token: make one with `berth tokens create` and give it to this host")]
    NoToken,
    /// What there was is over, and there is nothing to join with again.
    #[error("the certificate ended at {} and there is no join token: make one with `berth tokens create` and give it to this host", .0.to_rfc3339())]
    Ended(Timestamp),
    /// Where the token comes from has none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The scheduler refused.
    #[error("the scheduler gives no certificate: {}", .0.message())]
    Refused(Status),
    /// It said nothing.
    #[error("the scheduler said nothing for {ANSWER:?}")]
    Silent,
    /// What it said is no certificate for us.
    #[error("the scheduler's answer has no certificate of ours")]
    Answer,
    /// No key or request could be made.
    #[error("make a key or a request for a certificate")]
    Make(#[source] rcgen::Error),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl JoinError {
    /// Whether somebody must do something before another attempt can go better.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        match self {
            Self::NoToken | Self::Ended(_) | Self::Token(TokenError::Content { .. }) => true,
            Self::Refused(status) => matches!(status.code(), Code::PermissionDenied | Code::InvalidArgument),
            Self::File { .. } | Self::Silent | Self::Answer | Self::Make(_) | Self::Connect(_) | Self::Token(_) => {
                false
            }
        }
    }
}

/// One member, its key, and what it shows.
#[derive(Debug)]
pub struct Membership {
    directory: PathBuf,
    member: Member,
    token: Option<JoinToken>,
    source: Option<Box<dyn TokenSource>>,
    key: KeyPair,
    held: Mutex<Held>,
    /// Somebody says that it is time to renew.
    renew: Notify,
}

#[derive(Debug, Default, Clone)]
struct Held {
    /// Its own certificate first.
    chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
    life: Option<Life>,
}

impl Membership {
    /// The member's, in a directory that is made where it is missing. The token is for when there is no certificate.
    ///
    /// # Errors
    /// [`JoinError::File`], and no key can be made.
    pub fn open(directory: &Path, member: Member, token: Option<JoinToken>) -> Result<Self, JoinError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(file("make directory", directory))?;
        let path = directory.join(KEY);
        let key = match files::read(&path).map_err(file("read", &path))? {
            Some(text) => KeyPair::from_pem(&text).map_err(JoinError::Make)?,
            None => {
                let key = KeyPair::generate().map_err(JoinError::Make)?;
                let text = key.serialize_pem();
                files::replace(&path, text.as_bytes(), SECRET).map_err(file("write", &path))?;
                key
            }
        };
        let membership = Self {
            directory: directory.to_owned(),
            member,
            token,
            source: None,
            key,
            held: Mutex::default(),
            renew: Notify::new(),
        };
        if let (Some(chain), Some(authorities)) = (
            membership.certificates(CERTIFICATE)?,
            membership.certificates(AUTHORITIES)?,
        ) {
            // One of another key or another member is as good as none; a token helps.
            if let Some(life) = membership.ours(&chain) {
                *membership.lock() = Held {
                    chain,
                    authorities,
                    life: Some(life),
                };
            }
        }
        Ok(membership)
    }

    /// Asks for a token there when one is needed and none was given.
    #[must_use]
    pub fn asking(self, source: Option<Box<dyn TokenSource>>) -> Self {
        Self { source, ..self }
    }

    /// Connects to a scheduler as this member; joins first where it has no certificate that is good.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn connect(&self, endpoint: &Endpoint, within: Duration) -> Result<Channel, JoinError> {
        if self.held().life.is_none_or(|life| life.is_over(now())) {
            self.join(endpoint, within).await?;
        }
        let held = self.held();
        let client = Client::trusting(&held.authorities, Some((held.chain, self.key.serialize_der())))?;
        Ok(connect(endpoint, Some(&client), within).await?)
    }

    /// Trades the token for a certificate. Where it was sent before, what
    /// came of it is asked for first, without its secret: a token that was taken, or refused, is not sent again.
    async fn join(&self, endpoint: &Endpoint, within: Duration) -> Result<(), JoinError> {
        let ended = self.held().life.map(|life| life.end);
        let token = match (&self.token, &self.source) {
            (Some(token), _) => token.clone(),
            (None, Some(source)) => source.find().await?,
            (None, None) => return Err(ended.map_or(JoinError::NoToken, JoinError::Ended)),
        };
        let client = Client::pinned(token.pin)?;
        let channel = connect(endpoint, Some(&client), within).await?;
        let sent = self.directory.join(SENT);
        let before = files::read(&sent).map_err(file("read", &sent))?;
        if before.as_deref() == Some(&token.id) {
            match self.enroll(&channel, &token, false).await {
                // It never came, or nothing was recorded of it.
                Err(JoinError::Refused(status)) if status.code() == Code::NotFound => {}
                answer => return self.keep(answer?),
            }
        }
        // Durable before it leaves: whatever happens to the answer, it was sent.
        files::replace(&sent, token.id.as_bytes(), SECRET).map_err(file("write", &sent))?;
        let answer = self.enroll(&channel, &token, true).await?;
        self.keep(answer)?;
        tracing::info!(member = %self.member, token = token.id, "joined with a token; its certificate is kept from now on");
        Ok(())
    }

    /// Asks for a certificate; the secret goes along where it has not been sent.
    async fn enroll(&self, channel: &Channel, token: &JoinToken, first: bool) -> Result<Certificates, JoinError> {
        let secret = first.then(|| token.secret.reveal());
        let request = EnrollRequest {
            member: self.member.to_string(),
            token_id: token.id.clone(),
            token_secret: secret.unwrap_or_default(),
            request: self.request()?,
        };
        let mut client = EnrollmentClient::new(channel.clone());
        answered(async move { client.enroll(Request::new(request)).await }).await
    }

    /// Keeps the certificate fresh for as long as it is polled, over the channel of a stream. It never ends.
    pub async fn keep_fresh(&self, channel: Channel) -> std::convert::Infallible {
        let mut drawn = fraction();
        let mut backoff = Backoff::default();
        loop {
            let due = self.held().life.map(|life| Life::until(life.renewal(drawn), now()));
            tokio::select! {
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)) => {}
                () = self.renew.notified() => {}
            }
            match self.renew(&channel).await {
                Ok(()) => {
                    drawn = fraction();
                    backoff = Backoff::default();
                    tracing::info!(member = %self.member, "certificate renewed");
                }
                Err(error) => {
                    tracing::warn!(member = %self.member, error = chain(&error), "certificate not renewed; trying again");
                    tokio::time::sleep(AGAIN + backoff.next_pause()).await;
                    self.renew.notify_one();
                }
            }
        }
    }

    async fn renew(&self, channel: &Channel) -> Result<(), JoinError> {
        let request = RenewRequest {
            request: self.request()?,
        };
        let mut client = EnrollmentClient::new(channel.clone());
        let answer = answered(async move { client.renew(Request::new(request)).await }).await?;
        self.keep(answer)
    }

    /// Takes in by whom schedulers are vouched for, as a scheduler says on a stream.
    ///
    /// # Errors
    /// [`JoinError::File`]; [`JoinError::Answer`] for what is no certificate.
    pub fn trust(&self, told: &Authorities) -> Result<(), JoinError> {
        let authorities: Vec<_> = told
            .authorities
            .iter()
            .map(|der| CertificateDer::from(der.clone()))
            .collect();
        if self.held().authorities != authorities {
            self.keep_authorities(&authorities)?;
            self.lock().authorities = authorities;
            tracing::info!(member = %self.member, "authorities of the cluster changed");
        }
        if told.renew {
            self.renew.notify_one();
        }
        Ok(())
    }

    /// Makes an answer what is shown, on the disk first.
    fn keep(&self, answer: Certificates) -> Result<(), JoinError> {
        let read = |all: Vec<Vec<u8>>| all.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
        let (chain, authorities) = (read(answer.chain), read(answer.authorities));
        let life = self.ours(&chain).ok_or(JoinError::Answer)?;
        // Without the certificate the others are of no use, and never the other way round.
        self.keep_authorities(&authorities)?;
        let path = self.directory.join(CERTIFICATE);
        files::replace(&path, files::pem(&chain).as_bytes(), PUBLIC).map_err(file("write", &path))?;
        *self.lock() = Held {
            chain,
            authorities,
            life: Some(life),
        };
        Ok(())
    }

    fn keep_authorities(&self, authorities: &[CertificateDer<'static>]) -> Result<(), JoinError> {
        if authorities.is_empty()
            || authorities
                .iter()
                .any(|authority| Certificate::read(authority).is_err())
        {
            return Err(JoinError::Answer);
        }
        let path = self.directory.join(AUTHORITIES);
        files::replace(&path, files::pem(authorities).as_bytes(), PUBLIC).map_err(file("write", &path))
    }

    /// When the certificate is good, where it is this member's and of its key.
    fn ours(&self, chain: &[CertificateDer<'static>]) -> Option<Life> {
        let certificate = Certificate::read(chain.first()?).ok()?;
        let key = Fingerprint::of(&self.key.subject_public_key_info());
        let identity = berth_trust::Identity::Member(self.member.clone());
        (certificate.key == key && certificate.identity == Some(identity)).then_some(certificate.life)
    }

    fn certificates(&self, name: &str) -> Result<Option<Vec<CertificateDer<'static>>>, JoinError> {
        let path = self.directory.join(name);
        let text = files::read(&path).map_err(file("read", &path))?;
        let read = text.map(|text| files::certificates(&text)).transpose();
        read.map_err(file("read", &path))
    }

    fn request(&self) -> Result<Vec<u8>, JoinError> {
        let request = CertificateParams::default().serialize_request(&self.key);
        Ok(request.map_err(JoinError::Make)?.der().to_vec())
    }

    /// When its certificate is good, and that of the authority that signs; nothing before it has joined.
    #[must_use]
    pub fn lives(&self) -> Option<(Life, Life)> {
        let held = self.lock();
        let authority = Certificate::read(held.authorities.first()?).ok()?;
        Some((held.life?, authority.life))
    }

    fn held(&self) -> Held {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of several schedulers' URLs may not be mixed: all are https, or none is.
///
/// # Errors
/// In words, what is wrong.
pub fn agree(endpoints: &[Endpoint]) -> Result<bool, &'static str> {
    let encrypted = endpoints.iter().filter(|endpoint| is_encrypted(endpoint)).count();
    match encrypted {
        0 => Ok(false),
        all if all == endpoints.len() => Ok(true),
        _ => Err("must all begin with https:// where one does"),
    }
}

async fn answered(
    call: impl Future<Output = Result<tonic::Response<Certificates>, Status>>,
) -> Result<Certificates, JoinError> {
    let answer = tokio::time::timeout(ANSWER, call)
        .await
        .map_err(|_| JoinError::Silent)?;
    answer.map(tonic::Response::into_inner).map_err(JoinError::Refused)
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JoinError {
    let path = path.to_owned();
    move |source| JoinError::File {
        operation,
        path,
        source,
    }
}

/// Now, by this host's clock.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
