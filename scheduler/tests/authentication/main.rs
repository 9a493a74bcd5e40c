//! A scheduler that asks who calls: over both wires, across a restart, and nothing that is secret in what it keeps and says.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod scheduler;

use std::path::Path;
use std::process::Command;

use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::v1 as wire;
use berth_proto::v1::access_keys_client::AccessKeysClient;
use berth_proto::v1::berth_client::BerthClient;
use berth_proto::v1::sessions_client::SessionsClient;
use berth_signature::secret::MasterKeys;
use berth_signature::sign::Credentials;
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use scheduler::{PREFIX, Scheduler};

/// The operator's own key.
fn root(data: &Path) -> Credentials {
    let keys = std::fs::read_to_string(data.join("master.key")).unwrap();
    Credentials::root(MasterKeys::parse(&keys).unwrap().newest())
}

/// Makes an access key with the policy, signed by somebody.
async fn create(scheduler: &Scheduler, by: &Credentials, user: &str, policy: &Value) -> Result<Credentials, Status> {
    let request = wire::CreateAccessKeyRequest {
        user_name: Some(user.to_owned()),
        policy_document: Some(policy.to_string()),
    };
    let request = scheduler.request(by, "/berth.v1.AccessKeys/CreateAccessKey", request);
    let mut client = AccessKeysClient::new(scheduler.channel().await);
    let answer = client.create_access_key(request).await?.into_inner();
    Ok(Credentials {
        access_key: answer.access_key.unwrap().access_key_id,
        secret: answer.secret_access_key,
        token: None,
    })
}

async fn set_status(scheduler: &Scheduler, by: &Credentials, id: &str, status: &str) {
    let request = wire::UpdateAccessKeyRequest {
        access_key_id: Some(id.to_owned()),
        status: Some(status.to_owned()),
        policy_document: None,
    };
    let request = scheduler.request(by, "/berth.v1.AccessKeys/UpdateAccessKey", request);
    let mut client = AccessKeysClient::new(scheduler.channel().await);
    client.update_access_key(request).await.unwrap();
}

async fn session(scheduler: &Scheduler, of: &Credentials) -> Credentials {
    let request = wire::GetSessionTokenRequest {
        access_key_id: None,
        duration_seconds: Some(60),
    };
    let request = scheduler.request(of, "/berth.v1.AccessKeys/GetSessionToken", request);
    let mut client = AccessKeysClient::new(scheduler.channel().await);
    let answer = client.get_session_token(request).await.unwrap().into_inner();
    Credentials {
        access_key: answer.access_key_id,
        secret: answer.secret_access_key,
        token: Some(answer.session_token),
    }
}

fn everything() -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
}

fn class(status: &Status) -> &str {
    status.metadata().get("berth-fault").unwrap().to_str().unwrap()
}

