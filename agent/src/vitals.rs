//! How this agent is: whether it lives, whether it is ready, and its figures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_agent_core::report;
use berth_daemon::metrics::{Counter, Histogram, LATENCY, Page, tell_certificates, tell_process};
use berth_daemon::pages;
use berth_model::status::TaskStatus;
use berth_tls::Membership;
use tokio::sync::{mpsc, watch};

use crate::conditions::{Conditions, Part};
use crate::docker::Calls;
use crate::endpoint::View;
use crate::event::Event;
use crate::pulse::Pulse;

/// Silence of the driver, which says something every 10 s at least, after which it counts as hanging.
const SILENCE: Duration = Duration::from_secs(30);

/// What is counted where it happens.
#[derive(Debug)]
pub(crate) struct Instruments {
    /// Whether a scheduler has us.
    connected: AtomicBool,
    /// Why none has us, since the last that had us.
    refusal: Mutex<Option<String>>,
    /// Streams on which a scheduler welcomed us.
    streams: Counter,
    /// From a report to the word that it is durable.
    pub(crate) reports: Histogram,
    /// To write records to the spool.
    pub(crate) spool: Histogram,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            connected: AtomicBool::new(false),
            refusal: Mutex::default(),
            streams: Counter::default(),
            reports: Histogram::new(LATENCY),
            spool: Histogram::new(LATENCY),
        }
    }
}

impl Instruments {
    /// A scheduler has us.
    pub(crate) fn welcomed(&self) {
        *self.refusal() = None;
        self.connected.store(true, Ordering::Relaxed);
        self.streams.increment();
    }

    /// The stream to it has ended.
    pub(crate) fn parted(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    /// Why there is no stream.
    pub(crate) fn refused(&self, reason: String) {
        *self.refusal() = Some(reason);
    }

    fn refusal(&self) -> MutexGuard<'_, Option<String>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scheduler has us; else why none has.
    fn has_scheduler(&self) -> Result<(), String> {
        if self.connected.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(match &*self.refusal() {
            // Words of others end as they like.
            Some(reason) => format!("There is no stream to a scheduler: {}.", reason.trim_end_matches('.')),
            None => "There is no stream to a scheduler.".to_owned(),
        })
    }
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Vitals {
    pub(crate) pulse: Pulse,
    pub(crate) conditions: Conditions,
    pub(crate) views: watch::Receiver<Arc<View>>,
    pub(crate) events: mpsc::WeakSender<Event>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) membership: Option<Arc<Membership>>,
}

impl pages::Vitals for Vitals {
    /// The driver takes in events. Until its first beat the agent waits for Docker, which is no fault of its own.
    async fn alive(&self) -> Result<(), String> {
        match self.pulse.silence() {
            Some(silence) if silence > SILENCE => Err(format!(
                "The driver has done nothing for {} seconds.",
                silence.as_secs()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Docker answers and a scheduler has us.
    async fn ready(&self) -> Result<(), String> {
        match self.conditions.of(Part::ContainerRuntime) {
            None => return Err("Docker has not answered yet.".to_owned()),
            Some(Err(reason)) => return Err(format!("Docker is impaired: {reason}")),
            Some(Ok(())) => {}
        }
        self.instruments.has_scheduler()
    }

    async fn metrics(&self) -> Result<Page, String> {
        let mut page = Page::default();
        tell_process(&mut page, "berth-agent", env!("CARGO_PKG_VERSION"));
        self.tell_tasks(&mut page);
        let flag = |page: &mut Page, name, help, value: bool| page.gauge(name, help).only(f64::from(u8::from(value)));
        flag(
            &mut page,
            "berth_agent_connected",
            "Whether the agent has a stream to a scheduler: 1 or 0.",
            self.instruments.has_scheduler().is_ok(),
        );
        let mut impaired = page.gauge(
            "berth_agent_impaired",
            "Whether a part of the host keeps tasks from getting on: 1 or 0.",
        );
        for part in Part::ALL {
            if let Some(condition) = self.conditions.of(part) {
                let value = f64::from(u8::from(condition.is_err()));
                impaired.value(&[("part", part.name())], value);
            }
        }
        page.counter(
            "berth_agent_streams_total",
            "Streams on which a scheduler had the agent.",
        )
        .only(self.instruments.streams.get() as f64);
        if let Some(events) = self.events.upgrade() {
            let waiting = events.max_capacity().saturating_sub(events.capacity());
            page.gauge("berth_agent_event_queue_length", "Events that wait for the driver.")
                .only(waiting as f64);
            page.gauge(
                "berth_agent_event_queue_limit",
                "Events that may wait before who has one more waits.",
            )
            .only(events.max_capacity() as f64);
        }
        page.histogram(
            "berth_agent_report_duration_seconds",
            "Time from a report on tasks to the scheduler's word that it is durable.",
        )
        .spread(&[], &self.instruments.reports);
        page.histogram(
            "berth_agent_spool_write_duration_seconds",
            "Time until records of tasks were durable on this host.",
        )
        .spread(&[], &self.instruments.spool);
        self.calls.tell(&mut page);
        if let Some((own, authority)) = self.membership.as_ref().and_then(|membership| membership.lives()) {
            tell_certificates(&mut page, own.as_epoch_seconds(), authority.as_epoch_seconds());
        }
        Ok(page)
    }
}

impl Vitals {
    fn tell_tasks(&self, page: &mut Page) {
        let view = Arc::clone(&self.views.borrow());
        let mut tasks = page.gauge(
            "berth_agent_tasks",
            "Tasks of this host by status; those that have stopped for as long as their containers are kept.",
        );
        for status in TaskStatus::ALL {
            let known = view.tasks.values();
            let count = known.filter(|known| report::status(&known.record) == *status).count();
            tasks.value(&[("status", status.name())], count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_no_scheduler_has_says_why_until_one_has_it() {
        let instruments = Instruments::default();
        assert_eq!(
            instruments.has_scheduler(),
            Err("There is no stream to a scheduler.".to_owned())
        );
        instruments.refused("Join token 0123456789abcdef was revoked.".to_owned());
        assert_eq!(
            instruments.has_scheduler(),
            Err("There is no stream to a scheduler: Join token 0123456789abcdef was revoked.".to_owned())
        );
        instruments.welcomed();
        assert_eq!(instruments.has_scheduler(), Ok(()));
        instruments.parted();
        assert_eq!(
            instruments.has_scheduler(),
            Err("There is no stream to a scheduler.".to_owned())
        );
    }
}
