//! What follows from the notice that the host goes away.

use berth_agent_core::drain::Notice;
use berth_agent_core::machine::Input;
use berth_model::id::TaskId;
use berth_model::time::Timestamp;
use berth_proto::agent::v1::{DrainNotice, agent_message};

use super::{Driver, now};
use crate::drain::Progress;

/// The notice as the scheduler is told of it.
pub(super) fn message(notice: &Notice) -> DrainNotice {
    DrainNotice {
        reason: notice.sentence().to_owned(),
        deadline: notice.deadline.as_epoch_seconds(),
    }
}

impl Driver {
    /// The host goes, or stays after all.
    pub(super) fn drain(&mut self, number: u64, notice: Option<Notice>) {
        match &notice {
            Some(notice) => tracing::warn!(
                departure = ?notice.departure,
                deadline = %notice.deadline.to_rfc3339(),
                tasks = self.tasks.len(),
                "the host is about to go: draining"
            ),
            None => tracing::info!("the host stays: no longer draining"),
        }
        let told = notice.as_ref().map(message).unwrap_or_default();
        self.notice = notice;
        self.drained.taken = number;
        if let Some(connected) = &self.session
            && !connected.send(agent_message::Message::Drain(told))
        {
            // The next Hello says it.
            connected.close();
        }
    }

    /// Stops what still runs when the time has come, and tells how far it is.
    pub(super) fn go_on_draining(&mut self) {
        let due = self.notice.take_if(|notice| notice.deadline <= now());
        if let Some(notice) = due {
            let facts = &self.parts.facts;
            let instance = self.parts.instance.to_string();
            let host = if facts.ec2_instance_id.is_empty() {
                &instance
            } else {
                &facts.ec2_instance_id
            };
            let reason = notice.stopped_reason(host);
            let running = self
                .tasks
                .iter()
                .filter(|(_, task)| task.machine.record().stop.is_none());
            let running: Vec<TaskId> = running.map(|(id, _)| *id).collect();
            for task in running {
                let (code, reason) = (notice.stop_code(), reason.clone());
                self.handle(task, Input::Terminate { code, reason });
            }
            self.notice = Some(notice);
        }
        self.drained.deadline = self.notice.as_ref().map(|notice| notice.deadline);
        if self.notice.is_some() {
            let ended = |task: &&super::Task| task.has_ended();
            let ends = self.tasks.values().filter(ended);
            self.drained.unrecorded = ends.filter(|task| !task.machine.record().acknowledged).count();
            self.drained.tasks = self.tasks.values().filter(|task| !task.has_ended()).count();
        }
        let drained: Progress = self.drained;
        self.parts.progress.send_if_modified(|progress| {
            let differs = *progress != drained;
            *progress = drained;
            differs
        });
    }

    /// When tasks are to be stopped, where that is still to come.
    pub(super) fn drain_due(&self) -> Option<Timestamp> {
        let now = now();
        self.notice
            .as_ref()
            .map(|notice| notice.deadline)
            .filter(|deadline| *deadline > now)
    }
}
