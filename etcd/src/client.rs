//! The client: one connection a member, one member at a time.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::wire::auth_client::AuthClient;
use crate::wire::kv_client::KvClient;
use crate::wire::maintenance_client::MaintenanceClient;
use crate::wire::watch_client::WatchClient;
use crate::wire::{
    AuthenticateRequest, CompactionRequest, RangeRequest, RangeResponse, StatusRequest, StatusResponse, TxnRequest,
    TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse, watch_request,
};
use crate::{Credentials, Error, Settings, Tls};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection on which nothing comes is asked for a sign of life this often, and given up after a silence as long.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Bytes of one answer. What is asked for is bounded by who asks.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// A client of one etcd cluster.
#[derive(Debug)]
pub struct Client {
    members: Vec<Member>,
    /// Which of them is asked.
    current: AtomicUsize,
    credentials: Option<Credentials>,
    token: Mutex<Option<Token>>,
    deadline: Duration,
}

#[derive(Debug)]
struct Member {
    endpoint: String,
    channel: Channel,
}

type Token = MetadataValue<Ascii>;

impl Client {
    /// A client that connects when it is first used.
    ///
    /// Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Settings`]: no endpoint, one that is no address, or certificates that are none.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let members: Vec<Member> = settings
            .endpoints
            .iter()
            .map(|endpoint| member(endpoint, settings.tls.as_ref()))
            .collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(wrong("endpoints", "there is none"));
        }
        Ok(Self {
            members,
            current: AtomicUsize::new(0),
            credentials: settings.credentials,
            token: Mutex::new(None),
            deadline: settings.deadline,
        })
    }

    /// How long one call may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Reads keys, as of a moment between call and answer.
    ///
    /// # Errors
    /// No member answered as asked.
    pub async fn range(&self, range: RangeRequest) -> Result<RangeResponse, Error> {
        self.call("read keys", range, |channel, request| async move {
            kv(channel).range(request).await
        })
        .await
    }

    /// Does a transaction. After an error it may have been done, or may yet be.
    ///
    /// # Errors
    /// No member answered as asked.
    pub async fn txn(&self, txn: TxnRequest) -> Result<TxnResponse, Error> {
        self.call("do a transaction", txn, |channel, request| async move {
            kv(channel).txn(request).await
        })
        .await
    }

    /// Lets etcd forget what was overwritten or deleted before a revision of the store.
    ///
    /// # Errors
    /// No member answered as asked; [`Code::OutOfRange`] when that much is forgotten already.
    pub async fn compact(&self, revision: i64) -> Result<(), Error> {
        let message = CompactionRequest { revision };
        self.call("compact", message, |channel, request| async move {
            kv(channel).compact(request).await
        })
        .await
        .map(drop)
    }

    /// What each member says of itself, or why it says nothing.
    pub async fn statuses(&self) -> Vec<(String, Result<StatusResponse, Error>)> {
        let mut statuses = Vec::new();
        for member in &self.members {
            let request = self.request(StatusRequest {}, None);
            let mut maintenance = MaintenanceClient::new(member.channel.clone());
            let status = self.within("say its status", member, maintenance.status(request)).await;
            statuses.push((member.endpoint.clone(), status.map(Response::into_inner)));
        }
        statuses
    }

    /// Watches keys.
    ///
    /// # Errors
    /// No member answered as asked.
    pub async fn watch(&self, create: WatchCreateRequest) -> Result<Watch, Error> {
        // Held for as long as the watch: etcd ends a watch whose requests end.
        let (requests, queue) = mpsc::channel(1);
        let token = self.token().await?;
        let (at, member) = self.member();
        let open = async {
            let request = watch_request::Request::Create(create);
            // There is room for one, and the receiver is here.
            drop(requests.try_send(WatchRequest { request: Some(request) }));
            let request = self.request(ReceiverStream::new(queue), token.as_ref());
            let mut client = WatchClient::new(member.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
            client.watch(request).await
        };
        let opened = self.within("watch keys", member, open).await;
        let mut watch = Watch {
            endpoint: member.endpoint.clone(),
            answers: opened.map_err(|error| self.gone_wrong(at, error))?.into_inner(),
            _requests: requests,
        };
        let created = timeout(self.deadline, watch.next()).await;
        match created.unwrap_or_else(|_| Err(self.late("watch keys", member))) {
            Ok(created) if created.created => Ok(watch),
            Ok(other) => Err(watch.ended(format!("it began with {other:?}"))),
            Err(error) => {
                // A watch with a token that has expired is ended, with the reason in its text alone.
                self.forget(token.as_ref());
                Err(self.gone_wrong(at, error))
            }
        }
    }

    /// One call at the member that is asked now; with a new token when etcd does not know ours any more, which it says
    /// before it does anything.
    async fn call<M, T, F>(
        &self,
        operation: &'static str,
        message: M,
        call: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        for last in [false, true] {
            let token = self.token().await?;
            let (at, member) = self.member();
            let request = self.request(message.clone(), token.as_ref());
            match self
                .within(operation, member, call(member.channel.clone(), request))
                .await
            {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(error) if !last && token.is_some() && is_of_the_token(&error) => self.forget(token.as_ref()),
                Err(error) => return Err(self.gone_wrong(at, error)),
            }
        }
        Err(wrong("credentials", "etcd gives tokens that it does not accept"))
    }

    /// The token of the user, asked for if there is none.
    async fn token(&self) -> Result<Option<Token>, Error> {
        let Some(Credentials { user, password }) = &self.credentials else {
            return Ok(None);
        };
        if let Some(token) = self.known_token().clone() {
            return Ok(Some(token));
        }
        let (at, member) = self.member();
        let request = self.request(
            AuthenticateRequest {
                name: user.clone(),
                password: password.clone(),
            },
            None,
        );
        let mut auth = AuthClient::new(member.channel.clone());
        let answer = self
            .within("authenticate", member, auth.authenticate(request))
            .await
            .map_err(|error| self.gone_wrong(at, error))?;
        let token: Token = answer
            .into_inner()
            .token
            .parse()
            .map_err(|_| wrong("credentials", "etcd gave a token that is no text"))?;
        *self.known_token() = Some(token.clone());
        Ok(Some(token))
    }

    fn known_token(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the token, unless another call has brought a newer one.
    fn forget(&self, stale: Option<&Token>) {
        let mut token = self.known_token();
        if token.as_ref() == stale {
            *token = None;
        }
    }

    fn request<M>(&self, message: M, token: Option<&Token>) -> Request<M> {
        let mut request = Request::new(message);
        // A member without a leader says so at once, where it would let a watch wait for ever.
        request
            .metadata_mut()
            .insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        member: &Member,
        call: impl Future<Output = Result<T, Status>> + Send,
    ) -> Result<T, Error> {
        match timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(Error::failed(&member.endpoint, operation, &status)),
            Err(_) => Err(self.late(operation, member)),
        }
    }

    fn late(&self, operation: &'static str, member: &Member) -> Error {
        Error::Deadline {
            endpoint: member.endpoint.clone(),
            operation,
            after: self.deadline,
        }
    }

    fn member(&self) -> (usize, &Member) {
        let at = self.current.load(Ordering::Relaxed) % self.members.len();
        (at, &self.members[at])
    }

    /// Turns to the next member if the one that was asked is to blame; others may have turned already.
    fn gone_wrong(&self, at: usize, error: Error) -> Error {
        if error.is_the_members() {
            let next = (at + 1) % self.members.len();
            let turned = self
                .current
                .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            if turned.is_ok() && next != at {
                tracing::debug!(error = %error, next = self.members[next].endpoint, "another member of etcd is asked");
            }
        }
        error
    }
}

