//! All that the driver can be told: one closed list, through one bounded channel.

use std::net::IpAddr;
use std::sync::Arc;

use berth_agent_core::drain::Notice;
use berth_agent_core::failure::Failure;
use berth_agent_core::image::{ImageRequest, PulledImage};
use berth_agent_core::machine::Outcome;
use berth_agent_core::recovery::Found;
use berth_model::id::TaskId;
use berth_proto::agent::v1::{AgentMessage, ProtectionAnswer, ProtectionRequest, Usage, scheduler_message};
use berth_tls::Membership;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::docker::Hint;
use crate::images::{DiskState, Needed};
use crate::usage::Running;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A stream to a scheduler is open and waits for the Hello.
    LinkUp(Box<Session>),
    /// The scheduler said something on the stream of that number.
    LinkMessage(u64, Box<scheduler_message::Message>),
    /// The stream of that number is over.
    LinkDown(u64),
    /// Docker says that something happened to a container.
    Hint(Hint),
    /// All containers of this instance that Docker has; `look` where a list may not show all that happened.
    Listed { found: Vec<Found>, look: bool },
    /// An effect on a container of the task is over.
    Done {
        task: TaskId,
        container: usize,
        outcome: Outcome,
    },
    /// An image is there, or is not to be had.
    Pulled {
        image: ImageRequest,
        result: Result<PulledImage, Failure>,
    },
    /// The task's own volumes are gone, or not.
    VolumesRemoved { task: TaskId, result: Result<(), Failure> },
    /// Docker's disk is filling up, or has room again.
    Disk(DiskState),
    /// The clean-up asks which images tasks need.
    ImagesNeeded(oneshot::Sender<Needed>),
    /// The records that were being written are durable.
    Spooled,
    /// The containers that run are asked for, to see what they use.
    WhatRuns(oneshot::Sender<Vec<Running>>),
    /// The host is about to go, or stays after all; told apart by a number that goes up.
    Drain { number: u64, notice: Option<Notice> },
    /// What the host and its containers use.
    Usage(Usage),
    /// A container asks for its task's protection, or sets it.
    Protection(ProtectionAsked),
    /// A container asks for what only a look at it shows.
    Look { task: TaskId, container: usize },
    /// Whether tasks can have credentials, which has changed.
    Credentials(bool),
}

/// A question for the scheduler, of a container's.
#[derive(Debug)]
pub(crate) struct ProtectionAsked {
    /// Without its number.
    pub(crate) request: ProtectionRequest,
    /// Dropped where there is no stream to ask on.
    pub(crate) answer: oneshot::Sender<ProtectionAnswer>,
}

/// One stream to a scheduler, as the driver sees it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Told apart from streams before it.
    pub(crate) number: u64,
    /// Where it leads to.
    pub(crate) scheduler: Endpoint,
    /// Whose certificate is shown there, where it is spoken with over TLS.
    pub(crate) membership: Option<Arc<Membership>>,
    /// How many schedulers it could have led to.
    pub(crate) schedulers: u32,
    /// Under which other hosts reach this one, as found out with the stream.
    pub(crate) address: Option<IpAddr>,
    /// To the scheduler.
    pub(crate) outbound: mpsc::Sender<AgentMessage>,
    /// Ends the stream, so that a new one begins.
    pub(crate) close: CancellationToken,
}
