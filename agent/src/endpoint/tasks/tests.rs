use std::net::SocketAddr;

use berth_agent_core::container::{Address, Detail};
use berth_agent_core::record::Record;
use berth_model::id::TaskId;
use berth_model::time::Timestamp;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::serve::serve;
use super::super::view::Publisher;
use super::super::view::tests::{publisher, record};
use super::*;
use crate::event::ProtectionAsked;

const RATE: Rate = Rate {
    per_second: 1,
    burst: 20,
};

fn detailed(id: u128) -> Record {
    let mut record = record(id, None);
    record.containers[0].detail = Detail {
        created_at: Some(Timestamp::from_millis(1)),
        image_id: None,
        addresses: vec![Address {
            ipv4: "172.17.0.2".to_owned(),
            ..Address::default()
        }],
    };
    record
}

/// A service of the records, and the driver's ends of it.
fn service(records: &[Record], complete: bool) -> (Tasks, Publisher, mpsc::Receiver<Event>) {
    let (mut publisher, views) = publisher();
    records.iter().for_each(|record| publisher.put(record));
    if complete {
        publisher.completed();
    }
    publisher.publish();
    let (events, inbox) = mpsc::channel(8);
    let service = Tasks::new(Parts {
        views,
        events,
        provider: None,
        surroundings: Surroundings::default(),
        later: Later::default(),
        rate: RATE,
        nonce: "nonce".to_owned(),
    });
    (service, publisher, inbox)
}

fn name(publisher: &Publisher, task: u128) -> String {
    publisher.access(TaskId::from_bits(task)).container(0)
}

