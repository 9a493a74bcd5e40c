use hickory_proto::op::Query;

use berth_proto::gateway::v1::{self as proto, Protocol};

use super::*;
use crate::endpoints::tests::{service, table};

/// A service `web` of two tasks whose one port is called `http`.
fn web() -> proto::Service {
    let mut web = service("web", Protocol::Http, 80, &[8001, 8002]);
    for endpoint in &mut web.endpoints {
        endpoint.ports[0].name = "http".to_owned();
    }
    web.endpoints[1].address = "127.0.0.2".to_owned();
    web
}

/// The code, and the data of answers and additional records.
fn ask(services: &[proto::Service], states: &States, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let table = table(services);
    let zone = Zone {
        table: &table,
        states,
        cluster: "prod",
    };
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let answer = zone.answer(&question).unwrap();
    let nothing = answer.answers.is_empty() && answer.metadata.authoritative;
    assert_eq!(
        nothing,
        !answer.authorities.is_empty(),
        "what is not there has an authority"
    );
    let records = answer.answers.iter().chain(&answer.additionals);
    (
        answer.metadata.response_code,
        records.map(|record| record.data.to_string()).collect(),
    )
}

fn found(name: &str, kind: RecordType) -> Vec<String> {
    let (code, data) = ask(&[web()], &States::new(), name, kind);
    assert_eq!(code, ResponseCode::NoError);
    data
}

#[test]
fn a_service_is_the_hosts_and_the_ports_of_its_tasks() {
    assert_eq!(found("web.prod.berth.", RecordType::A), ["127.0.0.1", "127.0.0.2"]);
    assert_eq!(found("WEB.Prod.Berth.", RecordType::A).len(), 2);
    assert!(found("web.prod.berth.", RecordType::AAAA).is_empty());
    let srv = [
        "1 1 8001 8001.web.prod.berth",
        "1 1 8002 8002.web.prod.berth",
        "127.0.0.1",
        "127.0.0.2",
    ];
    for name in [
        "web.prod.berth.",
        "_http._tcp.web.prod.berth.",
        "_80._tcp.web.prod.berth.",
    ] {
        let data: Vec<String> = found(name, RecordType::SRV)
            .iter()
            .map(|one| one.trim_end_matches('.').to_owned())
            .collect();
        assert_eq!(data, srv, "{name}");
    }
    assert_eq!(found("8002.web.prod.berth.", RecordType::A), ["127.0.0.2"]);
}

#[test]
fn what_is_not_there_is_told_from_what_is_not_ours() {
    let code = |name| ask(&[web()], &States::new(), name, RecordType::A).0;
    for name in [
        "api.prod.berth.",
        "x.web.prod.berth.",
        "_smtp._tcp.web.prod.berth.",
        "a.b.web.prod.berth.",
    ] {
        assert_eq!(code(name), ResponseCode::NXDomain, "{name}");
    }
    for name in ["prod.berth.", "_tcp.web.prod.berth."] {
        assert_eq!(code(name), ResponseCode::NoError, "{name}");
    }
    for name in ["web.other.berth.", "example.com.", "."] {
        assert_eq!(code(name), ResponseCode::Refused, "{name}");
    }
}

#[test]
fn who_is_about_to_stop_or_unhealthy_is_left_out_unless_there_is_nobody_else() {
    let mut leaves = web();
    leaves.endpoints[0].deregister_by = Some(1.0);
    let (_, data) = ask(&[leaves.clone()], &States::new(), "web.prod.berth.", RecordType::A);
    assert_eq!(data, ["127.0.0.2"]);
    let unhealthy = |tasks: &[&str]| -> States {
        let state = |task: &&str| {
            let id = TargetId {
                group: "arn:group/web".into(),
                task: (*task).into(),
            };
            (id, TargetState::Unhealthy("status 500".into()))
        };
        tasks.iter().map(state).collect()
    };
    let one = unhealthy(&["arn:task/8001"]);
    assert_eq!(ask(&[web()], &one, "web.prod.berth.", RecordType::A).1, ["127.0.0.2"]);
    let both = unhealthy(&["arn:task/8001", "arn:task/8002"]);
    assert_eq!(ask(&[web()], &both, "web.prod.berth.", RecordType::A).1.len(), 2);
    leaves.endpoints[1].deregister_by = Some(1.0);
    let (code, data) = ask(&[leaves], &States::new(), "web.prod.berth.", RecordType::A);
    assert_eq!((code, data.len()), (ResponseCode::NoError, 0));
}
