//! The thread that writes records.
//!
//! It is nobody else's: whatever hangs elsewhere (a secret on a file system of the network, a name server), records
//! get to their disk, without which no task could so much as be stopped.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::{Change, Spool, SpoolError};
use crate::vitals::Instruments;

/// Writes batches of changes, one after the other. It ends when all clones are gone.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Order {
    changes: Arc<Vec<Change>>,
    answer: oneshot::Sender<Result<(), SpoolError>>,
}

/// The thread is gone, and with it what it was writing.
#[derive(Debug, thiserror::Error)]
#[error("the thread that writes records is gone")]
pub(crate) struct Gone;

impl Writer {
    /// Begins the thread.
    ///
    /// # Errors
    /// No thread is to be had.
    pub(crate) fn begin(spool: Spool, instruments: Arc<Instruments>) -> io::Result<Self> {
        let (orders, mut inbox) = mpsc::channel::<Order>(1);
        let write = move || {
            while let Some(Order { changes, answer }) = inbox.blocking_recv() {
                let begun = Instant::now();
                let committed = spool.commit(&changes);
                instruments.spool.observe(begun.elapsed());
                // Whoever asked is gone when the agent is stopping.
                if answer.send(committed).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("spool".to_owned()).spawn(write)?;
        Ok(Self { orders })
    }

    /// Makes the changes; they are durable when it returns.
    ///
    /// # Errors
    /// [`Gone`], or within what the disk said.
    pub(crate) async fn commit(&self, changes: Arc<Vec<Change>>) -> Result<Result<(), SpoolError>, Gone> {
        let (answer, written) = oneshot::channel();
        let order = Order { changes, answer };
        self.orders.send(order).await.map_err(|_| Gone)?;
        written.await.map_err(|_| Gone)
    }
}
