//! How it was, what happened, and schedulers of somebody else's that choose by what they have read.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic, its helpers too"
)]

#[path = "../replicas/agent.rs"]
mod agent;
mod scheduler;

use std::time::{Duration, Instant};

use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::v1::berth_client::BerthClient;
use berth_proto::v1::{DescribeUsageRequest, HistoryLine, HistoryRequest};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use agent::Agent;
use scheduler::Scheduler;

const TASK_MIB: u32 = 100;

/// The cluster `default` with one instance that holds so many tasks of `app`; gives the instance's ARN.
async fn with_instance(scheduler: &Scheduler, tasks: u32) -> String {
    let container = json!({"name": "app", "image": "busybox", "memory": TASK_MIB});
    let definition = json!({"family": "app", "containerDefinitions": [container]});
    assert_eq!(scheduler.json("RegisterTaskDefinition", None, &definition).status, 200);
    assert_eq!(scheduler.json("CreateCluster", None, &json!({})).status, 200);
    tokio::spawn(Agent::new(1, TASK_MIB * tasks, vec![scheduler.url()]).run());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let listed = scheduler.json("ListContainerInstances", None, &json!({})).body;
        if let Some(arn) = listed["containerInstanceArns"][0].as_str() {
            return arn.to_owned();
        }
        assert!(Instant::now() < deadline, "the agent does not register");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn at<T>(message: T, moment: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("berth-at", moment.parse().unwrap());
    request
}

fn revision<T>(answer: &Response<T>) -> u64 {
    let revision = answer
        .metadata()
        .get("berth-revision")
        .expect("each answer names its revision");
    revision.to_str().unwrap().parse().unwrap()
}

fn names(listed: &Value) -> Vec<&str> {
    let arns = listed["clusterArns"].as_array().unwrap().iter();
    arns.map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_the_past_is_answered_as_it_was_over_both_wires() {
    let data = tempfile::tempdir().unwrap();
    let mut scheduler = Scheduler::start(data.path());
    let create = |scheduler: &Scheduler, name: &str| {
        let made = scheduler.json("CreateCluster", None, &json!({"clusterName": name}));
        assert_eq!(made.status, 200);
        made.revision.expect("a change names a revision that has it")
    };
    let first = create(&scheduler, "first");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = create(&scheduler, "second");
    assert!(second > first);

    let list = |scheduler: &Scheduler, moment: &str| scheduler.json("ListClusters", Some(moment), &json!({}));
    let check = |scheduler: &Scheduler| {
        for moment in [first.to_string(), between.clone()] {
            let then = list(scheduler, &moment);
            assert_eq!(then.revision, Some(first), "{}", then.body);
            assert_eq!(names(&then.body), ["first"], "{moment}");
        }
        let now = scheduler.json("ListClusters", None, &json!({}));
        assert!(now.revision >= Some(second));
        assert_eq!(names(&now.body), ["first", "second"]);
    };
    check(&scheduler);
    // What was is in the journal, not in the process.
    scheduler.kill();
    scheduler = Scheduler::start(data.path());
    check(&scheduler);

    let mut client = EcsClient::new(scheduler.channel().await);
    let listed = client.list_clusters(at(ecs::ListClustersRequest::default(), &first.to_string()));
    let listed = listed.await.unwrap();
    assert_eq!((revision(&listed), listed.into_inner().cluster_arns.len()), (first, 1));
    let described = ecs::DescribeTasksRequest {
        cluster: Some("second".to_owned()),
        tasks: vec!["0".repeat(32)],
        ..ecs::DescribeTasksRequest::default()
    };
    let missing = client
        .describe_tasks(at(described, &first.to_string()))
        .await
        .unwrap_err();
    assert_eq!(missing.message(), "Cluster not found.");
    let named = missing.metadata().get("berth-revision").unwrap();
    assert_eq!(
        named.to_str().unwrap(),
        first.to_string(),
        "a refusal is of a revision too"
    );

    let create = client
        .create_cluster(at(ecs::CreateClusterRequest::default(), "1"))
        .await;
    refused(
        create,
        "CreateCluster makes a change, and what was cannot be changed: leave berth-at out.",
    );
    let usage = BerthClient::new(scheduler.channel().await)
        .describe_usage(at(DescribeUsageRequest::default(), "1"))
        .await;
    refused(usage, "DescribeUsage: usage figures are not in the journal");
    for (moment, says) in [
        ("99999", "Revision 99999 does not exist yet: the newest is"),
        ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000Z lies in the future."),
        ("yesterday", "berth-at 'yesterday' should be a revision"),
    ] {
        refused(
            client
                .list_clusters(at(ecs::ListClustersRequest::default(), moment))
                .await,
            says,
        );
        let refused = list(&scheduler, moment);
        assert_eq!((refused.status, refused.revision), (400, None));
        assert_eq!(refused.body["__type"], "InvalidParameterException");
        assert!(
            refused.body["message"].as_str().unwrap().contains(says),
            "{}",
            refused.body
        );
    }
    let changed = scheduler.json("StopTask", Some("1"), &json!({"task": "0"}));
    assert!(
        changed.body["message"]
            .as_str()
            .unwrap()
            .starts_with("StopTask makes a change")
    );
}

fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, says: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains(says), "{status}");
}

