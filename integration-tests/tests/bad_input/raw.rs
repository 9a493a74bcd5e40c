//! Bytes that are no request of ECS: not its JSON, not HTTP, not gRPC's messages.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::Ecs;
use berth_integration_tests::ecs::{TARGET_PREFIX, fault};
use berth_integration_tests::grpc::Client;
use berth_proto::agent::v1::{
    AgentMessage, Heartbeat, Hello, HostFacts, SchedulerMessage, agent_message, scheduler_message,
};
use prost::Message;
use tonic::Code;

const MIB: usize = 1 << 20;
/// How long the scheduler may take to hang up.
const PATIENCE: Duration = Duration::from_secs(60);

const SERIALIZATION: &str = "SerializationException";
const UNKNOWN: &str = "UnknownOperationException";

/// Bytes without any order, the same in every run (xorshift).
fn garbage(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x9E37_79B9;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(super) fn bodies(ecs: &Ecs) -> Result<()> {
    let deep = "[".repeat(100_000);
    let deep_member = format!(r#"{{"clusterName":{}"#, "{\"a\":".repeat(50_000));
    let oversized = format!(r#"{{"clusterName":"{}"}}"#, "x".repeat(10 * MIB));
    let bodies: [(&str, Vec<u8>, &str); 18] = [
        ("CreateCluster", b"{".to_vec(), ""),
        ("CreateCluster", b"[]".to_vec(), ""),
        ("CreateCluster", b"\"text\"".to_vec(), ""),
        ("CreateCluster", b"{} {}".to_vec(), ""),
        ("CreateCluster", br#"{"clusterName": 5}"#.to_vec(), "clusterName"),
        ("CreateCluster", br#"{"clusterName": ["a"]}"#.to_vec(), "clusterName"),
        ("CreateCluster", br#"{"tags": {"key": "a"}}"#.to_vec(), "tags"),
        ("CreateCluster", b"{\"clusterName\": \"\xff\xfe\"}".to_vec(), ""),
        ("CreateCluster", b"{\"clusterName\": \"\\ud800\"}".to_vec(), ""),
        ("CreateCluster", deep.into_bytes(), ""),
        ("CreateCluster", deep_member.into_bytes(), ""),
        ("RunTask", br#"{"count": "three"}"#.to_vec(), "count"),
        ("RunTask", br#"{"count": 1.5}"#.to_vec(), "count"),
        ("RunTask", br#"{"count": 99999999999}"#.to_vec(), "count"),
        ("RunTask", br#"{"overrides": []}"#.to_vec(), "overrides"),
        (
            "RegisterTaskDefinition",
            br#"{"containerDefinitions": [{"portMappings": [{"containerPort": "80"}]}]}"#.to_vec(),
            "containerPort",
        ),
        ("CreateCluster", garbage(10 * MIB), ""),
        ("CreateCluster", oversized.into_bytes(), ""),
    ];
    let mut wrong = Vec::new();
    for (operation, body, says) in &bodies {
        if let Err(error) = refused(ecs, operation, body, says) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
            wrong.push(format!("{shown}: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Sends a body that must be refused as none.
fn refused(ecs: &Ecs, operation: &str, body: &[u8], says: &str) -> Result<()> {
    let target = format!("{TARGET_PREFIX}{operation}");
    let fault = fault(&ecs.send(Some(&target), body)?)?;
    let too_large = body.len() >= MIB;
    ensure!(
        fault.status == 400 || (too_large && fault.status == 413),
        "the status is not 400: {fault}"
    );
    ensure!(
        too_large || fault.class == SERIALIZATION,
        "not a {SERIALIZATION}: {fault}"
    );
    ensure!(
        !fault.message.is_empty() && fault.message.contains(says),
        "the message does not name {says}: {fault}"
    );
    Ok(())
}

pub(super) fn targets(ecs: &Ecs) -> Result<()> {
    let long = format!("{TARGET_PREFIX}{}", "A".repeat(5000));
    let targets = [
        None,
        Some(""),
        Some("CreateCluster"),
        Some("AmazonEC2ContainerServiceV20141113."),
        Some("AmazonEC2ContainerServiceV20141113.createCluster"),
        Some("AmazonEC2ContainerServiceV20141113.MakeCoffee"),
        Some("DynamoDB_20120810.ListTables"),
        Some(long.as_str()),
    ];
    for target in targets {
        let fault = fault(&ecs.send(target, b"{}")?)?;
        assert_eq!(
            (fault.status, fault.class.as_str()),
            (400, UNKNOWN),
            "{target:?}: {fault}"
        );
    }
    // ECS knows it, this scheduler does not have it.
    let target = format!("{TARGET_PREFIX}ContinueServiceDeployment");
    let fault = fault(&ecs.send(Some(&target), b"{}")?)?;
    assert_eq!(
        (fault.status, fault.class.as_str()),
        (400, "UnsupportedFeatureException"),
        "{fault}"
    );
    Ok(())
}

pub(super) fn no_http(ecs: &Ecs) -> Result<()> {
    let half = b"POST / HTTP/1.1\r\nhost: bed\r\ncontent-length: 5000\r\n\r\n{\"clusterName\"";
    let streams = [
        garbage(10 * MIB),
        half.to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            .iter()
            .copied()
            .chain(garbage(MIB))
            .collect(),
        // The beginning of a TLS connection.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        [b"GET / HTTP/1.1\r\n".as_slice(), &b"x: y\r\n".repeat(50_000)].concat(),
        Vec::new(),
    ];
    for bytes in streams {
        let mut stream = TcpStream::connect(ecs.address()).context("connect")?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // The scheduler may hang up at any point of it.
        let sent = stream.write_all(&bytes);
        let ended = stream.shutdown(Shutdown::Write);
        let answered = stream.read_to_end(&mut Vec::new());
        let hung = answered.as_ref().is_err_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            )
        });
        ensure!(!hung, "a dead connection is held: {sent:?} {ended:?} {answered:?}");
    }
    Ok(())
}

pub(super) fn frames(client: &Client) -> Result<()> {
    let messages: [(&str, Vec<u8>); 6] = [
        ("CreateCluster", garbage(1024)),
        ("CreateCluster", garbage(10 * MIB)),
        // A name that is not UTF-8.
        ("CreateCluster", vec![0x0a, 2, 0xff, 0xfe]),
        // A name longer than the message.
        ("CreateCluster", vec![0x0a, 200, b'x']),
        // A number where the name should be.
        ("CreateCluster", vec![0x08, 1]),
        // A field that ends in the middle of its number.
        ("RunTask", vec![0xff; 20]),
    ];
    for (operation, message) in messages {
        let shown = format!("{operation} {:02x?}", &message[..message.len().min(8)]);
        let answer = client.call(&format!("/berth.ecs.v1.Ecs/{operation}"), message)?;
        let status = answer.err().with_context(|| format!("{shown} succeeded"))?;
        ensure!(
            status.code() != Code::Unknown && !status.message().is_empty(),
            "{shown}: {status}"
        );
    }
    for path in ["/berth.ecs.v1.Ecs/MakeCoffee", "/berth.ecs.v9.Ecs/RunTask", "/nowhere"] {
        let answer = client.call(path, Vec::new())?;
        let status = answer.err().with_context(|| format!("{path} succeeded"))?;
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status}");
    }
    Ok(())
}

pub(super) fn agents(client: &Client) -> Result<()> {
    use agent_message::Message::{Heartbeat as Beat, Hello as Greet};
    let hello = |cluster: &str, instance_id: &str| {
        Greet(Hello {
            cluster: cluster.to_owned(),
            instance_id: instance_id.to_owned(),
            facts: Some(HostFacts {
                cpu_units: 1024,
                memory_mib: 1024,
                ..HostFacts::default()
            }),
            tasks: Vec::new(),
            drain: None,
            schedulers: 1,
        })
    };
    let id = "0123456789abcdef0123456789abcdef";
    let messages = [
        (hello("ghost", id), "ClusterNotFoundException"),
        (hello("", id), "InvalidParameterException"),
        (hello("here", "not an id"), "InvalidParameterException"),
        (Beat(Heartbeat {}), "ClientException"),
    ];
    for (message, class) in messages {
        let shown = format!("{message:?}");
        let message = AgentMessage { message: Some(message) };
        let answer = client
            .first_answer("/berth.agent.v1.AgentLink/Connect", message.encode_to_vec())?
            .with_context(|| shown.clone())?
            .with_context(|| format!("{shown}: no answer"))?;
        let answer = SchedulerMessage::decode(answer.as_slice()).context("decode")?;
        let Some(scheduler_message::Message::Refusal(refusal)) = answer.message else {
            anyhow::bail!("{shown}: not refused but {answer:?}");
        };
        assert_eq!(refusal.fault, class, "{shown}: {refusal:?}");
        ensure!(!refusal.message.is_empty(), "{shown}: refused without a reason");
    }
    Ok(())
}
