//! Commands in containers, and logs.

use std::time::Duration;

use berth_proto::session::v1::{Begin, FromContainer, ToContainer, to_container};
use berth_proto::v1::sessions_client::SessionsClient;
use berth_proto::v1::{ExecuteCommandRequest, ExecuteCommandResponse, LogsRequest, LogsResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::{AT_KEY, Api, CallError};

const SERVICE: &str = "berth.v1.Sessions";
/// A scheduler says something of logs every five seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// Messages that wait to be sent.
const OUTBOX: usize = 8;

/// A session that was entered.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) to: mpsc::Sender<ToContainer>,
    pub(crate) from: Streaming<FromContainer>,
}

/// Logs that are being read.
#[derive(Debug)]
pub(crate) struct Reading {
    stream: Streaming<LogsResponse>,
}

impl Api {
    /// Opens a session in which a command is run.
    pub(crate) async fn execute_command(
        &self,
        request: ExecuteCommandRequest,
    ) -> Result<ExecuteCommandResponse, CallError> {
        let mut client = SessionsClient::new(self.channel.clone());
        let request = ExecuteCommandRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.bounded(SERVICE, "ExecuteCommand", request, async |request| {
            client.execute_command(request).await
        })
        .await
    }

    /// Enters a session, in which the command runs from then on.
    pub(crate) async fn attach(&self, begin: Begin) -> Result<Entered, CallError> {
        const OPERATION: &str = "Attach";
        let (to, messages) = mpsc::channel(OUTBOX);
        let begin = ToContainer {
            message: Some(to_container::Message::Begin(begin)),
        };
        // There is room for it.
        let _begun = to.try_send(begin);
        let mut client = SessionsClient::new(self.channel.clone());
        let called = timeout(self.timeout, client.attach(ReceiverStream::new(messages))).await;
        match called {
            Ok(Ok(answer)) => Ok(Entered {
                to,
                from: answer.into_inner(),
            }),
            Ok(Err(status)) => Err(self.failed(OPERATION, &status)),
            Err(_elapsed) => Err(self.late(OPERATION)),
        }
    }

    /// The next of what comes from the container; nothing where the session is over.
    pub(crate) async fn next_of_session(
        &self,
        from: &mut Streaming<FromContainer>,
    ) -> Result<Option<FromContainer>, CallError> {
        from.message().await.map_err(|status| self.failed("Attach", &status))
    }

    /// Begins to read logs.
    pub(crate) async fn logs(&self, request: LogsRequest) -> Result<Reading, CallError> {
        const OPERATION: &str = "Logs";
        let mut request = Request::new(LogsRequest {
            cluster: self.cluster.clone(),
            ..request
        });
        if let Some(at) = &self.at {
            request.metadata_mut().insert(AT_KEY, at.clone());
        }
        self.sign(SERVICE, OPERATION, &mut request);
        let mut client = SessionsClient::new(self.channel.clone());
        match timeout(self.timeout, client.logs(request)).await {
            Ok(Ok(stream)) => Ok(Reading {
                stream: stream.into_inner(),
            }),
            Ok(Err(status)) => Err(self.failed(OPERATION, &status)),
            Err(_elapsed) => Err(self.late(OPERATION)),
        }
    }

    /// The next lines; nothing where there are no more.
    pub(crate) async fn next_lines(&self, reading: &mut Reading) -> Result<Option<LogsResponse>, CallError> {
        match timeout(SILENCE, reading.stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.failed("Logs", &status)),
            Err(_elapsed) => Err(CallError::Deadline {
                operation: "Logs",
                url: self.url.clone(),
                timeout: SILENCE,
            }),
        }
    }
}
