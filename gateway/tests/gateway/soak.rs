use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use berth_proto::gateway::v1::{Health, Protocol, TargetState};
use hyper::StatusCode;

use crate::bed::{Bed, free_port, in_seconds, task, task_arn, web};
use crate::clients::Client;
use crate::targets::Target;

/// Rolls the tasks over while clients ask: each is replaced by a new one, drained, and gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_tasks_come_and_go() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 8;
    let port = free_port();
    let mut targets = vec![Target::new().await, Target::new().await, Target::new().await];
    let ports: Vec<u16> = targets.iter().map(|target| target.port).collect();
    let mut service = web(Protocol::Http, port, &ports);
    let mut bed = Bed::new(std::slice::from_ref(&service)).await;
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut client = Client::new(port).await;
                let method = if number % 2 == 0 { "GET" } else { "POST" };
                while !over.load(Ordering::Relaxed) {
                    let path = if number % 4 == 0 { "/slow/20" } else { "/echo" };
                    let (status, body) = client.send(method, path, "body").await.unwrap();
                    assert_eq!(status, StatusCode::OK, "{body}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..ROUNDS {
        let new = Target::new().await;
        let mut endpoint = task(new.port);
        endpoint.health = Health::Unspecified.into();
        service.endpoints.push(endpoint);
        bed.say(std::slice::from_ref(&service));
        bed.reported(&task_arn(new.port), TargetState::Healthy).await;
        targets.push(new);
        let old = targets.remove(0);
        service.endpoints[0].deregister_by = Some(in_seconds(20.0));
        bed.say(std::slice::from_ref(&service));
        bed.reported(&task_arn(old.port), TargetState::Drained).await;
        drop(old);
        service.endpoints.remove(0);
        bed.say(std::slice::from_ref(&service));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered > 100 * ROUNDS, "{answered}");
    println!("{answered} requests, none failed");
}

/// Clients that ask all the time are told to come again elsewhere, and none is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_gateway_stops() {
    let target = Target::new().await;
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::new(port).await;
                let mut answered = 0_usize;
                while client.is_open().await {
                    let (status, _) = client.send("POST", "/slow/5", "").await.unwrap();
                    assert_eq!(status, StatusCode::OK);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    while target.requests() < 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bed.stop().await;
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert_eq!(answered, target.requests());
}
