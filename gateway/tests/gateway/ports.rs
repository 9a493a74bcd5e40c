use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use berth_gateway::config::Options;
use berth_proto::gateway::v1::Protocol;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{Bed, DEADLINE, free_port, web};
use crate::clients::{Client, connect, get};
use crate::targets::Target;

/// Waits until nobody takes connections there.
async fn closes(port: u16) {
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.unwrap();
}

#[tokio::test]
async fn ports_open_and_close_with_their_services_and_leave_the_others_alone() {
    let target = Target::new().await;
    let (first, second) = (free_port(), free_port());
    let named = |name: &str, port| {
        let mut service = web(Protocol::Http, port, &[target.port]);
        service.name = name.to_owned();
        service
    };
    let bed = Bed::new(&[named("first", first)]).await;
    let mut client = Client::new(first).await;
    assert_eq!(client.get("/").await.unwrap().0, StatusCode::OK);
    bed.say(&[named("first", first), named("second", second)]);
    assert_eq!(get(second, "/").await.0, StatusCode::OK);
    bed.say(&[named("first", first)]);
    closes(second).await;
    // On the connection that was open all the time.
    assert_eq!(client.get("/").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_listened_on_when_it_is_free() {
    let target = Target::new().await;
    let port = free_port();
    let other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(other);
    assert_eq!(get(port, "/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn of_two_services_on_one_port_the_one_that_has_it_keeps_it_and_the_other_gets_it_after() {
    let (one, two) = (Target::new().await, Target::new().await);
    let port = free_port();
    let named = |name: &str, target: &Target| {
        let mut service = web(Protocol::Http, port, &[target.port]);
        service.name = name.to_owned();
        service.target_groups[0].arn = format!("arn:group/{name}");
        service
    };
    let bed = Bed::new(&[named("b", &one)]).await;
    assert_eq!(get(port, "/").await.1, one.port.to_string());
    bed.say(&[named("a", &two), named("b", &one)]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(get(port, "/").await.1, one.port.to_string());
    bed.say(&[named("a", &two)]);
    let taken_over = async {
        while get(port, "/").await.1 != two.port.to_string() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, taken_over).await.unwrap();
}

#[tokio::test]
async fn no_more_connections_are_taken_than_there_may_be() {
    let target = Target::new().await;
    let port = free_port();
    let services = [web(Protocol::Http, port, &[target.port])];
    let _bed = Bed::with(&services, |options| options.max_connections = Some(1)).await;
    let mut first = Client::new(port).await;
    first.get("/").await.unwrap();
    let mut second = Client::new(port).await;
    let waits = tokio::time::timeout(Duration::from_millis(300), second.get("/")).await;
    assert!(waits.is_err());
    drop(second);
    drop(first);
    assert_eq!(get(port, "/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn clients_and_tasks_may_have_addresses_of_ipv6() {
    let target = Target::listening("::1").await;
    let port = free_port();
    let mut service = web(Protocol::Http, port, &[target.port]);
    service.endpoints[0].address = "::1".to_owned();
    let everywhere = |options: &mut Options| options.listen_address = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let _bed = Bed::with(&[service], everywhere).await;
    let (status, headers) = get(port, "/headers").await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers.contains("x-forwarded-for: 127.0.0.1"), "{headers}");
    let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    let (status, headers) = Client::over(stream).await.get("/headers").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(headers.contains("x-forwarded-for: ::1"), "{headers}");
}

#[tokio::test]
async fn a_client_that_does_not_end_the_header_of_its_request_is_cut() {
    let target = Target::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[target.port])]).await;
    let mut client = connect(port).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // From here on time passes whenever nothing happens.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    // However the kernel tells it.
    let ended = client.read_to_end(&mut answer).await;
    assert!(ended.is_err() || answer.is_empty(), "{answer:?}");
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(14)..Duration::from_secs(16)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(target.requests(), 0);
}
