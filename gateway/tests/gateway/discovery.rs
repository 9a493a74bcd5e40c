use std::net::{Ipv4Addr, SocketAddr};

use berth_proto::gateway::v1::Protocol;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use crate::bed::{Bed, DEADLINE, free_port, task_arn, web};
use crate::clients::{Client, connect, get};
use crate::targets::Target;

fn question(kind: RecordType) -> Vec<u8> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii("web.prod.berth.").unwrap(), kind));
    question.to_vec().unwrap()
}

#[tokio::test]
async fn dns_is_answered_over_udp_and_tcp_and_what_is_too_long_for_udp_is_told_so() {
    let (listener, dns) = (free_port(), free_port());
    let ports: Vec<u16> = (20_001..20_061).collect();
    let services = [web(Protocol::Http, listener, &ports)];
    let _bed = Bed::with(&services, |options| {
        options.dns_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, dns)));
    })
    .await;
    drop(connect(listener).await);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ask = async |kind| {
        socket.send_to(&question(kind), ("127.0.0.1", dns)).await.unwrap();
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(DEADLINE, socket.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        (read, Message::from_vec(&buffer[..read]).unwrap())
    };
    let (_, hosts) = ask(RecordType::A).await;
    assert_eq!(hosts.metadata.response_code, ResponseCode::NoError);
    assert_eq!(hosts.answers.len(), 1);
    let (read, cut) = ask(RecordType::SRV).await;
    assert!(read <= 512 && cut.metadata.truncation);
    let mut stream = connect(dns).await;
    let question = question(RecordType::SRV);
    stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 60);
}

#[tokio::test]
async fn prometheus_finds_tasks_and_a_balancer_in_front_finds_out_who_stops() {
    let target = Target::new().await;
    let (listener, own) = (free_port(), free_port());
    let services = [web(Protocol::Http, listener, &[target.port])];
    let mut bed = Bed::with(&services, |options| {
        options.http_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, own)));
    })
    .await;
    let mut open = Client::new(listener).await;
    open.get("/").await.unwrap();
    let (status, found) = get(own, "/sd").await;
    assert_eq!(status, StatusCode::OK);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found[0]["targets"][0], format!("127.0.0.1:{}", target.port));
    assert_eq!(found[0]["labels"]["__meta_berth_task"], task_arn(target.port));
    assert_eq!(get(own, "/healthz").await.0, StatusCode::OK);
    assert_eq!(get(own, "/else").await.0, StatusCode::NOT_FOUND);
    bed.begin_to_stop();
    while get(own, "/healthz").await.0 == StatusCode::OK {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(own, "/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    bed.stop().await;
}