async fn got(service: &Tasks, path: &str) -> (u16, Value) {
    let view = Arc::clone(&service.parts.views.borrow());
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let from: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let answer = service.get(&view, &segments, "", from).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn every_path_of_both_versions_is_answered() {
    let (service, publisher, _inbox) = service(&[detailed(1), detailed(2)], true);
    let id = name(&publisher, 1);
    let arn = "arn:aws:ecs:us-east-1:000000000000:task/prod/00000000000000000000000000000001";
    for version in ["v3", "v4"] {
        for path in ["", "/"] {
            let (status, container) = got(&service, &format!("/{version}/{id}{path}")).await;
            assert_eq!((status, container["Name"].as_str()), (200, Some("app")));
        }
        for path in ["task", "taskWithTags"] {
            let (status, task) = got(&service, &format!("/{version}/{id}/{path}")).await;
            assert_eq!((status, task["TaskARN"].as_str()), (200, Some(arn)));
        }
        let (status, stats) = got(&service, &format!("/{version}/{id}/task/stats")).await;
        let docker = "docker-00000000000000000000000000000001";
        assert_eq!((status, stats), (200, serde_json::json!({docker: null})));
        let (status, words) = got(&service, &format!("/{version}/{id}/stats")).await;
        assert_eq!(
            (status, words),
            (500, Value::from(format!("Unable to get container stats for: {docker}")))
        );
        assert_eq!(got(&service, &format!("/{version}/{id}/secrets")).await.0, 404);
    }
    assert_eq!(got(&service, "/").await.0, 404);
}

#[tokio::test]
async fn unknown_names_are_refused_in_the_ecs_agents_words() {
    let (service, ..) = service(&[], true);
    assert_eq!(
        got(&service, "/v4/guess").await,
        (
            404,
            Value::from(
                "V4 container metadata handler: unable to get container ID from request: unable to get docker ID from \
                 v3 endpoint ID: guess"
            )
        )
    );
    let task = "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: guess";
    assert_eq!(
        got(&service, "/v4/guess/task").await,
        (404, Value::from(format!("V4 task metadata handler: {task}")))
    );
    assert_eq!(got(&service, "/v3/guess/task").await.0, 400);
}

#[tokio::test]
async fn while_the_agent_loads_what_is_unknown_is_asked_for_again() {
    let (service, publisher, _inbox) = service(&[detailed(1)], false);
    assert_eq!(got(&service, "/v4/guess/task").await.0, 503);
    assert_eq!(got(&service, &format!("/v4/{}/task", name(&publisher, 1))).await.0, 200);
}

#[tokio::test]
async fn a_container_is_looked_at_when_it_asks_and_not_before() {
    let (service, mut publisher, mut inbox) = service(&[record(1, None)], true);
    let path = format!("/v4/{}", name(&publisher, 1));
    let look = async {
        let Some(Event::Look { container: 0, .. }) = inbox.recv().await else {
            panic!("no look was asked for")
        };
        publisher.put(&detailed(1));
        publisher.publish();
    };
    let ((status, container), ()) = tokio::join!(got(&service, &path), look);
    assert_eq!(status, 200);
    assert_eq!(container["Networks"][0]["IPv4Addresses"][0], "172.17.0.2");
}

#[tokio::test]
async fn a_container_that_asks_before_its_start_is_reported_is_told_that_it_runs() {
    let mut starting = record(1, None);
    starting.containers[0].phase = Phase::Starting;
    let (service, mut publisher, mut inbox) = service(&[starting], true);
    let path = format!("/v4/{}/task", name(&publisher, 1));
    let start = async {
        assert!(matches!(inbox.recv().await, Some(Event::Look { container: 0, .. })));
        publisher.put(&detailed(1));
        publisher.publish();
    };
    let ((status, task), ()) = tokio::join!(got(&service, &path), start);
    assert_eq!((status, task["KnownStatus"].as_str()), (200, Some("RUNNING")));
}

#[tokio::test]
async fn a_container_is_told_what_is_known_when_nobody_looks() {
    let (service, publisher, _inbox) = service(&[record(1, None)], true);
    let (status, container) = got(&service, &format!("/v4/{}", name(&publisher, 1))).await;
    assert_eq!(
        (status, &container["Networks"]),
        (200, &serde_json::json!([{"NetworkMode": "bridge"}]))
    );
}

/// What a client on a connection of its own reads.
async fn said(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn listening(service: Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(serve(listener, Arc::new(service))));
    address
}

#[tokio::test]
async fn the_rate_is_limited_for_all_and_the_agent_may_always_ask() {
    let (service, ..) = service(&[], true);
    let address = listening(service).await;
    let request = "GET /v4/guess HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(said(address, request).await.split(' ').nth(1).unwrap().to_owned());
    }
    assert!(statuses[..20].iter().all(|status| status == "404"), "{statuses:?}");
    assert!(statuses[25..].contains(&"429".to_owned()), "{statuses:?}");
    let own = said(address, "GET /nonce HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(own.starts_with("HTTP/1.1 204"), "{own}");
}

#[tokio::test]
async fn protection_is_asked_of_the_driver() {
    let (service, publisher, mut inbox) = service(&[detailed(1)], true);
    let path = format!("/api/{}/task-protection/v1/state", name(&publisher, 1));
    let address = listening(service).await;
    let put = |body: &str| {
        let length = body.len();
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    for (body, says) in [
        ("{", "UpdateTaskProtection: failed to decode request"),
        (
            r#"{"ProtectionEnabled": true, "More": 1}"#,
            "UpdateTaskProtection: failed to decode request",
        ),
        ("{}", "does not contain 'ProtectionEnabled' field"),
    ] {
        let answer = said(address, &put(body)).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(says), "{answer}");
    }
    let request = put(r#"{"ProtectionEnabled": true, "ExpiresInMinutes": 5}"#);
    let no_stream = async {
        let Some(Event::Protection(ProtectionAsked { request, answer })) = inbox.recv().await else {
            panic!("the driver was not asked")
        };
        assert_eq!((request.enabled, request.expires_in_minutes), (Some(true), Some(5)));
        drop(answer);
    };
    let (answer, ()) = tokio::join!(said(address, &request), no_stream);
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("ServerException"),
        "{answer}"
    );
}