/// The time, as the API writes it.
fn now() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    berth_model::time::Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).to_rfc3339()
}

/// A scheduler of somebody else's, which speaks gRPC.
struct Grpc(EcsClient<Channel>);

impl Grpc {
    /// The instance's version, read as of one revision.
    async fn look(&mut self) -> (String, i64) {
        let listed = self
            .0
            .list_container_instances(ecs::ListContainerInstancesRequest::default());
        let listed = listed.await.unwrap();
        let seen = revision(&listed);
        let request = ecs::DescribeContainerInstancesRequest {
            container_instances: listed.into_inner().container_instance_arns,
            ..ecs::DescribeContainerInstancesRequest::default()
        };
        let described = self.0.describe_container_instances(at(request, &seen.to_string()));
        let described = described.await.unwrap();
        assert_eq!(revision(&described), seen, "both calls see the same");
        let instance = described.into_inner().container_instances.remove(0);
        (instance.container_instance_arn.unwrap(), instance.version.unwrap())
    }

    async fn start(&mut self, instance: &str, version: i64) -> (usize, Vec<ecs::Failure>) {
        let request = ecs::StartTaskRequest {
            container_instances: vec![instance.to_owned()],
            container_instance_versions: vec![version],
            task_definition: Some("app".to_owned()),
            started_by: Some("grpc".to_owned()),
            ..ecs::StartTaskRequest::default()
        };
        let answer = self.0.start_task(request).await.unwrap().into_inner();
        (answer.tasks.len(), answer.failures)
    }
}

