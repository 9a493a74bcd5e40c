//! The door of one stream: whether who has opened it speaks for the member that it says it is, now and for as long as it lasts.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_proto::trust::v1::Authorities;
use berth_scheduler_core::membership::{Enrollment, speaks_for};
use berth_scheduler_core::state::State;
use berth_trust::Member;
use tokio::sync::watch;

use super::Trust;
use super::peer::Peer;
use crate::clock;

/// Where the port speaks no TLS everybody is let in: those who can reach it were trusted with that.
#[derive(Debug)]
pub(crate) struct Door {
    asks: Option<(Arc<Trust>, watch::Receiver<u64>)>,
    peer: Peer,
}

impl Door {
    /// The door of a stream that this side opened.
    pub(crate) fn of(trust: Option<&Arc<Trust>>, peer: Option<&Peer>) -> Self {
        Self {
            asks: trust.map(|trust| (Arc::clone(trust), trust.changes())),
            peer: peer.cloned().unwrap_or_default(),
        }
    }

    /// What the state knows of the member; nothing where nobody is asked.
    ///
    /// # Errors
    /// `AccessDeniedException`: the certificate does not speak for it, or not any more.
    pub(crate) fn admit<'s>(&self, state: &'s State, member: &Member) -> Result<Option<&'s Arc<Enrollment>>, Fault> {
        if self.asks.is_none() {
            return Ok(None);
        }
        let shown = self.peer.credential();
        speaks_for(state, shown.as_ref(), member, clock::now()).map(Some)
    }

    /// By whom schedulers are vouched for, for the stream's other side; nothing where there is no TLS.
    pub(crate) fn authorities(&self) -> Option<Authorities> {
        let (trust, _) = self.asks.as_ref()?;
        let current = trust.current();
        let of_another = |shown: &Arc<_>| !current.authority.has_signed(shown);
        Some(Authorities {
            authorities: current.authority.bundle().iter().map(|der| der.to_vec()).collect(),
            renew: self.peer.certificate.as_ref().is_some_and(of_another),
        })
    }

    /// Waits for other authorities. Cancellation safe.
    pub(crate) async fn changed(&mut self) {
        let Some((_, changes)) = &mut self.asks else {
            return std::future::pending().await;
        };
        // The sender is ours for as long as the process lives.
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
