//! Calls to the scheduler: one method an operation, each with a deadline, lists with all their pages.
//!
//! Nothing here prints, retries or interprets; `command` calls it.

mod access_keys;
mod autoscaling;
mod capacity;
mod clusters;
mod events;
mod history;
mod instances;
mod plan;
mod schedules;
mod services;
mod sessions;
mod settings;
mod task_definitions;
mod tasks;
mod trust;
mod usage;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::v1::berth_client::BerthClient;
use prost::Message;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

pub(crate) use self::sessions::Entered;
use crate::args::GlobalArgs;
use crate::credentials::{CredentialsError, Signer};
use crate::tls;

/// Request metadata that asks for the state of then, and response metadata that says which state it was.
const AT_KEY: &str = "berth-at";
const REVISION_KEY: &str = "berth-revision";
/// No revision: there will never be so many.
const NONE: u64 = u64::MAX;
/// Response metadata that carries the ECS class of a fault.
const FAULT_KEY: &str = "berth-fault";
/// The most ids that ECS takes in one Describe call.
const DESCRIBE_AT_MOST: usize = 100;

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot reach the scheduler at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{operation} was not answered by {url} within {} s", timeout.as_secs())]
    Deadline {
        operation: &'static str,
        url: String,
        timeout: Duration,
    },
    #[error("{class}: {message}")]
    Fault { class: String, message: String },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("{operation} failed at {url} with gRPC status {code:?}: {message}")]
    Refused {
        operation: &'static str,
        url: String,
        code: Code,
        message: String,
    },
}

/// A connected scheduler and the cluster that commands mean.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    channel: Channel,
    url: String,
    cluster: Option<String>,
    timeout: Duration,
    /// The moment that is asked for, where that is not now.
    at: Option<AsciiMetadataValue>,
    /// Who makes the calls, where they are signed.
    signer: Option<Arc<Signer>>,
    /// The revision that the last answer was of; [`NONE`] where none has said so.
    revision: Arc<AtomicU64>,
}

impl Api {
    /// Connects to the scheduler that `global` names.
    pub(crate) async fn connect(global: &GlobalArgs) -> Result<Self, CallError> {
        let url = &global.scheduler;
        let unreachable = |error: &(dyn Error + 'static)| CallError::Unreachable {
            url: url.clone(),
            reason: root_cause(error),
        };
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| unreachable(&error))?;
        let client = tls::client(global)?;
        let channel = berth_tls::connect(&endpoint, client.as_ref(), global.timeout).await;
        let channel = channel.map_err(|error| unreachable(&error))?;
        Ok(Self {
            channel,
            url: url.clone(),
            cluster: global.cluster.clone(),
            signer: Signer::of(global)?.map(Arc::new),
            timeout: global.timeout,
            at: global
                .at
                .as_ref()
                .and_then(|at| at.value(SystemTime::now()).parse().ok()),
            revision: Arc::new(AtomicU64::new(NONE)),
        })
    }

    /// Whether the past is asked for, of which is not known what the journal has not.
    pub(crate) const fn is_past(&self) -> bool {
        self.at.is_some()
    }

    /// The revision that the last answer was of.
    pub(crate) fn revision(&self) -> Option<u64> {
        Some(self.revision.load(Ordering::Relaxed)).filter(|revision| *revision != NONE)
    }

    /// The cluster that was named; absent where the API's default is meant.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Calls one operation of the ECS service.
    async fn ecs<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(EcsClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = EcsClient::new(self.channel.clone());
        self.bounded("berth.ecs.v1.Ecs", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    /// Calls one operation that Berth adds to ECS's.
    async fn berth<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(BerthClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = BerthClient::new(self.channel.clone());
        self.bounded("berth.v1.Berth", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    async fn bounded<Q: Message, A>(
        &self,
        service: &str,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let mut request = Request::new(request);
        // Tells the scheduler, so that it does not work for a caller that went away.
        request.set_timeout(self.timeout);
        if let Some(at) = &self.at {
            request.metadata_mut().insert(AT_KEY, AsciiMetadataValue::clone(at));
        }
        self.sign(service, operation, &mut request);
        match tokio::time::timeout(self.timeout, send(request)).await {
            Ok(Ok(response)) => {
                let revision = response.metadata().get(REVISION_KEY);
                let revision = revision.and_then(|value| value.to_str().ok()?.parse().ok());
                self.revision.store(revision.unwrap_or(NONE), Ordering::Relaxed);
                Ok(response.into_inner())
            }
            Ok(Err(status)) => Err(self.failed(operation, &status)),
            Err(_elapsed) => Err(self.late(operation)),
        }
    }

    /// Says who makes the call, and vouches for all that it asks.
    fn sign<Q: Message>(&self, service: &str, operation: &str, request: &mut Request<Q>) {
        if let Some(signer) = &self.signer {
            signer.sign(service, operation, request, SystemTime::now());
        }
    }

    fn late(&self, operation: &'static str) -> CallError {
        CallError::Deadline {
            operation,
            url: self.url.clone(),
            timeout: self.timeout,
        }
    }

    fn failed(&self, operation: &'static str, status: &Status) -> CallError {
        let message = status.message().to_owned();
        let fault = status.metadata().get(FAULT_KEY);
        if let Some(class) = fault.and_then(|value| value.to_str().ok()) {
            return CallError::Fault {
                class: class.to_owned(),
                message,
            };
        }
        let code = status.code();
        // The second is how tonic tells of the deadline that it keeps itself.
        if code == Code::DeadlineExceeded || (code == Code::Cancelled && message == "Timeout expired") {
            return self.late(operation);
        }
        // With a source it was made here, because the connection broke under the call.
        match status.source() {
            Some(source) if matches!(code, Code::Cancelled | Code::Unavailable) => CallError::Unreachable {
                url: self.url.clone(),
                reason: root_cause(source),
            },
            _ => CallError::Refused {
                operation,
                url: self.url.clone(),
                code,
                message,
            },
        }
    }
}

/// What the innermost error says: "Connection refused" instead of "transport error".
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
