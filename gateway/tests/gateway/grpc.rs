use berth_proto::gateway::v1::gateway_link_client::GatewayLinkClient;
use berth_proto::gateway::v1::gateway_link_server::{GatewayLink, GatewayLinkServer};
use berth_proto::gateway::v1::{
    GatewayMessage, Heartbeat, Hello, Protocol, SchedulerMessage, gateway_message, scheduler_message,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::bed::{Bed, free_port, web};
use crate::clients::connect;

/// A service of gRPC with a stream both ways: each message is answered, and `end` with an error.
struct Answers;

#[tonic::async_trait]
impl GatewayLink for Answers {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut inbound = request.into_inner();
        let (outbound, messages) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                let answer = match message.message {
                    Some(gateway_message::Message::Hello(hello)) if hello.cluster == "end" => {
                        Err(Status::aborted("as asked"))
                    }
                    _ => Ok(SchedulerMessage {
                        message: Some(scheduler_message::Message::Heartbeat(Heartbeat {})),
                    }),
                };
                if outbound.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn hello(cluster: &str) -> GatewayMessage {
    let hello = Hello {
        cluster: cluster.to_owned(),
        ..Hello::default()
    };
    GatewayMessage {
        message: Some(gateway_message::Message::Hello(hello)),
    }
}

#[tokio::test]
async fn grpc_passes_with_streams_both_ways_and_its_trailers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let server = tonic::transport::Server::builder()
        .add_service(GatewayLinkServer::new(Answers))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let _server = AbortOnDropHandle::new(tokio::spawn(server));
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http2, port, &[at])]).await;
    drop(connect(port).await);
    let channel = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let mut client = GatewayLinkClient::new(channel.connect().await.unwrap());
    let (requests, stream) = mpsc::channel(4);
    requests.send(hello("begin")).await.unwrap();
    let mut answers = client.connect(ReceiverStream::new(stream)).await.unwrap().into_inner();
    for _ in 0..3 {
        assert!(answers.message().await.unwrap().is_some());
        requests.send(hello("more")).await.unwrap();
    }
    assert!(answers.message().await.unwrap().is_some());
    requests.send(hello("end")).await.unwrap();
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "as asked"));
}
