use std::time::Duration;

use berth_proto::gateway::v1::{Protocol, TargetState};
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::bed::{Bed, free_port, in_seconds, task_arn, web};
use crate::clients::{Client, connect, get};
use crate::targets::Target;
use crate::tcp::Echo;

#[tokio::test]
async fn a_task_that_drains_keeps_what_it_has_and_gets_nothing_new() {
    let (leaves, stays) = (Target::new().await, Target::new().await);
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[leaves.port])]).await;
    let mut client = Client::new(port).await;
    client.get("/").await.unwrap();
    let slow = tokio::spawn(async move {
        let answer = client.get("/slow/1500").await;
        (answer, client)
    });
    while leaves.requests() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut service = web(Protocol::Http, port, &[leaves.port, stays.port]);
    service.endpoints[0].deregister_by = Some(in_seconds(20.0));
    bed.say(&[service]);
    bed.reported(&task_arn(leaves.port), TargetState::Draining).await;
    assert_eq!(get(port, "/").await.1, stays.port.to_string());
    let (answer, mut client) = slow.await.unwrap();
    assert_eq!(answer.unwrap(), (StatusCode::OK, leaves.port.to_string()));
    bed.reported(&task_arn(leaves.port), TargetState::Drained).await;
    // The client's connection has nothing to do with the task that left.
    assert_eq!(client.get("/").await.unwrap().1, stays.port.to_string());
    assert_eq!(leaves.requests(), 2);
}

#[tokio::test]
async fn idle_connections_to_a_task_that_leaves_end_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[at])]).await;
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                let answered = Instant::now();
                let end = stream.read(&mut buffer).await;
                return (end.unwrap_or(0), answered.elapsed());
            }
        }
    });
    assert_eq!(get(port, "/").await.1, "ok");
    let mut service = web(Protocol::Http, port, &[at]);
    service.endpoints[0].deregister_by = Some(in_seconds(20.0));
    bed.say(&[service]);
    bed.reported(&task_arn(at), TargetState::Drained).await;
    let (read, after) = server.await.unwrap();
    assert_eq!(read, 0);
    assert!(after < Duration::from_secs(3), "{after:?}");
}

#[tokio::test]
async fn what_is_open_when_the_time_is_up_is_cut() {
    let (target, echo) = (Target::new().await, Echo::new().await);
    let (http, tcp) = (free_port(), free_port());
    let services = |deregister_by| {
        let mut web = web(Protocol::Http, http, &[target.port]);
        let mut raw = super::bed::web(Protocol::Tcp, tcp, &[echo.port]);
        raw.name = "raw".to_owned();
        web.endpoints[0].deregister_by = deregister_by;
        raw.endpoints[0].deregister_by = deregister_by;
        [web, raw]
    };
    let mut bed = Bed::new(&services(None)).await;
    let mut stream = connect(tcp).await;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).await.unwrap();
    let slow = tokio::spawn(async move { get(http, "/slow/15000").await });
    while target.requests() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    bed.say(&services(Some(in_seconds(1.5))));
    bed.reported(&task_arn(echo.port), TargetState::Draining).await;
    let (status, text) = slow.await.unwrap();
    // The request may be sent again, but there is nobody to send it to.
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert_eq!(stream.read(&mut greeting).await.unwrap_or(0), 0);
    let after = begun.elapsed();
    assert!(
        Duration::from_secs(1) < after && after < Duration::from_secs(5),
        "{after:?}"
    );
    bed.reported(&task_arn(echo.port), TargetState::Drained).await;
    bed.reported(&task_arn(target.port), TargetState::Drained).await;
}

#[tokio::test]
async fn a_task_that_is_named_no_more_drains_for_as_long_as_its_group_says() {
    let (leaves, stays) = (Target::new().await, Target::new().await);
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[leaves.port])]).await;
    let slow = tokio::spawn(async move { get(port, "/slow/1000").await });
    while leaves.requests() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bed.say(&[web(Protocol::Http, port, &[stays.port])]);
    bed.reported(&task_arn(leaves.port), TargetState::Draining).await;
    assert_eq!(slow.await.unwrap(), (StatusCode::OK, leaves.port.to_string()));
    bed.reported(&task_arn(leaves.port), TargetState::Drained).await;
    assert_eq!(get(port, "/").await.1, stays.port.to_string());
}

