//! Commands in containers, and logs.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_proto::session::v1::{Begin, FromContainer, ToContainer, to_container};
use berth_proto::v1::sessions_server::Sessions;
use berth_proto::v1::{ExecuteCommandRequest, ExecuteCommandResponse, LogsRequest, LogsResponse};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::{Api, faults, sessions};
use super::{Additions, answer, at, caller};
use crate::sessions::{input_end, relay};

/// How long who enters a session may take to say which.
const BEGIN: Duration = Duration::from_secs(10);
/// Messages that wait for a client.
const TO_CLIENT: usize = 16;

#[tonic::async_trait]
impl Sessions for Additions {
    /// Judged as ECS's operation of the name: who may not use the one may not use the other.
    async fn execute_command(
        &self,
        request: Request<ExecuteCommandRequest>,
    ) -> Result<Response<ExecuteCommandResponse>, Status> {
        let refused = |fault| faults::status(&fault);
        let caller = caller(&request).map_err(refused)?;
        let allowed = self.0.authorize("ecs", "ExecuteCommand", request.get_ref(), &caller);
        allowed.map_err(refused)?;
        let api = at(&request).and_then(|at| self.0.write("ExecuteCommand", at));
        let api = api.map_err(refused)?;
        answer(api, sessions::execute(api, request.into_inner(), &caller).await)
    }

    type AttachStream = BoxStream<'static, Result<FromContainer, Status>>;

    async fn attach(&self, request: Request<Streaming<ToContainer>>) -> Result<Response<Self::AttachStream>, Status> {
        let mut client = request.into_inner();
        let first = tokio::time::timeout(BEGIN, client.message()).await;
        let Ok(Ok(Some(ToContainer {
            message: Some(to_container::Message::Begin(begin)),
        }))) = first
        else {
            let fault = Fault::invalid("The first message of a session should be its begin.");
            return Err(faults::status(&fault));
        };
        let attached = attach(Arc::clone(&self.0), begin, client).await;
        attached
            .map(|messages| Response::new(ReceiverStream::new(messages).map(Ok).boxed()))
            .map_err(|fault| faults::status(&fault))
    }

    type LogsStream = BoxStream<'static, Result<LogsResponse, Status>>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let api = self.only_now("Logs", "logs are", &request).await?;
        let lines = crate::api::logs::read(&api, request.into_inner());
        answer(&api, lines.map(|lines| ReceiverStream::new(lines).map(Ok).boxed()))
    }
}

/// Takes up the session, and passes on what comes until it ends.
async fn attach(
    api: Arc<Api>,
    begin: Begin,
    client: Streaming<ToContainer>,
) -> Result<mpsc::Receiver<FromContainer>, Fault> {
    let offer = api.sessions.take_up(&begin.session_id, &begin.token)?;
    let pipe = match api.sessions.run(&offer, None).await {
        Ok(pipe) => pipe,
        Err(fault) => {
            api.sessions.ended(&offer, &fault.message).await;
            return Err(fault);
        }
    };
    let (out, messages) = mpsc::channel(TO_CLIENT);
    tokio::spawn(async move {
        let shutdown = api.sessions.shutdown().clone();
        let reason = relay(inputs(client), &out, pipe, &shutdown).await;
        drop(out);
        api.sessions.ended(&offer, &reason).await;
    });
    Ok(messages)
}

/// What a client sends, to its end. One that closes its side sends no more input, and may still read.
fn inputs(client: Streaming<ToContainer>) -> impl futures_util::Stream<Item = ToContainer> {
    futures_util::stream::unfold(Some(client), async |client| {
        let mut client = client?;
        match client.message().await {
            Ok(Some(message)) => Some((message, Some(client))),
            Ok(None) => Some((input_end(), None)),
            // It is gone, which shows where it is written to.
            Err(_) => None,
        }
    })
}
