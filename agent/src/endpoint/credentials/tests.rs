use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::Value;

use super::super::view::Publisher;
use super::super::view::tests::{publisher, record};
use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/web";

/// A view of a task with the role, another without, and one that is known by its labels alone.
fn view(complete: bool) -> (Arc<View>, Publisher) {
    let (mut publisher, views) = publisher();
    publisher.put(&record(1, Some(ROLE)));
    publisher.put(&record(2, None));
    let mut rebuilt = record(3, None);
    rebuilt.rebuilt = true;
    publisher.put(&rebuilt);
    if complete {
        publisher.completed();
    }
    publisher.publish();
    let view = Arc::clone(&views.borrow());
    (view, publisher)
}

fn id(publisher: &Publisher, task: u128) -> String {
    publisher.access(berth_model::id::TaskId::from_bits(task)).credentials
}

async fn asked(view: &View, provider: Option<&Provider>, id: Option<&str>) -> (u16, Value, Option<String>) {
    let answer = answer(view, provider, id, 2, "127.0.0.1:9".parse().unwrap()).await;
    let status = answer.status().as_u16();
    let retry = answer.headers().get(http::header::RETRY_AFTER);
    let retry = retry.map(|seconds| seconds.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap(), retry)
}

fn provider(text: &str) -> (Provider, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    std::fs::write(&path, text).unwrap();
    (Provider::begin(Source::File(path)), directory)
}

#[tokio::test]
async fn a_task_gets_the_credentials_of_its_role() {
    let (view, publisher) = view(true);
    let text = format!(
        r#"{{"{ROLE}": {{"AccessKeyId": "AKIA", "SecretAccessKey": "s", "SessionToken": "t",
            "Expiration": "2999-01-01T00:00:00Z"}}}}"#
    );
    let (provider, _directory) = provider(&text);
    let (status, body, _) = asked(&view, Some(&provider), Some(&id(&publisher, 1))).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        serde_json::json!({"RoleArn": ROLE, "AccessKeyId": "AKIA", "SecretAccessKey": "s", "Token": "t",
            "Expiration": "2999-01-01T00:00:00.000Z"})
    );
}

#[tokio::test]
async fn refusals_are_those_of_the_ecs_agent() {
    let (view, publisher) = view(true);
    for (given, code, message) in [
        (
            None,
            "NoIdInRequest",
            "CredentialsV2Request: No Credential ID in the request",
        ),
        (
            Some(String::new()),
            "NoIdInRequest",
            "CredentialsV2Request: No Credential ID in the request",
        ),
        (
            Some("guess".to_owned()),
            "InvalidIdInRequest",
            "CredentialsV2Request: Credentials not found",
        ),
        (
            Some(id(&publisher, 2)),
            "InvalidIdInRequest",
            "CredentialsV2Request: Credentials not found",
        ),
    ] {
        let (status, body, retry) = asked(&view, None, given.as_deref()).await;
        let expected = serde_json::json!({"code": code, "message": message, "HTTPErrorCode": 400});
        assert_eq!((status, body, retry), (400, expected, None));
    }
}

#[tokio::test]
async fn what_may_come_to_be_known_is_asked_for_again() {
    let (loading, publisher) = view(false);
    let (complete, later) = view(true);
    let (empty, _directory) = provider("{}");
    for (view, provider, given) in [
        // The agent does not know all tasks yet.
        (&loading, None, "guess".to_owned()),
        // The task's definition is not known yet.
        (&loading, None, id(&publisher, 3)),
        (&complete, None, id(&later, 3)),
        // There is no provider, or it has nothing for the role.
        (&complete, None, id(&later, 1)),
        (&complete, Some(&empty), id(&later, 1)),
    ] {
        let (status, body, retry) = asked(view, provider, Some(&given)).await;
        assert_eq!((status, &body["code"]), (503, &Value::from("CredentialsUninitialized")));
        assert!(retry.is_some());
    }
}
