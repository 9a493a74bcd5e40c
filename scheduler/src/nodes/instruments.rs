//! What is counted of agents' streams.

use berth_daemon::metrics::{Counter, Histogram, LATENCY, Page};

/// The figures of all streams that this scheduler has had.
#[derive(Debug)]
pub(super) struct Instruments {
    /// From the first record that touched an instance to the message that tells its agent.
    pub(super) assignments: Histogram,
    /// From a report to its durable record.
    pub(super) reports: Histogram,
    pub(super) begun: Counter,
    pub(super) refused: Counter,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            assignments: Histogram::new(LATENCY),
            reports: Histogram::new(LATENCY),
            begun: Counter::default(),
            refused: Counter::default(),
        }
    }
}

impl Instruments {
    pub(super) fn tell(&self, page: &mut Page) {
        page.histogram(
            "berth_assignment_delay_seconds",
            "Time from the record that touched an instance to the message that tells its agent.",
        )
        .spread(&[], &self.assignments);
        page.histogram(
            "berth_report_duration_seconds",
            "Time from an agent's report on tasks to its durable record.",
        )
        .spread(&[], &self.reports);
        page.counter("berth_agent_streams_begun_total", "Streams of agents that were let in.")
            .only(self.begun.get() as f64);
        page.counter(
            "berth_agent_streams_refused_total",
            "Agents that were refused when they connected.",
        )
        .only(self.refused.get() as f64);
    }
}
