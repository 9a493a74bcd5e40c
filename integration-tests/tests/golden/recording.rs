//! What the scenario's scripts print: each exchange of a client with the scheduler, in order.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// A scenario as it went.
#[derive(Deserialize)]
pub(super) struct Recording {
    /// All operations of botocore's model.
    operations: Vec<String>,
    /// Where an answer is not as the model says.
    pub(super) complaints: Vec<String>,
    /// All calls, in order.
    pub(super) exchanges: Vec<Exchange>,
}

/// A call and what came back.
#[derive(Deserialize)]
pub(super) struct Exchange {
    pub(super) operation: String,
    /// `boto3` or `AWS CLI`.
    pub(super) client: String,
    pub(super) request: Value,
    /// The HTTP status.
    pub(super) status: u16,
    /// The body as it was sent.
    pub(super) answer: Value,
}

impl Recording {
    /// Reads what the scripts printed.
    pub(super) fn parse(printed: &str) -> Result<Self> {
        serde_json::from_str(printed).with_context(|| format!("the scenario printed {printed}"))
    }

    /// Operations of the model that no call is of.
    pub(super) fn uncalled(&self) -> Vec<&str> {
        let called: BTreeSet<&str> = self.exchanges.iter().map(|one| one.operation.as_str()).collect();
        let operations = self.operations.iter().map(String::as_str);
        operations.filter(|operation| !called.contains(operation)).collect()
    }

    /// The calls of each operation, in order.
    pub(super) fn by_operation(&self) -> BTreeMap<&str, Vec<&Exchange>> {
        let mut calls: BTreeMap<&str, Vec<&Exchange>> = BTreeMap::new();
        for exchange in &self.exchanges {
            calls.entry(&exchange.operation).or_default().push(exchange);
        }
        calls
    }
}
