//! What is done to an engine's containers behind an agent's back.

use anyhow::Result;
use serde_json::Value;

use super::Engine;

impl Engine {
    /// Creates a container that no agent knows and leaves it at that; returns its id.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn create(&self, name: &str, spec: &Value) -> Result<String> {
        let created = self.json("POST", &format!("/containers/create?name={name}"), Some(spec))?;
        Ok(created["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Freezes a container's processes.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn pause(&self, id: &str) -> Result<()> {
        self.json("POST", &format!("/containers/{id}/pause"), None).map(drop)
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    ///
    /// If the container is not frozen.
    pub fn unpause(&self, id: &str) -> Result<()> {
        self.json("POST", &format!("/containers/{id}/unpause"), None).map(drop)
    }
}
