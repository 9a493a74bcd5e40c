//! The statuses of ECS, ordered where they only move forward.

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        $(#[$doc])*
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that ECS uses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The value that ECS calls so.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// Where a task stands. It only moves forward (ECS guide, "Task lifecycle").
    TaskStatus {
        /// Waits for what it needs before an instance can run it.
        Provisioning = "PROVISIONING",
        /// Placed; its agent pulls images and creates containers.
        Pending = "PENDING",
        /// Being registered with what sends it traffic.
        Activating = "ACTIVATING",
        /// All containers run, or ran and were not essential.
        Running = "RUNNING",
        /// Being taken out of what sends it traffic.
        Deactivating = "DEACTIVATING",
        /// Its containers are being stopped.
        Stopping = "STOPPING",
        /// What was made for it is being removed.
        Deprovisioning = "DEPROVISIONING",
        /// Over. Its resources are free.
        Stopped = "STOPPED",
    }
}

named! {
    /// What a task is meant to do.
    DesiredStatus {
        /// Run, and go on running.
        Running = "RUNNING",
        /// Stop, and stay so.
        Stopped = "STOPPED",
    }
}

named! {
    /// Where a container of a task stands. It only moves forward.
    ContainerStatus {
        /// Not started yet.
        Pending = "PENDING",
        /// Started.
        Running = "RUNNING",
        /// Ended, or never to start.
        Stopped = "STOPPED",
    }
}

named! {
    /// What a health check says.
    HealthStatus {
        /// There is no check, or it has not said anything yet.
        Unknown = "UNKNOWN",
        /// The check passes.
        Healthy = "HEALTHY",
        /// The check has failed as often as it may.
        Unhealthy = "UNHEALTHY",
    }
}

named! {
    /// Why a task was stopped (ECS API, `TaskStopCode`).
    StopCode {
        /// It never reached RUNNING.
        TaskFailedToStart = "TaskFailedToStart",
        /// An essential container ended.
        EssentialContainerExited = "EssentialContainerExited",
        /// Somebody called StopTask.
        UserInitiated = "UserInitiated",
        /// Its service had no more use for it.
        ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
        /// The host was reclaimed.
        SpotInterruption = "SpotInterruption",
        /// The host was told to go.
        TerminationNotice = "TerminationNotice",
        /// The host failed.
        InfrastructureHealth = "InfrastructureHealth",
    }
}

named! {
    /// Whether a container instance takes tasks.
    InstanceStatus {
        /// It does.
        Active = "ACTIVE",
        /// It keeps what it has and takes nothing new.
        Draining = "DRAINING",
        /// It was deregistered and is gone for good.
        Inactive = "INACTIVE",
    }
}

named! {
    /// Whether a cluster can be used.
    ClusterStatus {
        /// It can.
        Active = "ACTIVE",
        /// It was deleted; its name can be used again.
        Inactive = "INACTIVE",
    }
}

named! {
    /// Whether a revision of a task definition can be run.
    DefinitionStatus {
        /// It can.
        Active = "ACTIVE",
        /// It was deregistered; what runs on it goes on.
        Inactive = "INACTIVE",
        /// It goes as soon as nothing uses it any more.
        DeleteInProgress = "DELETE_IN_PROGRESS",
    }
}

named! {
    /// Where a task runs, as a request names it.
    #[derive(Default)]
    LaunchType {
        /// On container instances: what a request means that does not say.
        #[default]
        Ec2 = "EC2",
        /// On container instances outside of AWS.
        External = "EXTERNAL",
        /// On an instance of Fargate's provider, with an address and a size of its own.
        Fargate = "FARGATE",
    }
}

impl LaunchType {
    /// Whether it need not be said.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Ec2)
    }
}
