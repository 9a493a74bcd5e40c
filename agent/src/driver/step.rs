//! A step of one machine, and the order in which what follows from it leaves the driver.

use berth_agent_core::failure::Failure;
use berth_agent_core::image::{ImageRequest, PulledImage};
use berth_agent_core::limits::TaskLimits;
use berth_agent_core::machine::{Action, Input, Machine, Outcome};
use berth_agent_core::report::TaskReport;
use berth_model::id::TaskId;
use berth_model::status::TaskStatus;
use berth_model::time::Timestamp;

use super::{Driver, now};

/// A task that the driver knows.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) machine: Machine,
    /// Raised with each change of the record.
    pub(super) version: u64,
    /// The version that is durable.
    saved: u64,
    /// What waits for which version to be durable.
    held: Vec<(u64, Held)>,
    /// What may be said of it: never more than what is durable.
    pub(super) told: TaskReport,
    wake: Option<Timestamp>,
}

#[derive(Debug)]
enum Held {
    Do(Action),
    Tell(Box<TaskReport>),
}

impl Task {
    /// Whether its end may be told.
    pub(super) fn has_ended(&self) -> bool {
        self.told.status == TaskStatus::Stopped
    }
}

impl Driver {
    /// Takes in a machine; `durable` when the spool has its record already.
    pub(super) fn insert(&mut self, machine: Machine, durable: bool) {
        let told = machine.report();
        let id = told.id;
        let version = u64::from(!durable);
        self.parts.publisher.put(machine.record());
        self.tasks.insert(
            id,
            Task {
                machine,
                version,
                saved: 0,
                held: Vec::new(),
                told,
                wake: None,
            },
        );
        if !durable {
            self.store.changed(id);
        }
    }

    /// Gives the input to the task's machine and sees to what follows.
    pub(super) fn handle(&mut self, id: TaskId, input: Input) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let now = now();
        let before = task.machine.status();
        let step = task.machine.handle(input, now);
        if step.save || step.report {
            self.parts.publisher.put(task.machine.record());
        }
        if step.save {
            task.version += 1;
            self.store.changed(id);
        }
        let version = task.version;
        task.held
            .extend(step.actions.into_iter().map(|action| (version, Held::Do(action))));
        if step.report {
            let report = task.machine.report();
            log_change(&report, before);
            if report.status == TaskStatus::Stopped && before != TaskStatus::Stopped {
                self.parts.performer.release_cgroup(id);
                let record = task.machine.record();
                let ids = record
                    .containers
                    .iter()
                    .filter_map(|container| container.image_id.as_ref());
                self.parts.performer.images.ended(ids);
            }
            task.held.push((version, Held::Tell(Box::new(report))));
        }
        let wake = task.machine.wake_at(now);
        if wake != task.wake {
            let old = std::mem::replace(&mut task.wake, wake);
            old.map(|at| self.wakes.remove(&(at, id)));
            self.wakes.extend(wake.map(|at| (at, id)));
        }
        self.release(id);
    }

    /// What was being written is durable: lets go what waited for it.
    pub(super) fn spooled(&mut self) {
        let batch = self.store.written();
        for (id, version) in batch.versions {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.saved = version;
                self.release(id);
            }
        }
        if let Some((session, version)) = batch.applied {
            self.assignments_applied(session, version);
        }
    }

    /// An image is there, or not, for all that wait for it.
    pub(super) fn pulled(&mut self, image: &ImageRequest, result: &Result<PulledImage, Failure>) {
        for (task, container) in self.pulls.remove(image).unwrap_or_default() {
            self.handle(
                task,
                Input::Done {
                    container,
                    outcome: Outcome::Pulled(result.clone()),
                },
            );
        }
    }

    fn release(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let saved = task.saved;
        let ready = task.held.iter().take_while(|(version, _)| *version <= saved).count();
        for (_, held) in task.held.drain(..ready).collect::<Vec<_>>() {
            match held {
                Held::Do(action) => self.act(id, action),
                Held::Tell(report) => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        if report.is_progress_since(&task.told) {
                            self.outbox.progressed(id, now());
                        } else {
                            self.outbox.changed(id);
                        }
                        task.told = *report;
                    }
                }
            }
        }
    }

    fn act(&mut self, id: TaskId, action: Action) {
        match action {
            Action::Pull { container, image } => {
                let waiting = self.pulls.entry(image.clone()).or_default();
                waiting.push((id, container));
                if waiting.len() == 1 {
                    self.parts.performer.pull(image);
                }
            }
            Action::RemoveVolumes => {
                if let Some(task) = self.tasks.get(&id) {
                    self.parts.performer.remove_volumes(id, task.told.arn.clone());
                }
            }
            Action::Forget => {
                if let Some(task) = self.tasks.remove(&id) {
                    task.wake.map(|at| self.wakes.remove(&(at, id)));
                }
                self.outbox.forget(id);
                self.parts.publisher.remove(id);
                self.store.remove(id);
                tracing::debug!(task = %id, "nothing is left of the task");
            }
            effect @ (Action::Create { .. } | Action::Start { .. }) => {
                let task = self.tasks.get(&id);
                let limits = task.map(|task| TaskLimits::of(&task.machine.record().spec));
                self.parts.performer.perform(id, limits, effect);
            }
            effect @ (Action::Signal { .. } | Action::Kill { .. } | Action::Look { .. } | Action::Remove { .. }) => {
                self.parts.performer.perform(id, None, effect)
            }
        }
    }
}

fn log_change(report: &TaskReport, before: TaskStatus) {
    if report.status != before {
        tracing::info!(
            task = %report.id,
            from = before.name(),
            to = report.status.name(),
            reason = report.stopped_reason,
            "task changed"
        );
    }
}
