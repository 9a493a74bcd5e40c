use berth_model::quantity::Protocol;
use berth_model::status::HealthStatus;
use berth_model::tag::Tag;
use serde_json::{Value, json};

use super::*;
use crate::container::{Address, Binding, Detail};
use crate::context::TaskContext;
use crate::machine::testing::{at, spec_of};

fn record() -> Record {
    let mut spec = spec_of(json!({
        "family": "web", "cpu": "512", "memory": "256", "networkMode": "bridge",
        "volumes": [{"name": "own"}, {"name": "etc", "host": {"sourcePath": "/etc/app"}}],
        "containerDefinitions": [
            {"name": "app", "image": "busybox:1", "cpu": 10, "memory": 64,
             "healthCheck": {"command": ["CMD", "true"]}, "restartPolicy": {"enabled": true},
             "portMappings": [{"containerPort": 80}],
             "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
             "mountPoints": [{"sourceVolume": "own", "containerPath": "/own"},
                             {"sourceVolume": "etc", "containerPath": "/etc/app", "readOnly": true}]},
            {"name": "side", "image": "busybox:1", "cpu": 0, "essential": false}]}));
    spec.context = TaskContext {
        group: "service:shop".to_owned(),
        tags: vec![Tag {
            key: "team".to_owned(),
            value: "a".to_owned(),
        }],
        access: None,
        ..TaskContext::default()
    };
    let mut record = Record::new(spec);
    record.pull_started_at = Some(at(1));
    record.pull_stopped_at = Some(at(2));
    let app = &mut record.containers[0];
    app.phase = Phase::Running;
    app.health = Some(HealthStatus::Healthy);
    app.restarts = 2;
    app.runtime_id = Some("4fa1".to_owned());
    app.image_digest = Some("sha256:digest".to_owned());
    app.started_at = Some(at(4));
    app.bindings = vec![Binding {
        container_port: 80,
        protocol: Protocol::Tcp,
        host_port: 32768,
        bind_ip: "0.0.0.0".to_owned(),
        range: 0,
    }];
    app.detail = Detail {
        created_at: Some(at(3)),
        image_id: Some("sha256:id".to_owned()),
        addresses: vec![Address {
            network: "bridge".to_owned(),
            ipv4: "172.17.0.2".to_owned(),
            ..Address::default()
        }],
    };
    record
}

fn written_task(record: &Record, with_tags: bool) -> Value {
    let surroundings = Surroundings {
        availability_zone: Some("us-east-1a".to_owned()),
    };
    serde_json::to_value(task(record, &surroundings, with_tags)).unwrap()
}

