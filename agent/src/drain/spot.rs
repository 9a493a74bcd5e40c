//! EC2's notice that it takes a Spot Instance back, from the instance metadata service.
//!
//! Source: EC2 User Guide, "Spot Instance interruption notices" (`spot/instance-action`, two minutes ahead).

use std::time::Duration;

use anyhow::Context as _;
use berth_agent_core::drain::Departure;
use berth_model::time::Timestamp;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::Request;
use crate::config::Config;
use crate::driver::now;
use crate::imds::{self, Imds};

const NOTICE: &str = "/latest/meta-data/spot/instance-action";
/// Between two looks; EC2's guide says 5 s, of two minutes.
const POLL: Duration = Duration::from_secs(2);
/// For one call; the service is on the host itself.
const CALL: Duration = Duration::from_secs(5);
/// Between the last SIGKILL of a container and the end of the host.
const MARGIN: Duration = Duration::from_secs(5);

/// The metadata service to ask: none where the operator does not want it, or the host is none of EC2's.
pub(crate) fn endpoint(config: &Config, on_ec2: bool) -> Option<String> {
    match config.spot_draining {
        Some(false) => None,
        // The operator's word is enough.
        Some(true) => imds::endpoint(config.imds_endpoint.as_deref(), true),
        None => imds::endpoint(config.imds_endpoint.as_deref(), on_ec2),
    }
}

/// Looks for a notice until aborted. Tasks are told to stop so long before the host goes that they can.
pub(crate) async fn watch(authority: String, stop_timeout: Duration, requests: mpsc::Sender<Request>) {
    let mut service = Imds::new(authority, CALL);
    let mut told = None;
    let mut failing = false;
    loop {
        match action(&mut service).await {
            Ok(action) => {
                failing = false;
                let action = action.filter(|action| told.as_ref() != Some(action));
                if let Some(action) = action
                    && tell(&action, stop_timeout + MARGIN, &requests).await
                {
                    told = Some(action);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the metadata service does not say whether EC2 takes the host back"
                    );
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What EC2 is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Action {
    action: String,
    time: String,
}

impl Action {
    fn departure(&self) -> Departure {
        if self.action == "terminate" {
            Departure::SpotTerminate
        } else {
            Departure::SpotStop
        }
    }

    /// When tasks are told to stop: never before now.
    fn deadline(&self, lead: Duration, now: Timestamp) -> Timestamp {
        let lead = i64::try_from(lead.as_millis()).unwrap_or(i64::MAX);
        let end = Timestamp::from_rfc3339(&self.time).unwrap_or(now);
        Timestamp::from_millis(end.as_millis().saturating_sub(lead)).max(now)
    }
}

async fn tell(action: &Action, lead: Duration, requests: &mpsc::Sender<Request>) -> bool {
    tracing::warn!(action = action.action, time = action.time, "EC2 takes the host back");
    let leave = Some((action.departure(), action.deadline(lead, now())));
    let (done, taken) = oneshot::channel();
    requests.send(Request { leave, done }).await.is_ok() && matches!(taken.await, Ok(Ok(_)))
}

/// What the service says, if it says anything.
async fn action(service: &mut Imds) -> anyhow::Result<Option<Action>> {
    let notice = service.get(NOTICE).await?;
    let read = |notice: &[u8]| serde_json::from_slice(notice).context("read spot/instance-action");
    notice.as_deref().map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_before_the_host_goes_and_never_in_the_past() {
        let action: Action =
            serde_json::from_str(r#"{"action": "terminate", "time": "2026-11-21T08:22:00Z"}"#).unwrap();
        let end = Timestamp::from_rfc3339("2026-11-21T08:22:00Z").unwrap();
        let before = |seconds: i64| Timestamp::from_millis(end.as_millis() - seconds * 1000);
        let lead = Duration::from_secs(35);
        assert_eq!(action.departure(), Departure::SpotTerminate);
        assert_eq!(action.deadline(lead, before(120)), before(35));
        assert_eq!(action.deadline(lead, before(10)), before(10));
        let odd = Action {
            action: "hibernate".to_owned(),
            time: "soon".to_owned(),
        };
        assert_eq!((odd.departure(), odd.deadline(lead, end)), (Departure::SpotStop, end));
    }
}
