//! What a container is given that does not stand in the definition: secrets, files of variables, a registry's password.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A secret under the name that the container or a log driver knows it by.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// The name of the variable or option.
    #[serde(default)]
    pub name: String,
    /// What it is kept as: never the secret itself.
    #[serde(default)]
    pub value_from: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Secret {
    /// Whether the reference is an ARN of Secrets Manager.
    #[must_use]
    pub fn is_of_secrets_manager(&self) -> bool {
        let mut parts = self.value_from.split(':');
        parts.next() == Some("arn") && parts.nth(1) == Some("secretsmanager")
    }
}

/// A file of environment variables.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentFile {
    /// `arn:aws:s3:::bucket/key`, or `file://` and a path of the host.
    #[serde(default)]
    pub value: String,
    /// `s3`, the one type that ECS has.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// With what the image's registry lets the agent in.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCredentials {
    /// The secret with user name and password.
    #[serde(default)]
    pub credentials_parameter: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
