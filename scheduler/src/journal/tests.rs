//! What every journal holds to: one list of tests, run against each.

mod access;
mod damage;
mod disk;
mod etcd;
mod server;
mod suite;
mod wire;

use std::sync::Arc;

use super::embedded::Embedded;
use super::memory::Memory;
use super::*;
use disk::Disk;

/// A journal to try, with the storage under it.
trait Bed: Send {
    type J: Journal;

    async fn new() -> Self;

    /// The journal as one of its users has it.
    async fn user(&self) -> Arc<Self::J>;

    /// Takes the storage away from all users at this very moment, and gives it back with what it had made durable.
    async fn crash(&mut self);

    /// Flips a bit in a byte of what is stored.
    async fn damage(&self, subject: Subject, byte: usize);
}

struct OnDisk {
    disk: Disk,
    journal: Arc<Embedded>,
}

impl OnDisk {
    fn on(disk: Disk) -> Self {
        let database = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
        let journal = Arc::new(Embedded::on(database).unwrap());
        Self { disk, journal }
    }
}

impl Bed for OnDisk {
    type J = Embedded;

    async fn new() -> Self {
        Self::on(Disk::new(1))
    }

    async fn user(&self) -> Arc<Embedded> {
        Arc::clone(&self.journal)
    }

    async fn crash(&mut self) {
        *self = Self::on(self.disk.crash());
    }

    async fn damage(&self, subject: Subject, byte: usize) {
        self.journal.damage(subject, byte);
    }
}

struct InMemory(Arc<Memory>);

impl Bed for InMemory {
    type J = Memory;

    async fn new() -> Self {
        Self(Arc::default())
    }

    async fn user(&self) -> Arc<Memory> {
        Arc::clone(&self.0)
    }

    async fn crash(&mut self) {}

    async fn damage(&self, subject: Subject, byte: usize) {
        self.0.damage(subject, byte);
    }
}

macro_rules! every_journal {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            use super::{Bed, OnDisk, suite};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                suite::$test(OnDisk::new().await).await;
            })*
        }
        mod memory {
            use super::{Bed, InMemory, suite};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                suite::$test(InMemory::new().await).await;
            })*
        }
        mod in_etcd {
            use super::etcd::InEtcd;
            use super::{Bed, suite};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                suite::$test(InEtcd::new().await).await;
            })*
        }
    };
}

every_journal! {
    revisions_are_dense_and_the_expected_one_is_checked,
    records_are_read_in_order_as_they_were_appended,
    of_writers_at_one_place_exactly_one_gets_it,
    writers_that_catch_up_lose_nothing_and_repeat_nothing,
    a_follower_is_told_every_record_once_and_in_order,
    a_follower_may_begin_before_the_record_is_there,
    a_follower_hears_that_nothing_happens,
    a_follower_behind_the_truncation_is_told_so,
    the_newest_snapshot_is_the_one_of_the_newest_state,
    a_snapshot_is_there_whole_or_not_at_all,
    truncation_stops_at_a_snapshot,
    each_revision_that_is_kept_has_a_snapshot_before_it,
    of_many_snapshots_few_are_kept_and_those_whole,
    what_is_damaged_is_named_and_neither_served_nor_skipped,
    a_journal_without_records_goes_on_behind_its_snapshot,
    what_was_acknowledged_survives_a_crash,
}
