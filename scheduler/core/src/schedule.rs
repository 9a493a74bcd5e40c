//! What a schedule is told to do and what is remembered of its runs: words that the journal, the state and
//! [`crate::decide`] share.

mod occurrence;
mod run;

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::schedule::{
    ActionAfterCompletion, Expression, FlexibleTimeWindow, OverlapPolicy, Recurrence, RetryPolicy, ScheduleState, Zone,
};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::occurrence::{Occurrence, Passed};
pub use self::run::{Retry, Run};
use crate::decide::run::RunTask;
use crate::service::NetworkConfiguration;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// When it is due.
    pub timing: Timing,
    /// Whether it runs then.
    #[serde(default)]
    pub state: ScheduleState,
    /// For how long a run may begin after it was due.
    #[serde(default)]
    pub window: FlexibleTimeWindow,
    /// What becomes of it once it will not be due again.
    #[serde(default)]
    pub after_completion: ActionAfterCompletion,
    /// What a run does while tasks of an earlier one have not stopped.
    #[serde(default)]
    pub overlap: OverlapPolicy,
    /// For how long and how often tasks that could not be placed are tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// In the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Arc<str>>,
    /// What a run does.
    pub target: Target,
}

/// When a schedule is due, as it was written; it has been read once, when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: Arc<str>,
    /// Whose clocks.
    pub zone: Arc<str>,
    /// Nothing is due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Nothing is due after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

/// What a run does: a RunTask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The call.
    pub run: RunTask,
    /// How its tasks are connected, where they have an address of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfiguration>,
}

impl Timing {
    /// What is meant, for a schedule whose rate begins at `anchor`.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member, the place in it and the rule.
    pub fn recurrence(&self, anchor: Timestamp) -> Result<Recurrence, Fault> {
        let expression = Expression::parse(&self.expression)
            .map_err(|error| Fault::invalid(format!("scheduleExpression is invalid: {error}.")))?;
        let zone = Zone::parse(&self.zone)
            .map_err(|error| Fault::invalid(format!("scheduleExpressionTimezone is invalid: {error}.")))?;
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            return Err(Fault::invalid(format!(
                "endDate {} must be after startDate {}.",
                end.to_rfc3339(),
                start.to_rfc3339()
            )));
        }
        Ok(Recurrence {
            expression,
            zone,
            anchor,
            start: self.start,
            end: self.end,
        })
    }
}
