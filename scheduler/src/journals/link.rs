//! Gives the journal of this scheduler to those who copy it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use berth_proto::journal::v1 as wire;
use berth_proto::journal::v1::journal_server;
use berth_proto::journal::v1::read_response::Part as Sent;
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::journal::transfer::{self, Part, Parts};
use crate::journal::{Journal, JournalError};

/// Copies at a time: each takes some megabytes, and the disk's time.
const AT_ONCE: usize = 2;

/// The service.
pub struct Link {
    begin: Box<dyn Fn() -> Parts + Send + Sync>,
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Gives this journal.
    pub fn new<J: Journal>(journal: Arc<J>) -> Self {
        Self {
            begin: Box::new(move || transfer::parts(Arc::clone(&journal))),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

#[tonic::async_trait]
impl journal_server::Journal for Link {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<wire::ReadResponse, Status>> + Send>>;

    async fn read(&self, _request: Request<wire::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| {
            Status::resource_exhausted(format!(
                "{AT_ONCE} copies of the journal are being read: try again later"
            ))
        })?;
        let parts = ReceiverStream::new((self.begin)());
        let stream = parts.map(move |part| {
            let _held = &permit;
            part.map(write).map_err(|error| told(&error))
        });
        Ok(Response::new(Box::pin(stream) as Self::ReadStream))
    }
}

fn told(error: &JournalError) -> Status {
    tracing::error!(error = %error, "journal not read for a copy");
    if matches!(error, JournalError::Damaged { .. }) {
        Status::data_loss(error.to_string())
    } else {
        Status::unavailable(error.to_string())
    }
}

fn write(part: Part) -> wire::ReadResponse {
    let part = match part {
        Part::Snapshot(kept) => Sent::Snapshot(wire::Snapshot {
            revision: kept.revision.0,
            chunks: kept.chunks,
            bytes: kept.bytes,
            behind: kept.behind,
        }),
        Part::Chunk(chunk) => Sent::Chunk(chunk),
        Part::Records(records) => Sent::Records(wire::Records {
            first: records.first().map_or(0, |(first, _)| first.0),
            records: records.into_iter().map(|(_, record)| record).collect(),
        }),
        Part::End { head } => Sent::End(wire::End { head: head.0 }),
    };
    wire::ReadResponse { part: Some(part) }
}