#[test]
fn a_task_is_told_of_itself_in_ecss_words() {
    let told = written_task(&record(), false);
    let id = "0000000000000000000000000000002a";
    for (member, value) in [
        ("Cluster", json!("arn:aws:ecs:us-east-1:000000000000:cluster/prod")),
        (
            "TaskARN",
            json!(format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{id}")),
        ),
        ("Family", json!("web")),
        ("Revision", json!("3")),
        ("DesiredStatus", json!("RUNNING")),
        ("KnownStatus", json!("NONE")),
        ("Limits", json!({"CPU": 0.5, "Memory": 256})),
        ("PullStartedAt", json!("2023-11-14T22:13:21.000Z")),
        ("PullStoppedAt", json!("2023-11-14T22:13:22.000Z")),
        ("AvailabilityZone", json!("us-east-1a")),
        ("LaunchType", json!("EC2")),
        ("ServiceName", json!("shop")),
        ("TaskTags", Value::Null),
    ] {
        assert_eq!(told[member], value, "{member}");
    }
    assert_eq!(told["Containers"].as_array().unwrap().len(), 2);
    assert_eq!(written_task(&record(), true)["TaskTags"], json!({"team": "a"}));
}

#[test]
fn a_container_is_told_of_itself_in_ecss_words() {
    let told = serde_json::to_value(container(&record(), 0).unwrap()).unwrap();
    let id = "0000000000000000000000000000002a";
    for (member, value) in [
        ("DockerId", json!("4fa1")),
        ("Name", json!("app")),
        ("DockerName", json!(format!("ecs-web-3-app-{id}"))),
        ("Image", json!("busybox:1")),
        ("ImageID", json!("sha256:id")),
        (
            "Ports",
            json!([{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}]),
        ),
        ("DesiredStatus", json!("RUNNING")),
        ("KnownStatus", json!("RUNNING")),
        ("ExitCode", Value::Null),
        ("Limits", json!({"CPU": 10, "Memory": 64})),
        ("CreatedAt", json!("2023-11-14T22:13:23.000Z")),
        ("StartedAt", json!("2023-11-14T22:13:24.000Z")),
        ("Type", json!("NORMAL")),
        ("Health", json!({"status": "HEALTHY"})),
        ("RestartCount", json!(2)),
        ("LogDriver", json!("json-file")),
        ("LogOptions", json!({"max-size": "1m"})),
        (
            "Networks",
            json!([{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.2"]}]),
        ),
        (
            "Volumes",
            json!([{"DockerName": format!("ecs-web-3-own-{id}"), "Destination": "/own"},
                   {"Source": "/etc/app", "Destination": "/etc/app"}]),
        ),
    ] {
        assert_eq!(told[member], value, "{member}");
    }
    assert_eq!(told["Labels"]["com.amazonaws.ecs.container-name"], "app");
    let arn = told["ContainerARN"].as_str().unwrap();
    let stem = format!("arn:aws:ecs:us-east-1:000000000000:container/prod/{id}/");
    assert!(arn.starts_with(&stem), "{arn}");
    assert!(container(&record(), 2).is_none());
}

#[test]
fn a_task_has_come_as_far_as_the_last_of_its_containers() {
    let mut record = record();
    for (phase, status) in [
        (Phase::Pulled, "PULLED"),
        (Phase::Starting, "CREATED"),
        (Phase::Running, "RUNNING"),
        (Phase::Stopped, "RUNNING"),
    ] {
        record.containers[1].phase = phase;
        assert_eq!(task_known(&record), status);
    }
    record.ended_at = Some(at(9));
    assert_eq!((task_known(&record), desired(&record)), ("STOPPED", "STOPPED"));
}

#[test]
fn the_host_is_told_in_fewer_words() {
    let told = serde_json::to_value(introspected(&record())).unwrap();
    assert_eq!((&told["Family"], &told["Version"]), (&json!("web"), &json!("3")));
    let app = &told["Containers"][0];
    assert_eq!(
        (&app["Name"], &app["ImageID"], &app["Labels"]),
        (&json!("app"), &json!("sha256:id"), &Value::Null)
    );
}

#[test]
fn containers_of_a_task_with_its_own_address_share_that_of_the_pause_container() {
    let definition = crate::pause::added(
        serde_json::from_value(json!({"family": "web", "networkMode": "awsvpc",
            "containerDefinitions": [{"name": "app", "image": "a", "memory": 8}]}))
        .unwrap(),
    );
    let mut record = Record::new(spec_of(serde_json::to_value(definition).unwrap()));
    for container in &mut record.containers {
        container.phase = Phase::Running;
    }
    record.containers[1].detail.addresses = vec![Address {
        network: "berth".to_owned(),
        ipv4: "10.9.3.7".to_owned(),
        ipv4_prefix: 16,
        gateway: "10.9.0.1".to_owned(),
        mac: "02:42:0a:09:03:07".to_owned(),
        ..Address::default()
    }];
    let told = |at| serde_json::to_value(container(&record, at).unwrap()).unwrap();
    let network = json!([{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.9.3.7"], "AttachmentIndex": 0,
        "MACAddress": "02:42:0a:09:03:07", "IPv4SubnetCIDRBlock": "10.9.0.0/16",
        "SubnetGatewayIpv4Address": "10.9.0.1/16"}]);
    assert_eq!((&told(0)["Networks"], &told(0)["Type"]), (&network, &json!("NORMAL")));
    assert_eq!(
        (&told(1)["Networks"], &told(1)["Type"]),
        (&network, &json!("CNI_PAUSE"))
    );
    assert_eq!(told(1)["KnownStatus"], "RESOURCES_PROVISIONED");
}
