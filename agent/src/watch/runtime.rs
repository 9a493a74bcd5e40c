//! Whether Docker answers: told from what it is asked anyway, and by a question of its own every few seconds.
//!
//! A hung Docker may answer some calls and not others. So there is more than one witness, and one that complains is
//! enough.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use tokio::time::Instant;

use crate::conditions::{Conditions, Part};
use crate::docker::Docker;
use crate::driver::now;

/// How long Docker may be without an answer before it is told: shorter than a restart of it takes would cry wolf.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(3);

/// Who complains of Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Witness {
    Ping,
    List,
    /// A create, start, stop or removal, which have deadlines of minutes.
    Effect,
}

/// What is known of Docker's health. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    complaints: Arc<Mutex<BTreeMap<Witness, String>>>,
    conditions: Conditions,
}

impl Runtime {
    /// Docker has just answered.
    pub(crate) fn new(conditions: Conditions) -> Self {
        conditions.ok(Part::ContainerRuntime, now());
        Self {
            complaints: Arc::default(),
            conditions,
        }
    }

    /// An effect failed. That its deadline passed speaks against Docker, until it lists its containers again.
    pub(crate) fn effect_failed(&self, failure: &Failure) {
        if failure.kind == FailureKind::TimedOut {
            self.complain(Witness::Effect, &failure.message);
        }
    }

    pub(super) fn complain(&self, witness: Witness, words: &str) {
        self.change(|complaints| {
            complaints.insert(witness, words.to_owned());
        });
    }

    pub(super) fn withdraw(&self, witnesses: &[Witness]) {
        self.change(|complaints| complaints.retain(|witness, _| !witnesses.contains(witness)));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Witness, String>)) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut complaints);
        match complaints.values().next() {
            Some(words) => self.conditions.impaired(Part::ContainerRuntime, words, now()),
            None => self.conditions.ok(Part::ContainerRuntime, now()),
        }
    }
}

/// Asks Docker for a sign of life, for ever.
pub(super) async fn ping(docker: &Docker, runtime: &Runtime) {
    let mut failing_since = None;
    loop {
        let asked = Instant::now();
        match docker.ping().await {
            Ok(()) => {
                failing_since = None;
                runtime.withdraw(&[Witness::Ping]);
            }
            Err(error) => {
                let since = *failing_since.get_or_insert(asked);
                if since.elapsed() >= PATIENCE {
                    runtime.complain(Witness::Ping, &error.message);
                }
            }
        }
        tokio::time::sleep(PING_INTERVAL).await;
    }
}
