//! What can go wrong with a call.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};

/// Why a call has no answer. Only after [`Error::Settings`] is it certain that it had no effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings make no sense.
    #[error("{setting}: {reason}")]
    Settings {
        /// Which.
        setting: &'static str,
        /// Why.
        reason: String,
    },
    /// The member did not answer in time.
    #[error("etcd at {endpoint} did not {operation} within {after:?}")]
    Deadline {
        /// Which member.
        endpoint: String,
        /// What it was asked.
        operation: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// The member, or the way to it, answered with an error.
    #[error("etcd at {endpoint} did not {operation}: {message}")]
    Failed {
        /// Which member.
        endpoint: String,
        /// What it was asked.
        operation: &'static str,
        /// Of which kind.
        code: Code,
        /// Why.
        message: String,
    },
    /// The member ended a watch.
    #[error("etcd at {endpoint} ended the watch: {reason}")]
    Ended {
        /// Which member.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    pub(crate) fn failed(endpoint: &str, operation: &'static str, status: &Status) -> Self {
        let mut message = status.message().to_owned();
        // A connection that cannot be made says why only in its causes.
        let mut cause = status.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::Failed {
            endpoint: endpoint.to_owned(),
            operation,
            code: status.code(),
            message,
        }
    }

    /// Another member may do better.
    pub(crate) fn is_the_members(&self) -> bool {
        match self {
            Self::Settings { .. } => false,
            Self::Deadline { .. } | Self::Ended { .. } => true,
            Self::Failed { code, .. } => matches!(
                code,
                Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown | Code::Internal
            ),
        }
    }
}
