//! What else than its own `runc` an engine can run containers by.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::Engine;
use crate::wait::{Seen, wait_until};

const DEADLINE: Duration = Duration::from_secs(20);

impl Engine {
    /// Has the engine offer `runc` under another name too, as a runtime that does more would be.
    ///
    /// # Errors
    ///
    /// If the engine does not take it in time.
    pub fn offer_runc_as(&self, name: &str) -> Result<()> {
        let config = self.socket.with_file_name("daemon.json");
        let settings = json!({"runtimes": {name: {"path": "runc"}}});
        std::fs::write(&config, settings.to_string()).with_context(|| format!("write {}", config.display()))?;
        self.daemon().hang_up()?;
        wait_until("the engine offers the runtime", DEADLINE, || {
            let runtimes = self.json("GET", "/info", None)?["Runtimes"].take();
            Ok(Seen::when(runtimes[name].is_object(), || runtimes.to_string()))
        })
    }
}
