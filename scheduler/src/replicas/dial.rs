//! The way to another scheduler.

use std::sync::Arc;
use std::time::Duration;

use berth_tls::{ConnectError, connect};
use tonic::transport::{Channel, Endpoint};
use tonic::{Extensions, Status};

use crate::trust::Trust;
use crate::trust::peer::Peer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a connection on which nothing passes is tried, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Why a scheduler is not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("use its address")]
    Address(#[source] tonic::transport::Error),
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Another scheduler.
#[derive(Debug)]
pub(crate) struct There {
    /// `HOST:PORT`
    pub(crate) address: String,
    /// Over TLS where somebody is trusted.
    pub(crate) trust: Option<Arc<Trust>>,
}

impl There {
    /// A connection of its own.
    ///
    /// # Errors
    /// The address is none, or nobody answers there in time who is trusted.
    pub(crate) async fn connect(&self) -> Result<Channel, DialError> {
        let current = self.trust.as_ref().map(|trust| trust.current());
        let scheme = if current.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).map_err(DialError::Address)?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let client = current.as_ref().map(|current| current.client());
        Ok(connect(&endpoint, client, CONNECT_TIMEOUT).await?)
    }
}

/// Refuses who dials and does not show to be a scheduler, where `asks` says that one must.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(crate) fn must_be_scheduler(asks: bool, of_request: &Extensions) -> Result<(), Status> {
    let is_scheduler = of_request.get().is_some_and(Peer::is_scheduler);
    if asks && !is_scheduler {
        return Err(Status::permission_denied(
            "Schedulers show a certificate of the cluster to each other.",
        ));
    }
    Ok(())
}
