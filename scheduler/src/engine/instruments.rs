//! What the engine counts of its own work.

use std::any::TypeId;
use std::time::Duration;

use berth_daemon::metrics::{Counter, Histogram, LATENCY, Page};
use berth_scheduler_core::decide::queue::PlaceQueued;
use berth_scheduler_core::decide::reconcile::ReconcileService;
use berth_scheduler_core::decide::run::RunTask;

/// The engine's figures.
#[derive(Debug)]
pub(crate) struct Instruments {
    decisions: Histogram,
    placements: [(&'static str, Histogram); 3],
    appends: Histogram,
    bytes: Counter,
    conflicts: Counter,
    refused: Counter,
}

impl Instruments {
    pub(super) fn new() -> Self {
        Self {
            decisions: Histogram::new(LATENCY),
            placements: ["RunTask", "PlaceQueued", "ReconcileService"].map(|name| (name, Histogram::new(LATENCY))),
            appends: Histogram::new(LATENCY),
            bytes: Counter::default(),
            conflicts: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// A command of type `C` was decided, and changes something or not.
    pub(super) fn decided<C: 'static>(&self, took: Duration, changes: bool) {
        self.decisions.observe(took);
        if let Some((_, histogram)) = placement::<C>(changes).and_then(|at| self.placements.get(at)) {
            histogram.observe(took);
        }
    }

    /// A command was refused.
    pub(super) fn refused(&self) {
        self.refused.increment();
    }

    /// A record of so many bytes is durable.
    pub(super) fn appended(&self, took: Duration, bytes: usize) {
        self.appends.observe(took);
        self.bytes.add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Another writer's record came first.
    pub(super) fn conflict(&self) {
        self.conflicts.increment();
    }

    pub(super) fn tell(&self, page: &mut Page) {
        page.histogram(
            "berth_decision_duration_seconds",
            "Time to decide one command on the newest state, without its record.",
        )
        .spread(&[], &self.decisions);
        let mut placements = page.histogram(
            "berth_placement_duration_seconds",
            "Time to decide a command that chooses instances for tasks, by the kind of command.",
        );
        for (command, histogram) in &self.placements {
            placements.spread(&[("command", command)], histogram);
        }
        page.histogram(
            "berth_journal_append_duration_seconds",
            "Time until a record was durable in the journal.",
        )
        .spread(&[], &self.appends);
        page.counter(
            "berth_journal_appended_bytes_total",
            "Bytes of the records that this scheduler appended.",
        )
        .only(self.bytes.get() as f64);
        page.counter(
            "berth_journal_conflicts_total",
            "Records that were decided again because another scheduler's came first.",
        )
        .only(self.conflicts.get() as f64);
        page.counter(
            "berth_commands_refused_total",
            "Commands that were refused when they were decided.",
        )
        .only(self.refused.get() as f64);
    }
}

/// The place of a command's histogram, if it places tasks. A step of a service that changes nothing has placed nothing.
fn placement<C: 'static>(changes: bool) -> Option<usize> {
    let of = TypeId::of::<C>();
    let placing = [
        TypeId::of::<RunTask>(),
        TypeId::of::<PlaceQueued>(),
        TypeId::of::<ReconcileService>(),
    ];
    let at = placing.iter().position(|placing| *placing == of)?;
    (changes || of != TypeId::of::<ReconcileService>()).then_some(at)
}
