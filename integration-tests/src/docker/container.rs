//! A container as Docker's inspect call shows it.

use anyhow::{Context, Result};
use serde_json::Value;

/// One container, at the moment it was inspected.
#[derive(Debug, Clone)]
pub struct Container {
    /// All that Docker said.
    pub inspect: Value,
}

impl Container {
    pub(super) fn new(body: &[u8]) -> Result<Self> {
        let inspect = serde_json::from_slice(body).context("parse Docker's inspect")?;
        Ok(Self { inspect })
    }

    /// Docker's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.inspect["Id"].as_str().unwrap_or_default()
    }

    /// A label's value; empty where there is none.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.inspect["Config"]["Labels"][name].as_str().unwrap_or_default()
    }

    /// Whether its process lives.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.inspect["State"]["Running"] == true
    }

    /// When it was started last, as Docker writes it.
    #[must_use]
    pub fn started_at(&self) -> &str {
        self.inspect["State"]["StartedAt"].as_str().unwrap_or_default()
    }

    /// The exit code; 0 while it runs.
    #[must_use]
    pub fn exit_code(&self) -> i64 {
        self.inspect["State"]["ExitCode"].as_i64().unwrap_or(-1)
    }

    /// A member of the settings that it was created with.
    #[must_use]
    pub fn host_config(&self, member: &str) -> &Value {
        &self.inspect["HostConfig"][member]
    }
}

/// The text in a stream of Docker's frames: a kind, three zeros, a length in four bytes, the text.
pub(super) fn log_text(mut stream: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((head, rest)) = stream.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        text.extend_from_slice(&rest[..length]);
        stream = &rest[length..];
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_outputs_are_joined() {
        let stream = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x04 err";
        assert_eq!(log_text(stream), "out err");
    }
}