/// Keys that are being watched.
#[derive(Debug)]
pub struct Watch {
    endpoint: String,
    answers: Streaming<WatchResponse>,
    _requests: mpsc::Sender<WatchRequest>,
}

impl Watch {
    /// What happens next. Waits for as long as nothing does: a connection that is dead is noticed, a member that is
    /// silent is not. Cancellation safe.
    ///
    /// # Errors
    /// The watch has ended. [`Error::Ended`] when the member ended it: what it was to begin with is not kept any more,
    /// say.
    pub async fn next(&mut self) -> Result<WatchResponse, Error> {
        match self.answers.message().await {
            Ok(Some(answer)) if answer.canceled => {
                let reason = match answer.compact_revision {
                    0 => answer.cancel_reason,
                    oldest => format!("compacted to {oldest}"),
                };
                Err(self.ended(reason))
            }
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.ended("the stream ended".to_owned())),
            Err(status) => Err(Error::failed(&self.endpoint, "go on watching", &status)),
        }
    }

    fn ended(&self, reason: String) -> Error {
        Error::Ended {
            endpoint: self.endpoint.clone(),
            reason,
        }
    }
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

fn wrong(setting: &'static str, reason: impl Into<String>) -> Error {
    Error::Settings {
        setting,
        reason: reason.into(),
    }
}

fn is_of_the_token(error: &Error) -> bool {
    let Error::Failed { code, message, .. } = error else {
        return false;
    };
    *code == Code::Unauthenticated
        || message.contains("invalid auth token")
        || message.contains("revision of auth store is old")
}

fn member(endpoint: &str, tls: Option<&Tls>) -> Result<Member, Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut address = Endpoint::from_shared(format!("{scheme}://{endpoint}"))
        .map_err(|error| wrong("endpoints", format!("'{endpoint}' is no address: {error}")))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    if let Some(tls) = tls {
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authorities));
        if let Some((certificate, key)) = &tls.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        address = address
            .tls_config(config)
            .map_err(|error| wrong("certificates", format!("{error:?}")))?;
    }
    Ok(Member {
        endpoint: endpoint.to_owned(),
        channel: address.connect_lazy(),
    })
}
