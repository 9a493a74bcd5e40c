//! The faults of the ECS API: a class that clients match on and a message.
//!
//! Cores and validation return faults as values; only the API's mouths turn them into a wire error.
//! Classes and texts are those of the ECS API reference ("Common errors" and each operation's list).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::ScheduleName;

/// The class of a fault, as ECS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultClass {
    /// The caller's request cannot be carried out as it stands.
    Client,
    /// A member of the request has a value that breaks a rule.
    InvalidParameter,
    /// Berth failed, not the caller.
    Server,
    /// Berth cannot do it at present, whoever asks: it says so in ECS's words as [`Self::Server`] does.
    Unavailable,
    /// The cluster does not exist or is INACTIVE.
    ClusterNotFound,
    /// The cluster still has container instances.
    ClusterContainsContainerInstances,
    /// The cluster still has tasks.
    ClusterContainsTasks,
    /// The cluster still has services.
    ClusterContainsServices,
    /// The service does not exist.
    ServiceNotFound,
    /// The service was deleted.
    ServiceNotActive,
    /// The deployment of a service does not exist.
    ServiceDeploymentNotFound,
    /// No such task set.
    TaskSetNotFound,
    /// The target of attributes does not exist.
    TargetNotFound,
    /// The container's agent cannot be reached.
    TargetNotConnected,
    /// The target has as many attributes as it may.
    AttributeLimitExceeded,
    /// There is no namespace of the name.
    NamespaceNotFound,
    /// The agent of a container instance cannot be updated.
    NoUpdateAvailable,
    /// What the request names does not exist.
    ResourceNotFound,
    /// A `clientToken` was used before with other parameters, or what is to be made or changed is not as the request
    /// says.
    Conflict,
    /// What is to be taken away is in use.
    ResourceInUse,
    /// A quota is used up.
    LimitExceeded,
    /// There is no such platform of Fargate.
    PlatformUnknown,
    /// ECS has the operation or the option, this scheduler has not.
    UnsupportedFeature,
    /// As [`Self::InvalidParameter`], in the words of Application Auto Scaling.
    Validation,
    /// As [`Self::ResourceNotFound`], in the words of Application Auto Scaling.
    ObjectNotFound,
    /// The body is not what the protocol asks for.
    Serialization,
    /// ECS has no such operation.
    UnknownOperation,
    /// Too many requests wait; try again later.
    Throttling,
    /// The caller presents nothing that says who it is.
    MissingAuthenticationToken,
    /// Something is missing in what it presents.
    IncompleteSignature,
    /// The request was not signed with the secret of its access key, or not now.
    InvalidSignature,
    /// Nobody has the access key, or it is not to be used.
    UnrecognizedClient,
    /// The session is over.
    ExpiredToken,
    /// The caller may not do it.
    AccessDenied,
}

impl FaultClass {
    /// The exception's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "ClientException",
            Self::InvalidParameter => "InvalidParameterException",
            Self::Server | Self::Unavailable => "ServerException",
            Self::ClusterNotFound => "ClusterNotFoundException",
            Self::ClusterContainsContainerInstances => "ClusterContainsContainerInstancesException",
            Self::ClusterContainsTasks => "ClusterContainsTasksException",
            Self::ClusterContainsServices => "ClusterContainsServicesException",
            Self::ServiceNotFound => "ServiceNotFoundException",
            Self::ServiceNotActive => "ServiceNotActiveException",
            Self::TaskSetNotFound => "TaskSetNotFoundException",
            Self::ServiceDeploymentNotFound => "ServiceDeploymentNotFoundException",
            Self::TargetNotFound => "TargetNotFoundException",
            Self::TargetNotConnected => "TargetNotConnectedException",
            Self::AttributeLimitExceeded => "AttributeLimitExceededException",
            Self::NamespaceNotFound => "NamespaceNotFoundException",
            Self::NoUpdateAvailable => "NoUpdateAvailableException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Conflict => "ConflictException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::LimitExceeded => "LimitExceededException",
            Self::PlatformUnknown => "PlatformUnknownException",
            Self::UnsupportedFeature => "UnsupportedFeatureException",
            Self::Validation => "ValidationException",
            Self::ObjectNotFound => "ObjectNotFoundException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Throttling => "ThrottlingException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::AccessDenied => "AccessDeniedException",
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal: nothing of what was asked has been done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Fault {
    /// What clients match on.
    pub class: FaultClass,
    /// What people read: names the field, the value and the rule.
    pub message: String,
    /// Ids of the resources in the way; only [`FaultClass::Conflict`] carries them.
    pub resource_ids: Vec<String>,
}

impl Fault {
    /// A fault of the given class.
    #[must_use]
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            resource_ids: Vec::new(),
        }
    }

    /// `ClientException`.
    #[must_use]
    pub fn client(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Client, message)
    }

    /// `InvalidParameterException`.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FaultClass::InvalidParameter, message)
    }

    /// `ServerException`.
    #[must_use]
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Server, message)
    }

    /// `ServerException` for what may be possible again in a while.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Unavailable, message)
    }

    /// `ClusterNotFoundException` for a name that no cluster has.
    #[must_use]
    pub fn cluster_not_found() -> Self {
        Self::new(FaultClass::ClusterNotFound, "Cluster not found.")
    }

    /// `ClusterNotFoundException` for a cluster that was deleted.
    #[must_use]
    pub fn cluster_inactive() -> Self {
        Self::new(FaultClass::ClusterNotFound, "The referenced cluster was inactive.")
    }

    /// `TargetNotFoundException` for what attributes cannot be of.
    #[must_use]
    pub fn target_not_found(target: &str) -> Self {
        let text = format!("Could not find {}", shortened(target));
        Self::new(FaultClass::TargetNotFound, text)
    }

    /// `ServiceNotFoundException`.
    #[must_use]
    pub fn service_not_found() -> Self {
        Self::new(FaultClass::ServiceNotFound, "Service not found.")
    }

    /// `ServiceNotActiveException` for a service that was deleted.
    #[must_use]
    pub fn service_not_active() -> Self {
        Self::new(FaultClass::ServiceNotActive, "Service was not ACTIVE.")
    }

    /// `ResourceNotFoundException` for a schedule.
    #[must_use]
    pub fn schedule_not_found(name: &ScheduleName) -> Self {
        Self::new(FaultClass::ResourceNotFound, format!("Schedule {name} does not exist."))
    }

    /// `UnsupportedFeatureException`.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FaultClass::UnsupportedFeature, message)
    }
}

/// The text for an error message: cut where it would drown the message.
#[must_use]
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 128;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}...")
}
