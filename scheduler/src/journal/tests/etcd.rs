//! What only a journal elsewhere can get wrong: answers that are lost, requests that come late, strangers.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::server::Server;
use super::suite::{append, records};
use super::wire::{Wire, lay};
use super::*;
use crate::journal::etcd::Etcd;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct InEtcd {
    server: Server,
    writers: std::sync::atomic::AtomicU64,
}

impl Bed for InEtcd {
    type J = Etcd;

    async fn new() -> Self {
        Self {
            server: Server::start(),
            writers: 1.into(),
        }
    }

    async fn user(&self) -> Arc<Etcd> {
        let writer = self.writers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(open(self.server.client, "?deadline=1", writer))
    }

    async fn crash(&mut self) {
        self.server.kill();
        self.server.restart();
    }

    async fn damage(&self, subject: Subject, byte: usize) {
        self.user().await.damage(subject, byte).await;
    }
}

fn open(address: std::net::SocketAddr, options: &str, writer: u64) -> Etcd {
    Etcd::open(&format!("etcd://{address}/test{options}").parse().unwrap(), writer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_answer_is_lost_is_appended_once_and_said_so() {
    let server = Server::start();
    let (near, wire) = lay(server.client).await;
    let ours = Arc::new(open(near, "?deadline=1", 1));
    append(&*ours, 0, "first").await;
    wire.send_replace(Wire::LosesAnswers);
    let appending = tokio::spawn({
        let ours = Arc::clone(&ours);
        async move { append(&*ours, 1, "second").await }
    });
    let theirs = open(server.client, "", 2);
    while theirs.head().await.unwrap() == Revision(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while ours.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!appending.is_finished(), "nobody can know yet");
    // Another goes on meanwhile: the head alone does not tell whose the record is.
    append(&theirs, 2, "third").await;
    wire.send_replace(Wire::Whole);
    let appended = timeout(PATIENCE, appending).await.unwrap().unwrap();
    assert_eq!(appended, Appended::Committed(Revision(2)));
    assert!(ours.trouble().is_none());
    let found: Vec<String> = records(&theirs, 1)
        .await
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(found, ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_overtaken_on_its_way_is_a_conflict_for_ever() {
    let server = Server::start();
    let (near, wire) = lay(server.client).await;
    let ours = Arc::new(open(near, "?deadline=1", 1));
    append(&*ours, 0, "first").await;
    wire.send_replace(Wire::HoldsRequests);
    let appending = tokio::spawn({
        let ours = Arc::clone(&ours);
        async move { append(&*ours, 1, "ours").await }
    });
    while ours.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let theirs = open(server.client, "", 2);
    append(&theirs, 1, "theirs").await;
    wire.send_replace(Wire::Whole);
    let appended = timeout(PATIENCE, appending).await.unwrap().unwrap();
    assert_eq!(appended, Appended::Conflict { head: Revision(2) });
    append(&theirs, 2, "last").await;
    let found: Vec<String> = records(&theirs, 1)
        .await
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(found, ["first", "theirs", "last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_cut_off_says_so_and_misses_nothing() {
    let server = Server::start();
    let (near, wire) = lay(server.client).await;
    let (ours, theirs) = (open(near, "?deadline=1", 1), open(server.client, "", 2));
    append(&theirs, 0, "first").await;
    let mut stream = std::pin::pin!(ours.follow(Revision(1)));
    let mut told = Vec::new();
    let mut missed = 0;
    while told.len() < 3 {
        match timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
            Ok(Followed::Records(records)) => {
                told.extend(records.into_iter().map(|(revision, _)| revision.0));
                if told.len() == 1 {
                    wire.send_replace(Wire::LosesAnswers);
                    append(&theirs, 1, "second").await;
                }
            }
            Ok(Followed::Quiet { .. }) => {}
            Ok(Followed::Compacted { oldest }) => panic!("compacted to {oldest}"),
            Err(error) => {
                assert!(matches!(error, JournalError::Unreachable { .. }), "{error:?}");
                assert!(ours.trouble().is_some());
                missed += 1;
                append(&theirs, 2, "third").await;
                wire.send_replace(Wire::Whole);
            }
        }
    }
    assert_eq!(told, [1, 2, 3]);
    assert!(missed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_members_one_that_answers_is_enough() {
    let (mut gone, server) = (Server::start(), Server::start());
    let address = format!("etcd://{},{}/test?deadline=1", gone.client, server.client);
    gone.kill();
    let journal = Etcd::open(&address.parse().unwrap(), 1).unwrap();
    assert_eq!(append(&journal, 0, "first").await, Appended::Committed(Revision(1)));
    assert_eq!(records(&open(server.client, "", 2), 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_overwritten_is_compacted_and_followers_go_on() {
    let server = Server::start();
    let (ours, theirs) = (open(server.client, "", 1), open(server.client, "", 2));
    let mut stream = std::pin::pin!(theirs.follow(Revision(1)));
    let mut told = 0;
    for revision in 0..30 {
        append(&ours, revision, revision).await;
        if revision % 10 == 0 {
            ours.put_snapshot(Revision(revision), 0, std::iter::empty())
                .await
                .unwrap();
            ours.truncate(Revision(revision.saturating_sub(5))).await.unwrap();
            ours.tidy().await.unwrap();
            theirs.tidy().await.unwrap();
        }
        while told <= revision {
            match timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap() {
                Followed::Records(records) => told = records.last().unwrap().0.0,
                Followed::Quiet { .. } => {}
                Followed::Compacted { oldest } => panic!("compacted to {oldest}"),
            }
        }
    }
    assert_eq!(told, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_has_gone_back_is_noticed() {
    let server = Server::start();
    let journal = open(server.client, "", 1);
    append(&journal, 0, "first").await;
    let error = journal.append(Revision(7), b"eighth".to_vec()).await.unwrap_err();
    assert!(matches!(error, JournalError::Rewound { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::start();
    let journal = open(server.client, "", 1);
    let largest = vec![b'x'; journal.max_record()];
    let larger = vec![b'x'; journal.max_record() + 1];
    let error = journal.append(Revision(0), larger).await.unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { .. }), "{error:?}");
    let appended = journal.append(Revision(0), largest.clone()).await.unwrap();
    assert_eq!(appended, Appended::Committed(Revision(1)));
    let found = Found::Records(vec![(Revision(1), largest)]);
    assert_eq!(journal.read(Revision(1), 1).await.unwrap(), found);
}
