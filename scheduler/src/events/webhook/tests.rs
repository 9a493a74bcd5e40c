use std::sync::Mutex;

use berth_scheduler_core::keys::{ReplicaId, Revision};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::events::tests::{World, ids};

/// A receiver that refuses so many requests first.
#[derive(Debug, Default)]
struct Receiver {
    refuses: u32,
    /// The ids of each batch that it took, and the header that came with it.
    batches: Vec<(Vec<String>, String)>,
}

async fn receive(receiver: Arc<Mutex<Receiver>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=secret", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = Arc::clone(&receiver);
            let answer = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let receiver = Arc::clone(&receiver);
                async move {
                    assert_eq!(request.uri(), "/hook?token=secret");
                    let position = request.headers()["berth-position"].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let events: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
                    let ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned());
                    let mut receiver = receiver.lock().unwrap();
                    let mut response = http::Response::new(Full::new(Bytes::new()));
                    if receiver.refuses > 0 {
                        receiver.refuses -= 1;
                        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                    } else {
                        receiver.batches.push((ids.collect(), position));
                    }
                    Ok::<_, hyper::Error>(response)
                }
            });
            let connection = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            tokio::spawn(async move { connection.serve_connection(TokioIo::new(stream), answer).await.unwrap() });
        }
    });
    url
}

fn sender(url: &str) -> Sender {
    let webhook: Webhook = url.parse().unwrap();
    webhook.trust(Path::new("/none")).unwrap()
}

fn received(receiver: &Mutex<Receiver>) -> Vec<String> {
    let receiver = receiver.lock().unwrap();
    receiver.batches.iter().flat_map(|(ids, _)| ids.clone()).collect()
}

async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(Instant::now() < deadline, "it does not come to be");
        sleep(Duration::from_millis(10)).await;
    }
}

fn keep(world: &World, url: &str, replicas: &Arc<Replicas>) -> tokio::task::JoinHandle<()> {
    let (engine, events) = (world.engine.clone(), Arc::clone(&world.events));
    tokio::spawn(keep_webhook(engine, events, sender(url), Arc::clone(replicas)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_is_told_in_order_and_nothing_is_left_out_by_a_restart() {
    let world = World::new().await;
    let receiver = Arc::new(Mutex::new(Receiver {
        refuses: 3,
        ..Receiver::default()
    }));
    let url = receive(Arc::clone(&receiver)).await;
    let replicas = Arc::new(Replicas::alone());
    let keeping = keep(&world, &url, &replicas);
    let name = url.parse::<Webhook>().unwrap().receiver;
    assert!(!name.contains("secret"));
    until(|| world.engine.view().delivered(&name).is_some()).await;
    let from = world.engine.view().delivered(&name).unwrap();

    world.live(2).await;
    let all = ids(&world.after(&from.to_string()).await);
    until(|| received(&receiver) == all).await;
    keeping.abort();
    drop(keeping.await);
    {
        let receiver = receiver.lock().unwrap();
        let (_, position) = receiver.batches.last().unwrap();
        assert!(position.parse::<Position>().unwrap() > from);
    }

    world.live(1).await;
    let restarted = World::on(Arc::clone(&world.journal)).await;
    drop(keep(&restarted, &url, &replicas));
    let all = ids(&world.after(&from.to_string()).await);
    until(|| received(&receiver).last() == all.last()).await;
    // What was told since the position was remembered last is told again.
    let mut told = received(&receiver);
    let mut again = std::collections::BTreeSet::new();
    told.retain(|id| again.insert(id.clone()));
    assert_eq!(told, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_the_receiver_is_is_remembered_and_nothing_more_while_nothing_happens() {
    let world = World::new().await;
    let receiver = Arc::new(Mutex::new(Receiver::default()));
    let url = receive(Arc::clone(&receiver)).await;
    let keeping = keep(&world, &url, &Arc::new(Replicas::alone()));
    let name = url.parse::<Webhook>().unwrap().receiver;
    until(|| world.engine.view().delivered(&name).is_some()).await;
    world.live(1).await;
    let happened = Position::from(world.events.head());
    until(|| world.engine.view().delivered(&name) >= Some(happened)).await;
    let head = world.events.head();
    sleep(3 * SAVE).await;
    assert_eq!(world.events.head(), head, "remembering is nothing to remember");
    keeping.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_scheduler_that_is_to_sends() {
    let world = World::new().await;
    let receiver = Arc::new(Mutex::new(Receiver::default()));
    let url = receive(Arc::clone(&receiver)).await;
    let name = url.parse::<Webhook>().unwrap().receiver;
    // One of the two is the owner, whichever.
    let (a, b) = (ReplicaId(1), ReplicaId(2));
    let [of_a, of_b] = [a, b].map(|own| Arc::new(Replicas::knowing(own, &[a, b])));
    assert_ne!(of_a.owns(&*name), of_b.owns(&*name));
    let (idle, owner) = if of_a.owns(&*name) { (of_b, of_a) } else { (of_a, of_b) };
    let other = World::on(Arc::clone(&world.journal)).await;
    drop(keep(&world, &url, &owner));
    drop(keep(&other, &url, &idle));
    until(|| world.engine.view().delivered(&name).is_some()).await;
    let from = world.engine.view().delivered(&name).unwrap();
    world.live(2).await;
    let all = ids(&world.after(&from.to_string()).await);
    until(|| received(&receiver).len() >= all.len()).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(received(&receiver), all, "each once");
    assert!(from >= Revision(3).into());
}

#[test]
fn a_webhook_is_a_url() {
    for (url, tls) in [("http://a/x?y=z", false), ("https://[::1]:8443", true)] {
        assert_eq!(url.parse::<Webhook>().map(|webhook| webhook.tls), Ok(tls), "{url}");
    }
    for url in ["a/x", "ftp://a", "http://user@a/", "/x"] {
        assert!(url.parse::<Webhook>().is_err(), "{url}");
    }
    let https: Webhook = "https://a".parse().unwrap();
    let error = format!("{:#}", https.trust(Path::new("/none")).unwrap_err());
    assert!(error.contains("/none"), "{error}");
}
