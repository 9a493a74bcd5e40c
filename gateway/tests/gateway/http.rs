use std::collections::BTreeSet;

use berth_proto::gateway::v1::{Protocol, Share};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bed::{Bed, free_port, task, web};
use crate::clients::{Client, connect, get, get_http2};
use crate::targets::Target;

#[tokio::test]
async fn requests_of_one_connection_go_to_all_tasks_in_turn() {
    let (one, two) = (Target::new().await, Target::new().await);
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[one.port, two.port])]).await;
    let mut client = Client::new(port).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.get("/").await.unwrap());
    }
    let by: BTreeSet<String> = answers[..2].iter().map(|(_, by)| by.clone()).collect();
    assert_eq!(by, BTreeSet::from([one.port.to_string(), two.port.to_string()]));
    assert_eq!(answers[..2], answers[2..]);
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    assert_eq!((one.requests(), two.requests()), (2, 2));
}

#[tokio::test]
async fn http2_in_front_is_http1_behind_unless_the_group_says_http2() {
    let target = Target::new().await;
    let (http, http2) = (free_port(), free_port());
    let mut both = web(Protocol::Http, http, &[target.port]);
    both.target_groups
        .extend(web(Protocol::Http2, http2, &[]).target_groups);
    let _bed = Bed::new(&[both]).await;
    for port in [http, http2] {
        for (status, by) in [get(port, "/").await, get_http2(port, "/").await] {
            assert_eq!((status, by), (StatusCode::OK, target.port.to_string()));
        }
    }
}

#[tokio::test]
async fn connections_to_tasks_are_used_again_by_whoever_comes_next() {
    let target = Target::new().await;
    let (http, http2) = (free_port(), free_port());
    let mut both = web(Protocol::Http, http, &[target.port]);
    both.target_groups
        .extend(web(Protocol::Http2, http2, &[]).target_groups);
    let _bed = Bed::new(&[both]).await;
    for (port, connections) in [(http, 1), (http2, 2)] {
        for _ in 0..5 {
            assert_eq!(get(port, "/").await.0, StatusCode::OK);
        }
        assert_eq!(target.connections(), connections);
    }
}

#[tokio::test]
async fn bodies_go_both_ways_whole() {
    let target = Target::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    let large = "0123456789abcdef".repeat(64 * 1024);
    let mut client = Client::new(port).await;
    let (status, body) = client.send("POST", "/echo", &large).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(body == large);
}

#[tokio::test]
async fn tasks_are_told_of_the_client_as_by_a_load_balancer() {
    let target = Target::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    let request = Request::get("/headers")
        .header("host", "web.example")
        .header("x-forwarded-for", "192.0.2.7")
        .header("x-forwarded-proto", "gopher")
        .body(Full::<Bytes>::default())
        .unwrap();
    let (_, headers) = Client::new(port).await.request(request).await.unwrap();
    for line in [
        "host: web.example".to_owned(),
        "x-forwarded-for: 192.0.2.7, 127.0.0.1".to_owned(),
        "x-forwarded-proto: http".to_owned(),
        format!("x-forwarded-port: {port}"),
    ] {
        assert!(headers.lines().any(|one| one == line), "{line} in {headers}");
    }
}

#[tokio::test]
async fn a_websocket_passes_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[at])]).await;
    let server = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 2048];
            let read = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8_lossy(&asked[..read]).to_ascii_lowercase();
            if !asked.contains("upgrade: websocket") {
                // Whether TCP connects is checked.
                continue;
            }
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut frame = [0; 4];
            stream.read_exact(&mut frame).await.unwrap();
            stream.write_all(&frame).await.unwrap();
            stream.read_exact(&mut frame).await.unwrap();
            return frame;
        }
    };
    let client = async {
        let mut stream = connect(port).await;
        let ask = "GET /live HTTP/1.1\r\nHost: web\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        stream.write_all(b"ping").await.unwrap();
        let mut frame = [0; 4];
        stream.read_exact(&mut frame).await.unwrap();
        stream.write_all(b"done").await.unwrap();
        frame
    };
    let (received, echoed) = tokio::join!(server, client);
    assert_eq!((&received, &echoed), (b"done", b"ping"));
}

#[tokio::test]
async fn shares_part_the_traffic_between_deployments() {
    let (blue, green) = (Target::new().await, Target::new().await);
    let port = free_port();
    let mut service = web(Protocol::Http, port, &[blue.port]);
    let mut other = task(green.port);
    other.deployment = "two".to_owned();
    service.endpoints.push(other);
    let share = |deployment: &str, weight| Share {
        deployment: deployment.to_owned(),
        weight,
    };
    service.shares = vec![share("one", 9), share("two", 1)];
    let _bed = Bed::new(&[service]).await;
    let mut client = Client::new(port).await;
    for _ in 0..40 {
        client.get("/").await.unwrap();
    }
    assert_eq!((blue.requests(), green.requests()), (36, 4));
}

#[tokio::test]
async fn a_client_is_told_when_there_is_no_task() {
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[])]).await;
    let (status, text) = get(port, "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text, "The service web has no task that takes requests now.\n");
}

#[tokio::test]
async fn a_client_is_told_when_a_task_takes_too_long() {
    let target = Target::new().await;
    let port = free_port();
    let services = [web(Protocol::Http, port, &[target.port])];
    let _bed = Bed::with(&services, |options| options.idle_timeout = 1).await;
    let (status, text) = get(port, "/slow/5000").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(text, "The service web did not answer within 1 s.\n");
    assert_eq!(target.requests(), 1, "what takes too long is not tried again");
}
