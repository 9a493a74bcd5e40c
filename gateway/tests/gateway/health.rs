use berth_proto::gateway::v1::{Health, Protocol, Service, TargetState};
use hyper::StatusCode;

use crate::bed::{Bed, free_port, task_arn, web};
use crate::clients::{Client, get};
use crate::targets::Target;

/// Tasks that nobody has checked yet, checked with GET /healthz.
fn unknown(port: u16, ports: &[u16]) -> Service {
    let mut service = web(Protocol::Http, port, ports);
    for endpoint in &mut service.endpoints {
        endpoint.health = Health::Unspecified.into();
    }
    let check = service.target_groups[0].health_check.as_mut().unwrap();
    check.path = "/healthz".to_owned();
    service
}

#[tokio::test]
async fn a_task_is_healthy_after_its_first_good_check_and_unhealthy_after_as_many_bad_ones_as_are_asked_for() {
    let (good, bad) = (Target::new().await, Target::new().await);
    let port = free_port();
    let mut bed = Bed::new(&[unknown(port, &[good.port, bad.port])]).await;
    bed.reported(&task_arn(good.port), TargetState::Healthy).await;
    bed.reported(&task_arn(bad.port), TargetState::Healthy).await;
    bad.health(500);
    let reason = bed.reported(&task_arn(bad.port), TargetState::Unhealthy).await;
    assert_eq!(reason, "GET /healthz: status 500, it must be between 200 and 399");
    let before = bad.requests();
    let mut client = Client::new(port).await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.unwrap().1, good.port.to_string());
    }
    assert_eq!(bad.requests(), before);
    bad.health(302);
    bed.reported(&task_arn(bad.port), TargetState::Healthy).await;
    let mut by = Vec::new();
    for _ in 0..6 {
        by.push(client.get("/").await.unwrap().1);
    }
    assert!(by.contains(&bad.port.to_string()), "{by:?}");
}

#[tokio::test]
async fn where_none_is_healthy_all_are_used() {
    let (one, two) = (Target::new().await, Target::new().await);
    one.health(503);
    two.health(503);
    let port = free_port();
    let mut bed = Bed::new(&[unknown(port, &[one.port, two.port])]).await;
    bed.reported(&task_arn(one.port), TargetState::Unhealthy).await;
    bed.reported(&task_arn(two.port), TargetState::Unhealthy).await;
    let mut client = Client::new(port).await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.unwrap().0, StatusCode::OK);
    }
    assert_eq!((one.requests(), two.requests()), (2, 2));
}

#[tokio::test]
async fn what_was_healthy_before_gets_requests_before_any_check_has_ended() {
    let known = Target::new().await;
    let port = free_port();
    let mut service = web(Protocol::Http, port, &[known.port]);
    let check = service.target_groups[0].health_check.as_mut().unwrap();
    check.path = "/slow/20000".to_owned();
    check.timeout_seconds = 25;
    let mut bed = Bed::new(&[service]).await;
    assert_eq!(get(port, "/").await.0, StatusCode::OK);
    bed.reported(&task_arn(known.port), TargetState::Healthy).await;
    assert_eq!(bed.history(&task_arn(known.port)), [TargetState::Healthy]);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unhealthy_with_the_reason() {
    let (port, nobody) = (free_port(), free_port());
    let mut service = unknown(port, &[nobody]);
    service.target_groups[0].health_check.as_mut().unwrap().path = String::new();
    let mut bed = Bed::new(&[service]).await;
    let reason = bed.reported(&task_arn(nobody), TargetState::Unhealthy).await;
    assert_eq!(reason, format!("connect to 127.0.0.1:{nobody}: connection refused"));
    let (status, text) = get(port, "/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(text, "The service web took no connection.\n");
}
