//! gRPC calls whose message is given in bytes, so that a test may send what no generated client would.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use prost::bytes::{Buf, BufMut};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

const DEADLINE: Duration = Duration::from_secs(60);

/// The metadata key under which a refusal carries ECS's class.
pub const FAULT_KEY: &str = "berth-fault";

/// A scheduler's gRPC API.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// A client that connects when it is used.
    ///
    /// # Errors
    ///
    /// If no runtime can be had.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("make a runtime")?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .context("the scheduler's address")?
            .connect_timeout(Duration::from_secs(5))
            .timeout(DEADLINE);
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        Ok(Self { runtime, channel })
    }

    /// One unary call; `path` as `/berth.ecs.v1.Ecs/RunTask`. The outer error is the connection's, the inner the
    /// server's.
    ///
    /// # Errors
    ///
    /// If the scheduler cannot be reached.
    pub fn call(&self, path: &str, message: Vec<u8>) -> Result<Result<Vec<u8>, Status>> {
        let path = PathAndQuery::try_from(path).context("the method's path")?;
        self.runtime.block_on(async {
            let mut grpc = self.ready().await?;
            let answer = grpc.unary(Request::new(message), path, Bytes).await;
            Ok(answer.map(Response::into_inner))
        })
    }

    /// The first answer on a stream to which one message was sent; `None` if the stream ends without.
    ///
    /// # Errors
    ///
    /// If the scheduler cannot be reached.
    pub fn first_answer(&self, path: &str, message: Vec<u8>) -> Result<Result<Option<Vec<u8>>, Status>> {
        let path = PathAndQuery::try_from(path).context("the method's path")?;
        self.runtime.block_on(async {
            let mut grpc = self.ready().await?;
            // The stream stays open: its end would be an answer of its own.
            let messages = tokio_stream::once(message).chain(tokio_stream::pending());
            Ok(match grpc.streaming(Request::new(messages), path, Bytes).await {
                Ok(answers) => answers.into_inner().message().await,
                Err(status) => Err(status),
            })
        })
    }

    async fn ready(&self) -> Result<Grpc<Channel>> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.context("reach the scheduler")?;
        Ok(grpc)
    }
}

/// The class of ECS's faults that a status carries; empty if it carries none.
#[must_use]
pub fn fault_class(status: &Status) -> &str {
    status
        .metadata()
        .get(FAULT_KEY)
        .and_then(|class| class.to_str().ok())
        .unwrap_or_default()
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
