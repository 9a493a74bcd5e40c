use super::*;

/// A service `name` with one target group on `listener_port` and tasks at these ports of 127.0.0.1.
pub(crate) fn service(name: &str, protocol: proto::Protocol, listener_port: u16, ports: &[u16]) -> proto::Service {
    proto::Service {
        name: name.to_owned(),
        arn: format!("arn:service/{name}"),
        target_groups: vec![proto::TargetGroup {
            arn: format!("arn:group/{name}"),
            protocol: protocol.into(),
            listener_port: u32::from(listener_port),
            health_check: None,
            deregistration_delay_seconds: 30,
        }],
        endpoints: ports.iter().map(|port| endpoint(name, *port)).collect(),
        shares: Vec::new(),
    }
}

/// A task whose port 80 is reached at this port of 127.0.0.1, and gets what arrives for the service's group.
fn endpoint(service: &str, host_port: u16) -> proto::Endpoint {
    proto::Endpoint {
        task: format!("arn:task/{host_port}"),
        deployment: "one".to_owned(),
        instance: "arn:instance".to_owned(),
        address: "127.0.0.1".to_owned(),
        availability_zone: String::new(),
        ports: vec![proto::Port {
            container_name: "app".to_owned(),
            container_port: 80,
            host_port: u32::from(host_port),
            protocol: "tcp".to_owned(),
            name: String::new(),
        }],
        health: proto::Health::Unspecified.into(),
        deregister_by: None,
        targets: vec![proto::Target {
            target_group: format!("arn:group/{service}"),
            host_port: u32::from(host_port),
        }],
    }
}

/// Of these services.
pub(crate) fn table(services: &[proto::Service]) -> Table {
    Table::default().folded(message(1, true, services, &[])).0
}

fn message(version: u64, complete: bool, services: &[proto::Service], gone: &[&str]) -> proto::Endpoints {
    proto::Endpoints {
        complete,
        version,
        services: services.to_vec(),
        gone: gone.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn names(table: &Table) -> Vec<&str> {
    table.services.keys().map(AsRef::as_ref).collect()
}

const HTTP: proto::Protocol = proto::Protocol::Http;

#[test]
fn a_complete_message_is_all_there_is_and_the_others_change_single_services() {
    let a = service("a", HTTP, 1, &[]);
    let b = service("b", HTTP, 2, &[]);
    let (first, problems) = Table::default().folded(message(7, true, &[a.clone(), b.clone()], &[]));
    assert_eq!((names(&first), problems), (vec!["a", "b"], vec![]));
    let (second, _) = first.folded(message(8, false, &[service("c", HTTP, 3, &[9])], &["a"]));
    assert_eq!(names(&second), ["b", "c"]);
    assert!(Arc::ptr_eq(&first.services["b"], &second.services["b"]));
    let (anew, _) = second.folded(message(1, true, &[b], &[]));
    assert_eq!((names(&anew), anew.version), (vec!["b"], 1));
    assert!(Arc::ptr_eq(&anew.services["b"], &second.services["b"]));
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let (first, _) = Table::default().folded(message(5, true, &[service("a", HTTP, 1, &[8])], &[]));
    let (again, _) = first.folded(message(5, false, &[], &["a"]));
    assert_eq!(again, first);
}

#[test]
fn what_cannot_be_is_left_out_and_named() {
    let mut odd = service("odd", HTTP, 0, &[8000, 8001]);
    odd.endpoints[0].address = "host.example".to_owned();
    let (table, problems) = Table::default().folded(message(1, true, &[odd], &[]));
    let odd = &table.services["odd"];
    assert!(odd.target_groups.is_empty());
    assert_eq!(odd.endpoints.len(), 1);
    let said: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(
        said,
        [
            "target group 'arn:group/odd': listener_port is 0, it must be between 1 and 65535",
            "task 'arn:task/8000': address is 'host.example', it must be an IP address",
        ]
    );
}

#[test]
fn a_task_is_reached_where_it_is_a_target_of_the_group() {
    let mut partly = service("web", HTTP, 1, &[8000, 8001]);
    partly.endpoints[1].targets[0].target_group = "arn:group/other".to_owned();
    let (table, _) = Table::default().folded(message(1, true, &[partly], &[]));
    let web = &table.services["web"];
    let reached: Vec<_> = web
        .endpoints
        .iter()
        .map(|one| one.reached(&web.target_groups[0]))
        .collect();
    assert_eq!(reached, [Some("127.0.0.1:8000".parse().unwrap()), None]);
}
