//! What a machine is told and what it asks for.

use berth_model::status::StopCode;

use crate::container::{Binding, ListedContainer, Snapshot};
use crate::create::CreateRequest;
use crate::failure::Failure;
use crate::image::{ImageRequest, PulledImage};
use crate::spec::TaskSpec;

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The machine was just made: it may take its first steps.
    Begin,
    /// The scheduler assigns a task that was known by its labels alone.
    Assigned(Box<TaskSpec>),
    /// The scheduler wants the task stopped.
    Stop,
    /// The host goes away, and the task with it.
    Terminate {
        /// ECS's code.
        code: StopCode,
        /// ECS's words.
        reason: String,
    },
    /// An effect on a container is over.
    Done {
        /// The container's place in the definition.
        container: usize,
        /// What came of it.
        outcome: Outcome,
    },
    /// The removal of the task's own volumes is over.
    VolumesRemoved(Result<(), Failure>),
    /// Something may have happened to a container.
    Hint(usize),
    /// The containers of this task in a complete list of Docker's.
    Listing(Vec<ListedContainer>),
    /// The scheduler has recorded the task's end.
    Acknowledged,
    /// An ended task's containers are kept no longer: there are too many, or the disk is filling up.
    LiftRetention,
    /// Time has passed.
    Tick,
}

/// What came of an effect.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Of [`Action::Pull`].
    Pulled(Result<PulledImage, Failure>),
    /// Of [`Action::Create`]: Docker's id.
    Created(Result<String, Failure>),
    /// Of [`Action::Start`]: the host ports that forward to the container.
    Started(Result<Vec<Binding>, Failure>),
    /// Of [`Action::Signal`].
    Signalled(Result<(), Failure>),
    /// Of [`Action::Kill`].
    Killed(Result<(), Failure>),
    /// Of [`Action::Look`]: none when Docker has no such container.
    Looked(Result<Option<Snapshot>, Failure>),
    /// Of [`Action::Remove`].
    Removed(Result<(), Failure>),
}

impl Action {
    /// What it is, in a word, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "pull",
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Signal { .. } => "signal",
            Self::Kill { .. } => "kill",
            Self::Look { .. } => "look",
            Self::Remove { .. } => "removal",
            Self::RemoveVolumes => "volume-removal",
            Self::Forget => "forget",
        }
    }
}

impl Outcome {
    /// How it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Pulled(result) => result.as_ref().err(),
            Self::Created(result) => result.as_ref().err(),
            Self::Started(result) => result.as_ref().err(),
            Self::Looked(result) => result.as_ref().err(),
            Self::Signalled(result) | Self::Killed(result) | Self::Removed(result) => result.as_ref().err(),
        }
    }
}

/// What to do. Each is answered once, whatever comes of it, but [`Action::Forget`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make sure that the image is there.
    Pull {
        /// The container that needs it.
        container: usize,
        /// Which image.
        image: ImageRequest,
    },
    /// Create the container, or adopt the one of that name if it is ours.
    Create {
        /// Its place in the definition.
        container: usize,
        /// What to create.
        request: Box<CreateRequest>,
    },
    /// Start the container.
    Start {
        /// Its place in the definition.
        container: usize,
        /// Docker's id.
        id: String,
        /// Whether host ports forward to it, which only Docker knows.
        ports: bool,
    },
    /// Send the stop signal.
    Signal {
        /// Its place in the definition.
        container: usize,
        /// Docker's id.
        id: String,
        /// The signal's name or number.
        signal: String,
    },
    /// Send SIGKILL.
    Kill {
        /// Its place in the definition.
        container: usize,
        /// Docker's id.
        id: String,
    },
    /// Ask Docker about the container.
    Look {
        /// Its place in the definition.
        container: usize,
        /// Docker's id, or its name while there is none.
        target: String,
        /// Whether the end of its log is wanted, should it have failed: nobody has told it to stop.
        tail: bool,
    },
    /// Remove the ended container. One that Docker does not have counts as removed.
    Remove {
        /// Its place in the definition.
        container: usize,
        /// Docker's id.
        id: String,
    },
    /// Remove the volumes that belong to the task.
    RemoveVolumes,
    /// Nothing is left: the task's record may go.
    Forget,
}

/// What follows from an input.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// The record must be durable before anything of this step leaves the agent.
    pub save: bool,
    /// The report has changed.
    pub report: bool,
}