/// Another, which speaks the JSON of ECS.
fn start_by_json(scheduler: &Scheduler, instance: &str, version: i64) -> (usize, Vec<ecs::Failure>) {
    let request = json!({
        "containerInstances": [instance], "containerInstanceVersions": [version], "taskDefinition": "app",
        "startedBy": "json",
    });
    let answer = scheduler.json("StartTask", None, &request).body;
    let failures = serde_json::from_value(answer["failures"].clone()).unwrap();
    (answer["tasks"].as_array().unwrap().len(), failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_schedulers_that_race_for_the_same_room_one_wins_and_the_other_looks_again() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    // An even number of rounds, and room for what the winners and the losers start.
    const ROUNDS: u32 = 10;
    with_instance(&scheduler, 2 * ROUNDS).await;
    let mut by_grpc = Grpc(EcsClient::new(scheduler.channel().await));
    for _ in 0..ROUNDS {
        let (instance, seen) = by_grpc.look().await;
        let (one, other) = tokio::join!(by_grpc.start(&instance, seen), async {
            tokio::task::block_in_place(|| start_by_json(&scheduler, &instance, seen))
        });
        assert_eq!(one.0 + other.0, 1, "exactly one wins: {one:?} {other:?}");
        let mut failures = one.1.into_iter().chain(other.1);
        let conflict = failures.next().unwrap();
        assert_eq!(failures.next(), None);
        assert_eq!(conflict.reason(), "CONFLICT");
        assert_eq!(conflict.arn(), instance);

        let (_, found) = by_grpc.look().await;
        let says = format!("version {seen} was expected, {found} was found");
        assert!(conflict.detail().starts_with(&says), "{says}: {conflict:?}");
        let again = by_grpc.start(&instance, found).await;
        assert_eq!(
            (again.0, again.1.len()),
            (1, 0),
            "who looks again gets the room that is left"
        );
    }
    let (instance, seen) = by_grpc.look().await;
    let (started, failures) = by_grpc.start(&instance, seen).await;
    assert_eq!(started, 0, "nothing is left");
    assert_eq!(failures[0].reason(), "RESOURCE:MEMORY");
}

struct Told {
    lines: Vec<HistoryLine>,
    pages: usize,
}

async fn story(client: &mut BerthClient<Channel>, request: HistoryRequest) -> Told {
    let mut told = Told {
        lines: Vec::new(),
        pages: 0,
    };
    let mut next_token = None;
    loop {
        let request = HistoryRequest {
            next_token,
            ..request.clone()
        };
        let page = client.history(request).await.unwrap().into_inner();
        told.lines.extend(page.lines);
        told.pages += 1;
        next_token = page.next_token;
        if next_token.is_none() {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_told_from_the_newest_or_the_oldest_in_pages() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    let instance = with_instance(&scheduler, 3).await;
    let ran = scheduler.json("RunTask", None, &json!({"taskDefinition": "app", "count": 2}));
    let task = ran.body["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let protect = |enabled: bool| json!({"tasks": [task], "protectionEnabled": enabled});
    // Of a task that is of no service that is refused, and leaves nothing to tell.
    assert_eq!(scheduler.json("UpdateTaskProtection", None, &protect(true)).status, 200);
    let stop = json!({"task": task, "reason": "enough"});
    let stopped = scheduler.json("StopTask", None, &stop);
    assert_eq!(stopped.status, 200);

    let mut client = BerthClient::new(scheduler.channel().await);
    let of_task = HistoryRequest {
        task: Some(task.clone()),
        oldest_first: true,
        ..HistoryRequest::default()
    };
    let told = story(&mut client, of_task.clone()).await;
    let what: Vec<&str> = told.lines.iter().map(|line| line.what.as_str()).collect();
    let id = instance.rsplit('/').next().unwrap();
    assert_eq!(
        what,
        [format!("placed on container instance {id}").as_str(), "is to stop"]
    );
    assert!(
        told.lines[0]
            .why
            .starts_with("app:1 with 0 CPU units and 100 MiB, group family:app")
    );
    assert_eq!(told.lines[1].why, "UserInitiated: enough");
    assert_eq!(told.lines[1].by, "ecs 127.0.0.1");
    assert_eq!(Some(told.lines[1].revision), stopped.revision);
    let newest_first = HistoryRequest {
        oldest_first: false,
        ..of_task.clone()
    };
    let mut reversed = story(&mut client, newest_first.clone()).await.lines;
    reversed.reverse();
    assert_eq!(reversed, told.lines);
    for request in [of_task.clone(), newest_first] {
        let request = HistoryRequest {
            max_results: Some(1),
            ..request
        };
        let in_pages = story(&mut client, request).await;
        assert!(in_pages.pages >= 2, "{}", in_pages.pages);
        assert_eq!(in_pages.lines.len(), told.lines.len());
    }
    let until = (stopped.revision.unwrap() - 1).to_string();
    let before = client.history(at(of_task, &until)).await.unwrap();
    assert_eq!(before.into_inner().lines, told.lines[..1], "as it was before the stop");

    let of_instance = HistoryRequest {
        container_instance: Some(instance),
        oldest_first: true,
        ..HistoryRequest::default()
    };
    let told = story(&mut client, of_instance).await.lines;
    assert!(
        told[0]
            .what
            .starts_with("registered with 1048576 CPU units and 300 MiB"),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.what.starts_with("got 2 tasks: ")),
        "{told:?}"
    );

    let both = HistoryRequest {
        task: Some("0".repeat(32)),
        service: Some("web".to_owned()),
        ..HistoryRequest::default()
    };
    refused(
        client.history(both).await,
        "Exactly one of task, service and containerInstance must be given.",
    );
    let unknown = HistoryRequest {
        service: Some("web".to_owned()),
        ..HistoryRequest::default()
    };
    let nothing = story(&mut client, unknown).await;
    assert_eq!((nothing.lines.len(), nothing.pages), (0, 1));
}
