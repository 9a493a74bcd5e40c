//! Compose files and Elastic Beanstalk's `Dockerrun.aws.json` as task definitions and services.
//!
//! Pure: text in, definitions out. Files are read through [`Files`], variables are arguments. What a file says and what
//! becomes of it is one list ([`fields`]), by which it is read and which the documentation is made of: a field that is not
//! honoured is named in [`Note`]s, whatever it is, and none is passed over.

pub mod dockerrun;
pub mod dotenv;
pub mod fields;
mod interpolate;
mod load;
mod node;
mod project;
mod service;
mod translation;
mod units;
mod yaml;

pub use interpolate::Variables;
pub use load::{Files, Request};
pub use project::{Options, translate};
pub use translation::{Condition, Dependency, Kind, Listener, Note, Scheduling, Service, Translation, Update};

/// Why a file cannot be translated: where, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct Error {
    place: String,
    rule: String,
}

impl Error {
    pub(crate) fn new(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            rule: rule.into(),
        }
    }
}