#[tokio::test]
async fn a_gateway_that_stops_takes_nothing_new_and_lets_requests_end() {
    let target = Target::new().await;
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    let mut idle = Client::new(port).await;
    idle.get("/").await.unwrap();
    let slow = tokio::spawn(async move { get(port, "/slow/1000").await });
    while target.requests() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    bed.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(slow.await.unwrap().0, StatusCode::OK);
    assert!(idle.get("/").await.is_err());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_gateway_that_stops_ends_what_takes_longer_than_it_waits() {
    let echo = Echo::new().await;
    let port = free_port();
    let services = [web(Protocol::Tcp, port, &[echo.port])];
    let mut bed = Bed::with(&services, |options| options.drain_timeout = 1).await;
    let mut stream = connect(port).await;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).await.unwrap();
    bed.stop().await;
    assert_eq!(stream.read(&mut greeting).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_gateway_that_stops_still_says_which_targets_are_drained() {
    let (leaves, echo) = (Target::new().await, Echo::new().await);
    let (http, tcp) = (free_port(), free_port());
    let services = |deregister_by| {
        let mut web = web(Protocol::Http, http, &[leaves.port]);
        let mut raw = super::bed::web(Protocol::Tcp, tcp, &[echo.port]);
        raw.name = "raw".to_owned();
        web.endpoints[0].deregister_by = deregister_by;
        [web, raw]
    };
    let mut bed = Bed::new(&services(None)).await;
    let mut open = connect(tcp).await;
    let mut greeting = [0; 5];
    open.read_exact(&mut greeting).await.unwrap();
    bed.begin_to_stop();
    while TcpStream::connect(("127.0.0.1", http)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bed.say(&services(Some(in_seconds(20.0))));
    bed.reported(&task_arn(leaves.port), TargetState::Drained).await;
    drop(open);
    bed.stop().await;
}

#[tokio::test]
async fn a_websocket_to_a_task_that_leaves_is_open_until_its_time_is_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let read = stream.read(&mut [0; 2048]).await.unwrap_or(0);
                if read > 0 {
                    let answer =
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                }
            });
        }
    });
    let _server = tokio_util::task::AbortOnDropHandle::new(server);
    let port = free_port();
    let mut bed = Bed::new(&[web(Protocol::Http, port, &[at])]).await;
    let mut stream = connect(port).await;
    let ask = "GET / HTTP/1.1\r\nHost: web\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let mut service = web(Protocol::Http, port, &[at]);
    service.endpoints[0].deregister_by = Some(in_seconds(1.5));
    bed.say(&[service]);
    bed.reported(&task_arn(at), TargetState::Draining).await;
    let mut echoed = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    assert_eq!(stream.read(&mut echoed).await.unwrap_or(0), 0);
    bed.reported(&task_arn(at), TargetState::Drained).await;
}

#[tokio::test]
async fn a_task_that_comes_back_while_it_drains_is_as_new_and_its_past_is_not_told() {
    let target = Target::new().await;
    let port = free_port();
    let service = web(Protocol::Http, port, &[target.port]);
    let mut bed = Bed::new(std::slice::from_ref(&service)).await;
    let slow = tokio::spawn(async move { get(port, "/slow/1500").await });
    while target.requests() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bed.say(&[]);
    bed.reported(&task_arn(target.port), TargetState::Draining).await;
    bed.say(&[service]);
    bed.reported(&task_arn(target.port), TargetState::Healthy).await;
    assert_eq!(get(port, "/").await.0, StatusCode::OK);
    assert_eq!(slow.await.unwrap().0, StatusCode::OK);
    // Long enough for the end of what drained to be told, were it told.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(bed.history(&task_arn(target.port)).last(), Some(&TargetState::Healthy));
}
