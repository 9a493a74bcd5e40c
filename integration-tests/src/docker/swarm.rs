//! Docker's own services: an engine as the only node of a swarm.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{DEADLINE, Engine, percent_encoded};
use crate::wait::{Seen, wait_until};

impl Engine {
    /// Makes the engine a swarm of its own, which it cannot be while it is to keep containers over its restarts.
    ///
    /// # Errors
    ///
    /// If it refuses.
    pub fn begin_swarm(&self, address: Ipv4Addr) -> Result<()> {
        std::fs::write(&self.config, json!({"live-restore": false}).to_string())
            .with_context(|| format!("write {}", self.config.display()))?;
        self.daemon().hang_up()?;
        let request = json!({"ListenAddr": format!("{address}:2377"), "AdvertiseAddr": address.to_string()});
        wait_until("the engine is a swarm", DEADLINE, || {
            Ok(match self.json("POST", "/swarm/init", Some(&request)) {
                Ok(_) => Seen::Done(()),
                // It may not have read its configuration yet.
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })
    }

    /// Creates a service of the swarm; returns its id.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn create_service(&self, spec: &Value) -> Result<String> {
        let created = self.json("POST", "/services/create", Some(spec))?;
        Ok(created["ID"].as_str().context("no ID")?.to_owned())
    }

    /// Changes what a service of the swarm is to be.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn update_service(&self, id: &str, spec: &Value) -> Result<()> {
        let service = self.json("GET", &format!("/services/{id}"), None)?;
        let version = &service["Version"]["Index"];
        self.json("POST", &format!("/services/{id}/update?version={version}"), Some(spec))
            .map(drop)
    }

    /// The tasks of a service of the swarm, also those that are over.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub fn service_tasks(&self, id: &str) -> Result<Vec<Value>> {
        let filters = percent_encoded(&json!({"service": [id]}).to_string());
        let tasks = self.json("GET", &format!("/tasks?filters={filters}"), None)?;
        Ok(tasks.as_array().cloned().unwrap_or_default())
    }

    /// Removes a service of the swarm; its containers go after it.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub fn remove_service(&self, id: &str) -> Result<()> {
        self.json("DELETE", &format!("/services/{id}"), None).map(drop)
    }
}
