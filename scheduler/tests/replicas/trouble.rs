//! etcd answers nobody, or takes nothing more: schedulers say so, refuse, and go on when it does again.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::agent::{Agent, Places};
use crate::scheduler::Scheduler;
use crate::{PATIENCE, TASK_MIB, all_tasks, etcd, eventually, places, prepare, run_task};

/// Runs tasks at a scheduler; gives their ARNs, or why it would not.
async fn run(scheduler: &Scheduler) -> Result<Vec<String>, tonic::Status> {
    let mut client = scheduler.client().await.unwrap();
    let tasks = client.run_task(run_task()).await?.into_inner().tasks;
    Ok(tasks.into_iter().map(|task| task.task_arn.unwrap()).collect())
}

/// Two schedulers, and agents that know both.
async fn start(etcd: &etcd::Cluster) -> ([Scheduler; 2], Places, JoinSet<()>) {
    let schedulers = [Scheduler::start(&etcd.journal()), Scheduler::start(&etcd.journal())];
    let urls: Vec<String> = schedulers.iter().map(Scheduler::url).collect();
    prepare(&schedulers[0]).await;
    let at = Places::default();
    let mut agents = JoinSet::new();
    for number in 0..2 {
        let agent = Agent::new(number, TASK_MIB * 1000, urls.clone());
        let places = Arc::clone(&at);
        agents.spawn(Agent { places, ..agent }.run());
    }
    eventually("agents have joined", async || at.lock().unwrap().len() == 2).await;
    (schedulers, at, agents)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_is_cut_off_from_etcd_says_so_and_ends_its_streams_until_it_is_back() {
    let etcd = etcd::Cluster::start(1);
    let (schedulers, at, _agents) = start(&etcd).await;
    let before = run(&schedulers[0]).await.unwrap();
    assert_eq!(
        schedulers.each_ref().map(|scheduler| scheduler.readiness().0),
        [200, 200]
    );

    etcd.signal("STOP");
    for scheduler in &schedulers {
        eventually("it is not ready", async || scheduler.readiness().0 == 503).await;
        // Before that what it is asked waits for etcd, and may have been done when it gives up.
        eventually("it says that it is cut off", async || {
            let (_, reason) = scheduler.readiness();
            assert!(reason.contains("has not reached its journal"), "{reason}");
            reason.contains("etcd at")
        })
        .await;
        // Another start would not bring etcd back.
        assert_eq!(scheduler.get("/healthz").0, 200);
        let refused = run(scheduler).await.unwrap_err();
        assert!(refused.message().contains("Nothing was changed"), "{refused}");
    }
    eventually("no agent has a stream", async || at.lock().unwrap().is_empty()).await;

    etcd.signal("CONT");
    for scheduler in &schedulers {
        eventually("it is well again", async || scheduler.readiness().0 == 200).await;
    }
    eventually("agents are back", async || at.lock().unwrap().len() == 2).await;
    let mut all = before;
    for scheduler in &schedulers {
        all.extend(run(scheduler).await.unwrap());
    }
    assert_eq!(places(&schedulers[0], &all).await.len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_without_space_is_said_and_refused_and_nothing_is_lost_when_there_is_room_again() {
    let etcd = etcd::Cluster::with(1, &["--quota-backend-bytes=6291456"]);
    let (schedulers, _, _agents) = start(&etcd).await;
    let mut acknowledged = run(&schedulers[0]).await.unwrap();
    let junk = vec![b'x'; 1 << 20];
    let full = (0..20).find_map(|nth| etcd.etcdctl(&format!("put junk/{nth}"), &junk).err());
    assert!(full.unwrap().contains("space exceeded"));

    let deadline = Instant::now() + PATIENCE;
    for scheduler in &schedulers {
        // What fits is taken, and is there; what does not is refused, and says why.
        let refused = loop {
            match run(scheduler).await {
                Ok(tasks) => acknowledged.extend(tasks),
                Err(refused) => break refused,
            }
            assert!(Instant::now() < deadline, "everything fits");
        };
        assert!(refused.message().contains("space exceeded"), "{refused}");
        let (status, reason) = scheduler.readiness();
        assert_eq!(status, 503);
        assert!(reason.contains("space exceeded"), "{reason}");
    }

    etcd.etcdctl("del --prefix junk/", &[]).unwrap();
    let status = etcd.etcdctl("get nothing -w json", &[]).unwrap();
    let revision = status.split("\"revision\":").nth(1).unwrap();
    let revision: String = revision.chars().take_while(char::is_ascii_digit).collect();
    etcd.etcdctl(&format!("compact --physical {revision}"), &[]).unwrap();
    etcd.etcdctl("defrag", &[]).unwrap();
    etcd.etcdctl("alarm disarm", &[]).unwrap();
    for scheduler in &schedulers {
        eventually("it is well again", async || scheduler.readiness().0 == 200).await;
        acknowledged.extend(run(scheduler).await.unwrap());
    }
    for scheduler in &schedulers {
        eventually("it has everything", async || {
            let all = all_tasks(scheduler).await;
            acknowledged.iter().all(|task| all.contains(task))
        })
        .await;
        assert_eq!(places(scheduler, &acknowledged).await.len(), acknowledged.len());
    }
}
