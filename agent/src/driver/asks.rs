//! What containers ask of the scheduler: passed on along the stream, and the answers back.

use std::collections::BTreeMap;

use berth_model::task_definition::capability;
use berth_proto::agent::v1::{HostAttribute, ProtectionAnswer, agent_message};
use tokio::sync::oneshot;

use super::Driver;
use crate::event::ProtectionAsked;

/// Questions that the scheduler has not answered yet. They are as many as the endpoint has connections.
#[derive(Debug, Default)]
pub(super) struct Asks {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<ProtectionAnswer>>,
}

impl Asks {
    /// The stream is gone, and with it the answers.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn answered(&mut self, answer: ProtectionAnswer) {
        let waiting = self.waiting.remove(&answer.number);
        if waiting.is_some_and(|waiting| waiting.send(answer).is_err()) {
            tracing::debug!("nobody waits for the answer of the scheduler any more");
        }
    }
}

impl Driver {
    /// Asks the scheduler; where it cannot be asked now, whoever waits learns of it at once.
    pub(super) fn protection_asked(&mut self, asked: ProtectionAsked) {
        let Some(connected) = self.session.as_ref().filter(|connected| connected.is_welcome()) else {
            return;
        };
        let ProtectionAsked { mut request, answer } = asked;
        self.asks.last += 1;
        request.number = self.asks.last;
        if connected.send(agent_message::Message::Protection(request)) {
            self.asks.waiting.retain(|_, waiting| !waiting.is_closed());
            self.asks.waiting.insert(self.asks.last, answer);
        }
    }

    /// Whether tasks can have credentials has changed: the scheduler is told with the next Hello, which follows at once.
    pub(super) fn credentials(&mut self, given: bool) {
        let names = [capability::TASK_ROLE, capability::TASK_ROLE_HOST];
        let attributes = &mut self.parts.facts.attributes;
        attributes.retain(|attribute| !names.contains(&attribute.name.as_str()));
        if given {
            attributes.extend(names.map(|name| HostAttribute {
                name: name.to_owned(),
                value: None,
            }));
        }
        if let Some(connected) = &self.session {
            connected.close();
        }
    }
}