fn refused(answer: Result<Value, String>, says: &str) {
    let refusal = answer.unwrap_err();
    assert!(refusal.contains(says), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_key_makes_others_which_go_on_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Scheduler::start(data.path());
    let root = root(data.path());
    let (status, answer) = first.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("MissingAuthenticationTokenException"))
    );
    let key = create(&first, &root, "ops", &everything()).await.unwrap();
    first
        .call(&key, "CreateCluster", &json!({"clusterName": "prod"}))
        .unwrap();
    let during = session(&first, &key).await;
    first.call(&during, "ListClusters", &json!({})).unwrap();
    first.kill();

    let second = Scheduler::start(data.path());
    let clusters = second.call(&key, "ListClusters", &json!({})).unwrap();
    assert_eq!(clusters["clusterArns"].as_array().unwrap().len(), 1);
    second.call(&during, "ListClusters", &json!({})).unwrap();
    set_status(&second, &root, &key.access_key, "Inactive").await;
    let invalid = "UnrecognizedClientException: The security token included in the request is invalid.";
    for disabled in [&key, &during] {
        refused(second.call(disabled, "ListClusters", &json!({})), invalid);
    }
    set_status(&second, &root, &key.access_key, "Active").await;
    second.call(&during, "ListClusters", &json!({})).unwrap();

    // Who asked is in the history of what was changed.
    drop(second);
    let shown = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
        .args(["journal", "show", "--from", "1"])
        .arg(data.path())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let by = format!("by ecs 127.0.0.1 user/ops {}", key.access_key);
    assert!(shown.contains(&by), "{shown}");
    assert!(
        shown.contains(&format!("by grpc 127.0.0.1 root {}", root.access_key)),
        "{shown}"
    );
    assert!(!shown.contains(&key.secret), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_held_to_its_secret_its_time_and_one_change() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    let root = root(data.path());
    let wrong = Credentials {
        secret: "wrong".into(),
        ..root.clone()
    };
    refused(
        scheduler.call(&wrong, "ListClusters", &json!({})),
        "InvalidSignatureException: The request signature we calculated does not match",
    );
    let unknown = Credentials {
        access_key: "AKIAAAAAAAAAAAAAAAAA".into(),
        ..root.clone()
    };
    refused(
        scheduler.call(&unknown, "ListClusters", &json!({})),
        "UnrecognizedClientException",
    );
    let target = format!("{PREFIX}ListClusters");
    for (skew, says) in [(-400, "Signature expired: "), (400, "Signature not yet current: ")] {
        let (status, answer) = scheduler.send(&scheduler.signed(&root, &target, &json!({}), skew));
        assert_eq!((status, &answer["__type"]), (400, &json!("InvalidSignatureException")));
        assert!(answer["message"].as_str().unwrap().starts_with(says), "{answer}");
    }
    // The same bytes: a read may be asked for again, a change is made once.
    let read = scheduler.signed(&root, &target, &json!({}), 0);
    let change = scheduler.signed(&root, &format!("{PREFIX}CreateCluster"), &json!({}), 0);
    for again in [false, true] {
        assert_eq!(scheduler.send(&read).0, 200);
        let (status, answer) = scheduler.send(&change);
        assert_eq!(status, if again { 400 } else { 200 }, "{answer}");
        let is_replay = answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("made before"));
        assert_eq!(is_replay, again, "{answer}");
    }
    // What was changed on the way.
    let text = String::from_utf8(scheduler.signed(&root, &target, &json!({}), 0)).unwrap();
    let (_, answer) = scheduler.send(text.replace("ListClusters", "DeleteCluster").as_bytes());
    assert_eq!(answer["__type"], "InvalidSignatureException");
    // For another service.
    let scaling = "AnyScaleFrontendService.DescribeScalableTargets";
    let body = json!({"ServiceNamespace": "ecs"});
    assert_eq!(scheduler.send(&scheduler.signed(&root, scaling, &body, 0)).0, 200);
    let text = String::from_utf8(scheduler.signed(&root, scaling, &body, 0)).unwrap();
    let (_, answer) = scheduler.send(text.replace("/application-autoscaling/", "/ecs/").as_bytes());
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("correct service: 'application-autoscaling', not 'ecs'"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_say_which_statement_or_that_none_allows_it() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    let root = root(data.path());
    for cluster in ["prod", "test"] {
        let body = json!({"clusterName": cluster, "tags": [{"key": "tier", "value": cluster}]});
        scheduler.call(&root, "CreateCluster", &body).unwrap();
    }
    let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{rest}");
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["ecs:Describe*", "ecs:List*", "ecs:StopTask", "berth:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": arn("task-definition/web:*"),
         "Condition": {"ArnEquals": {"ecs:cluster": arn("cluster/test")}}},
        {"Sid": "NotProd", "Effect": "Deny", "Action": "ecs:*", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/tier": "prod"}}},
        {"Effect": "Deny", "Action": "ecs:StopTask", "Resource": arn("task/prod/*")}
    ]});
    let ci = create(&scheduler, &root, "ci", &policy).await.unwrap();
    let call = |operation: &str, body: Value| scheduler.call(&ci, operation, &body);
    call("DescribeClusters", json!({"clusters": ["test"]})).unwrap();
    let user = "AccessDeniedException: User: arn:aws:iam::000000000000:user/ci is not authorized to perform: ";
    for (operation, body, says) in [
        (
            "DescribeClusters",
            json!({"clusters": ["test", "prod"]}),
            format!(
                "{user}ecs:DescribeClusters on resource: {} with an explicit deny in an identity-based policy: statement 'NotProd'",
                arn("cluster/prod")
            ),
        ),
        (
            "StopTask",
            json!({"cluster": "prod", "task": "0123456789abcdef0123456789abcdef"}),
            format!(
                "{user}ecs:StopTask on resource: {} with an explicit deny in an identity-based policy: statement 4",
                arn("task/prod/0123456789abcdef0123456789abcdef")
            ),
        ),
        (
            "RunTask",
            json!({"cluster": "prod", "taskDefinition": "web"}),
            format!(
                "{user}ecs:RunTask on resource: {} because no identity-based policy allows the ecs:RunTask action",
                arn("task-definition/web:*")
            ),
        ),
        (
            "RunTask",
            json!({"cluster": "test", "taskDefinition": "batch:7"}),
            format!("on resource: {} because no", arn("task-definition/batch:7")),
        ),
        // Allowed, and refused for what it asks.
        (
            "RunTask",
            json!({"cluster": "test", "taskDefinition": "web"}),
            "ClientException: TaskDefinition not found.".to_owned(),
        ),
        (
            "CreateCluster",
            json!({}),
            "because no identity-based policy allows the ecs:CreateCluster".to_owned(),
        ),
    ] {
        refused(call(operation, body), &says);
    }
    // Over gRPC in the same words.
    let mut client = EcsClient::new(scheduler.channel().await);
    let describe = ecs::DescribeClustersRequest {
        clusters: vec!["prod".into()],
        ..Default::default()
    };
    let path = "/berth.ecs.v1.Ecs/DescribeClusters";
    let denied = client
        .describe_clusters(scheduler.request(&ci, path, describe.clone()))
        .await;
    let denied = denied.unwrap_err();
    assert_eq!(
        (denied.code(), class(&denied)),
        (Code::PermissionDenied, "AccessDeniedException")
    );
    assert!(denied.message().ends_with("statement 'NotProd'"), "{denied}");
    let unsigned = client.describe_clusters(Request::new(describe)).await.unwrap_err();
    assert_eq!(unsigned.code(), Code::Unauthenticated);
    assert_eq!(class(&unsigned), "MissingAuthenticationTokenException");
    let unknown = json!({"Statement": {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}});
    let wrong = create(&scheduler, &root, "ci", &unknown).await.unwrap_err();
    assert!(
        wrong.message().contains("Action 'iam:PassRole' is no action"),
        "{wrong}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_operation_of_ecs_is_asked_for_too() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    let root = root(data.path());
    let nothing = json!({"Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}});
    let key = create(&scheduler, &root, "ecs-only", &nothing).await.unwrap();
    let mut berth = BerthClient::new(scheduler.channel().await);
    let usage = wire::DescribeUsageRequest::default();
    let path = "/berth.v1.Berth/DescribeUsage";
    let denied = berth.describe_usage(scheduler.request(&key, path, usage.clone())).await;
    assert!(
        denied
            .unwrap_err()
            .message()
            .contains("allows the berth:DescribeUsage action")
    );
    let cluster = berth.describe_usage(scheduler.request(&root, path, usage)).await;
    assert_eq!(class(&cluster.unwrap_err()), "ClusterNotFoundException");
    let watch = scheduler.request(&key, "/berth.v1.Berth/Watch", wire::WatchRequest::default());
    let denied = berth.watch(watch).await.map(drop).unwrap_err();
    assert!(
        denied
            .message()
            .contains("berth:Watch on resource: arn:aws:ecs:us-east-1:000000000000:cluster/*")
    );
    let (status, body) = scheduler.send_text(b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(
        status == 400 && body.contains("MissingAuthenticationTokenException"),
        "{body}"
    );
    let (status, _) = scheduler.send_text(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 200);
    // Keys are not made by whom nothing lets.
    let denied = create(&scheduler, &key, "more", &everything()).await.unwrap_err();
    assert!(
        denied
            .message()
            .contains("berth:CreateAccessKey on resource: arn:aws:iam::000000000000:user/more")
    );
    // The journal has everything in it.
    let backup = |key: Option<&Credentials>| {
        let to = data.path().join(format!(
            "backup-{}",
            key.map_or("nobody", |key| key.access_key.as_str())
        ));
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"));
        command
            .args(["journal", "backup", &format!("http://{}", scheduler.address)])
            .arg(to);
        if let Some(key) = key {
            command
                .env("AWS_ACCESS_KEY_ID", &key.access_key)
                .env("AWS_SECRET_ACCESS_KEY", &key.secret);
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, says) = backup(None);
    assert!(!done && says.contains("Missing Authentication Token"), "{says}");
    let (done, says) = backup(Some(&key));
    assert!(!done && says.contains("allows the berth:ReadJournal action"), "{says}");
    let (done, says) = backup(Some(&root));
    assert!(done, "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_a_scheduler_keeps_or_says() {
    let data = tempfile::tempdir().unwrap();
    let mut scheduler = Scheduler::start(data.path());
    let root = root(data.path());
    let key = create(&scheduler, &root, "ops", &everything()).await.unwrap();
    let session = session(&scheduler, &key).await;
    for (credentials, cluster) in [(&key, "a"), (&session, "b")] {
        let body = json!({"clusterName": cluster});
        scheduler.call(credentials, "CreateCluster", &body).unwrap();
    }
    let wrong = Credentials {
        secret: "wrong".into(),
        ..session.clone()
    };
    assert!(scheduler.call(&wrong, "ListClusters", &json!({})).is_err());
    scheduler.kill();
    let master = std::fs::read_to_string(data.path().join("master.key")).unwrap();
    let token = session.token.clone().unwrap();
    let journal = std::fs::read(data.path().join("journal.redb")).unwrap();
    let log = scheduler.log.lock().unwrap().clone();
    for secret in [
        key.secret.as_str(),
        &root.secret,
        &session.secret,
        &token,
        master.trim(),
    ] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_in(&journal), "the journal has it");
        assert!(!is_in(log.as_bytes()), "the log has it");
    }
    let id = key.access_key.as_bytes();
    assert!(
        journal.windows(id.len()).any(|part| part == id),
        "the journal can be searched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_services_want_leave_for_all_tasks_whatever_tasks_are_named_beside() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path());
    let root = root(data.path());
    scheduler
        .call(&root, "CreateCluster", &json!({"clusterName": "test"}))
        .unwrap();
    let own = "0123456789abcdef0123456789abcdef";
    let arn = |task: &str| format!("arn:aws:ecs:us-east-1:000000000000:task/test/{task}");
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "berth:Logs", "Resource": arn(own)}});
    let ci = create(&scheduler, &root, "ci", &policy).await.unwrap();
    let read = async |tasks: &[&str], services: &[&str]| {
        let request = wire::LogsRequest {
            cluster: Some("test".to_owned()),
            tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
            services: services.iter().map(|&service| service.to_owned()).collect(),
            ..Default::default()
        };
        let request = scheduler.request(&ci, "/berth.v1.Sessions/Logs", request);
        let answer = SessionsClient::new(scheduler.channel().await).logs(request).await;
        answer.map(|_| ()).unwrap_err().message().to_owned()
    };
    let allowed = read(&[own], &[]).await;
    assert!(allowed.contains("The referenced task was not found."), "{allowed}");
    for denied in [
        read(&[own], &["web"]).await,
        read(&[], &["web"]).await,
        read(&[], &[]).await,
    ] {
        assert!(
            denied.contains(&format!(
                "is not authorized to perform: berth:Logs on resource: {}",
                arn("*")
            )),
            "{denied}"
        );
    }
}
