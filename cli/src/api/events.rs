//! What happens, as it happens.

use std::time::Duration;

use berth_proto::v1::berth_client::BerthClient;
use berth_proto::v1::{WatchRequest, WatchResponse};
use tokio::time::timeout;
use tonic::{Code, Request, Status, Streaming};

use super::{AT_KEY, Api, CallError};

const OPERATION: &str = "Watch";
/// A scheduler says something every five seconds.
const SILENCE: Duration = Duration::from_secs(15);

/// A stream of events that has begun.
#[derive(Debug)]
pub(crate) struct Watching {
    stream: Streaming<WatchResponse>,
}

impl Api {
    /// Begins to watch, in the cluster that commands mean; in all where none was named.
    pub(crate) async fn watch(&self, request: WatchRequest) -> Result<Watching, CallError> {
        let mut request = Request::new(WatchRequest {
            cluster: self.cluster.clone(),
            ..request
        });
        if let Some(at) = &self.at {
            request.metadata_mut().insert(AT_KEY, at.clone());
        }
        self.sign("berth.v1.Berth", OPERATION, &mut request);
        let mut client = BerthClient::new(self.channel.clone());
        // The stream has no end, so that the scheduler is told of no deadline.
        let begun = timeout(self.timeout, client.watch(request)).await;
        match begun {
            Ok(Ok(stream)) => Ok(Watching {
                stream: stream.into_inner(),
            }),
            Ok(Err(status)) => Err(self.failed(OPERATION, &status)),
            Err(_elapsed) => Err(self.late(OPERATION)),
        }
    }

    /// The next message of a stream. Cancelling it loses none.
    pub(crate) async fn next_events(&self, watching: &mut Watching) -> Result<WatchResponse, CallError> {
        let ended = || Status::new(Code::Unavailable, "the stream has ended");
        match timeout(SILENCE, watching.stream.message()).await {
            Ok(Ok(Some(message))) => Ok(message),
            Ok(Ok(None)) => Err(self.failed(OPERATION, &ended())),
            Ok(Err(status)) => Err(self.failed(OPERATION, &status)),
            Err(_elapsed) => Err(CallError::Deadline {
                operation: OPERATION,
                url: self.url.clone(),
                timeout: SILENCE,
            }),
        }
    }
}

impl CallError {
    /// Whether the same may be asked again: of this scheduler when it is back, or of another behind the same address.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Deadline { .. } => true,
            Self::Credentials(_) | Self::Tls(_) => false,
            Self::Fault { class, .. } => ["ThrottlingException", "ServerException"].contains(&class.as_str()),
            Self::Refused { code, .. } => {
                [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal].contains(code)
            }
        }
    }
}
