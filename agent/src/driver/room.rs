//! What a disk that is full, or containers that are too many, mean for tasks.

use berth_agent_core::container::Phase;
use berth_agent_core::machine::Input;
use berth_agent_core::retention::{self, Kept};
use tokio::sync::oneshot;

use super::Driver;
use crate::images::{DiskState, Needed};

/// How much room there is.
#[derive(Debug, Default)]
pub(super) struct Room {
    disk: DiskState,
    /// There may be more ended tasks than are kept.
    pub(super) crowded: bool,
}

impl Driver {
    pub(super) fn disk(&mut self, state: DiskState) {
        self.room.disk = state;
        self.room.crowded = true;
    }

    /// Why a task that is new to this agent is not run.
    pub(super) fn refusal(&self) -> Option<String> {
        let reason = self.room.disk.refusal.as_ref()?;
        Some(format!("ResourceInitializationError: {reason}"))
    }

    /// Removes ended tasks before their time where there are too many, or their room is wanted.
    pub(super) fn make_room(&mut self) {
        if !std::mem::take(&mut self.room.crowded) {
            return;
        }
        let most = if self.room.disk.wants_room {
            0
        } else {
            self.parts.stopped_containers
        };
        let kept = self.tasks.values().filter_map(|task| Kept::of(task.machine.record()));
        for task in retention::surplus(kept.collect(), most) {
            self.handle(task, Input::LiftRetention);
        }
    }

    /// The images of containers that are still to be made, for the clean-up to leave alone.
    pub(super) fn images_needed(&self, answer: oneshot::Sender<Needed>) {
        let mut needed = Needed::default();
        let records = self.tasks.values().map(|task| task.machine.record());
        for record in records.filter(|record| record.ended_at.is_none()) {
            for (container, definition) in record.containers.iter().zip(record.spec.containers()) {
                if container.phase == Phase::Stopped {
                    continue;
                }
                needed.ids.extend(container.image_id.clone());
                needed.references.insert(definition.image.clone());
            }
        }
        if answer.send(needed).is_err() {
            tracing::debug!("the clean-up ended before its answer");
        }
    }
}
