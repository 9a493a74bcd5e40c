//! `berth-scheduler journal`: journals go from place to place whole or not at all, whoever is killed meanwhile.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic, its helpers too"
)]

#[path = "../replicas/etcd.rs"]
#[expect(dead_code, reason = "members are killed elsewhere")]
mod etcd;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_scheduler::engine::{recover, write_snapshot};
use berth_scheduler::journal::embedded::Embedded;
use berth_scheduler::journal::{Appended, Journal};
use berth_scheduler_core::change::{Entry, Record};
use berth_scheduler_core::keys::Revision;
use etcd::Cluster;
use tonic::transport::Endpoint;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where no other scheduler looks for the one that says so.
const ELSEWHERE: &str = "127.0.0.1:1";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn journal(arguments: &[&str]) -> Output {
    command(&["journal"]).args(arguments).output().unwrap()
}

fn done(arguments: &[&str]) -> String {
    let output = journal(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = journal(arguments);
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

struct Scheduler {
    child: Child,
    url: String,
}

impl Scheduler {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .env("BERTH_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("serving address=")?.1.to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            url: format!("http://{}", address.unwrap()),
            child,
        }
    }

    async fn create(&self, name: &str) {
        let channel = Endpoint::from_shared(self.url.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let request = ecs::CreateClusterRequest {
            cluster_name: Some(name.to_owned()),
            ..ecs::CreateClusterRequest::default()
        };
        EcsClient::new(channel).create_cluster(request).await.unwrap();
    }

    async fn clusters(&self) -> Vec<String> {
        let channel = Endpoint::from_shared(self.url.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let answer = EcsClient::new(channel)
            .list_clusters(ecs::ListClustersRequest::default())
            .await;
        let mut arns = answer.unwrap().into_inner().cluster_arns;
        arns.sort_unstable();
        arns
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A journal of records of 20 kB that change nothing, with a snapshot in its midst.
async fn large(path: &Path, records: u64) {
    let journal = Embedded::open(path).unwrap();
    for revision in 1..=records {
        let record = Record {
            v: Record::FORMAT,
            revision: Revision(revision),
            entries: vec![Entry {
                at: Timestamp::from_millis(0),
                by: "x".repeat(20_000).into(),
                changes: Vec::new(),
            }],
        };
        let bytes = serde_json::to_vec(&record).unwrap();
        let appended = journal.append(Revision(revision - 1), bytes).await.unwrap();
        assert_eq!(appended, Appended::Committed(Revision(revision)));
        if revision == records / 2 {
            let state = recover(&journal).await.unwrap();
            write_snapshot(&journal, &state, 1).await.unwrap();
        }
    }
    drop(journal);
    // Its thread ends a moment later.
    until(|| Embedded::open(path).is_ok());
    until(|| !journal_is_open(path));
}

fn journal_is_open(path: &Path) -> bool {
    !journal(&["show", path.to_str().unwrap()]).status.success()
}

fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never was so");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_goes_from_a_running_scheduler_to_a_file_to_etcd_and_back_and_stays_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (data, backup, back) = (at("data"), at("backup.redb"), at("back.redb"));
    let scheduler = Scheduler::start(&["--data-dir", &data]);
    for name in ["a", "b", "c"] {
        scheduler.create(name).await;
    }
    let locked = refused(&["verify", &data]);
    assert!(locked.contains("http://HOST:PORT"), "{locked}");
    done(&["backup", &scheduler.url, &backup]);
    scheduler.create("d").await;
    let all = scheduler.clusters().await;
    assert_eq!(all.len(), 4);
    drop(scheduler);

    assert!(done(&["verify", &backup]).starts_with("sound: records 1 to 3,"));
    let cluster = Cluster::start(1);
    let etcd = cluster.journal();
    done(&["copy", &data, &etcd]);
    assert!(done(&["verify", &etcd]).starts_with("sound: records 1 to 4,"));
    let overwritten = refused(&["copy", &backup, &etcd]);
    assert!(overwritten.contains("nothing is overwritten"), "{overwritten}");
    let overwritten = refused(&["restore", &backup, &data]);
    assert!(overwritten.contains("none is overwritten"), "{overwritten}");
    done(&["copy", &etcd, &back]);
    let records = |journal: &str| done(&["show", journal, "--from", "1", "--json"]);
    assert_eq!(records(&back), records(&data));
    assert_eq!(records(&back).lines().count(), 4);
    assert!(done(&["show", &data, "--from", "4", "--to", "4"]).contains(r#"ClusterCreated":{"name":"d""#));

    let scheduler = Scheduler::start(&["--journal", &etcd, "--advertise", ELSEWHERE]);
    assert_eq!(scheduler.clusters().await, all);
    scheduler.create("e").await;
    let copied = at("state.redb");
    done(&["copy", &etcd, &copied, "--without-history"]);
    assert!(done(&["show", &copied]).starts_with("no records\nsnapshot at 5:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_to_etcd_that_is_killed_is_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.redb");
    large(&source, 1500).await;
    let source = source.to_str().unwrap();
    let cluster = Cluster::start(1);
    let etcd = cluster.journal();
    let mut copying = command(&["journal", "copy", source, &etcd]).spawn().unwrap();
    until(|| refused_as_unfinished(&etcd));
    copying.kill().unwrap();
    copying.wait().unwrap();
    assert!(refused_as_unfinished(&etcd), "it ended before it was killed");

    let started = command(&["--journal", &etcd, "--advertise", ELSEWHERE, "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let text = String::from_utf8(started.stderr).unwrap();
    assert_eq!(started.status.code(), Some(1), "{text}");
    assert!(text.contains("a copy into it has begun and not ended"), "{text}");
    let again = refused(&["copy", source, &etcd]);
    assert!(again.contains("--afresh"), "{again}");
    done(&["copy", source, &etcd, "--afresh"]);
    assert!(done(&["verify", &etcd]).starts_with("sound: records 1 to 1500,"));
    let whole = refused(&["copy", source, &etcd, "--afresh"]);
    assert!(whole.contains("nothing is overwritten"), "{whole}");
}

fn refused_as_unfinished(etcd: &str) -> bool {
    let output = journal(&["show", etcd]);
    String::from_utf8_lossy(&output.stderr).contains("has begun and not ended")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_whose_scheduler_is_killed_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    large(&data.join("journal.redb"), 1500).await;
    let backup = directory.path().join("backup.redb");
    let scheduler = Scheduler::start(&["--data-dir", data.to_str().unwrap()]);
    let arguments = ["journal", "backup", &scheduler.url, backup.to_str().unwrap()];
    let backing_up = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    until(|| directory.path().join("backup.redb.partial").exists());
    drop(scheduler);
    let output = backing_up.wait_with_output().unwrap();
    assert!(!output.status.success(), "it ended before its scheduler: {output:?}");
    assert!(!backup.exists());
    let scheduler = Scheduler::start(&["--data-dir", data.to_str().unwrap()]);
    done(&["backup", &scheduler.url, backup.to_str().unwrap()]);
    assert!(done(&["verify", backup.to_str().unwrap()]).starts_with("sound: records 1 to 1500,"));
}
