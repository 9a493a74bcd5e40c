//! The last lines of a container's log.

use std::time::Duration;

use berth_agent_core::container::{RunState, Snapshot};
use berth_agent_core::failure::Failure;
use berth_agent_core::tail;
use berth_model::status::HealthStatus;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::{Docker, permit};

/// For the lines, the wait for a turn included. Whoever looks at a container that failed waits no longer than this.
const READ: Duration = Duration::from_secs(2);
/// Of what Docker answers no more is read; its lines may be of any length.
const LARGEST: usize = 64 * 1024;

impl Docker {
    /// The container of the id or name, when Docker has it. Of one that has failed the end of its log is in it, where
    /// `tail` asks for that and Docker can read it in time.
    pub(crate) async fn look(&self, target: &str, tail: bool) -> Result<Option<Snapshot>, Failure> {
        let mut found = self.inspect(target).await?;
        match &mut found {
            Some(snapshot) if tail && has_failed(snapshot) => {
                let log = Box::pin(tokio::time::timeout(READ, self.last_lines(&snapshot.id)));
                let log = log.await.unwrap_or_default();
                // Until now it has what the health check said.
                snapshot.tail = tail::with_check(&snapshot.tail.join("\n"), log);
            }
            Some(snapshot) => snapshot.tail.clear(),
            None => {}
        }
        Ok(found)
    }

    async fn last_lines(&self, id: &str) -> Vec<String> {
        let Ok(_permit) = permit(&self.limits.logs).await else {
            return Vec::new();
        };
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&tail::LINES.to_string())
            .build();
        let mut output: Vec<u8> = Vec::new();
        let mut answer = Box::pin(self.client.logs(id, Some(options)));
        while let Some(part) = answer.next().await {
            match part {
                Ok(part) => output.extend_from_slice(part.as_ref()),
                // Some log drivers cannot be read, and a log that ends early is worth its beginning.
                Err(error) => {
                    tracing::debug!(container = id, %error, "the log cannot be read");
                    break;
                }
            }
            if output.len() > LARGEST {
                break;
            }
        }
        tail::of(&output)
    }
}

fn has_failed(snapshot: &Snapshot) -> bool {
    match snapshot.state {
        RunState::Exited { exit_code, .. } => exit_code != 0,
        RunState::Running => snapshot.health == HealthStatus::Unhealthy,
        RunState::Created => false,
    }
}
