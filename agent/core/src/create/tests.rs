use serde_json::{Value, json};

use super::*;
use crate::machine::testing::{spec, spec_of};

fn request(container: &Value) -> CreateRequest {
    create_request(&spec(&json!([container])), 0).unwrap()
}

#[test]
fn cpu_units_become_shares_within_the_kernels_bounds() {
    for (units, shares) in [
        (0, 2),
        (1, 2),
        (2, 2),
        (512, 512),
        (262_144, 262_144),
        (500_000, 262_144),
    ] {
        let request = request(&json!({"name": "app", "image": "busybox", "cpu": units, "memory": 16}));
        assert_eq!(request.host.cpu_shares, shares, "{units}");
    }
}

#[test]
fn a_plain_container_gets_limits_labels_and_an_init() {
    let request = request(
        &json!({"name": "app", "image": "busybox", "memory": 64, "memoryReservation": 32,
        "command": ["sleep", "1"], "environment": [{"name": "A", "value": "b=c"}],
        "dockerLabels": {"mine": "1", "com.amazonaws.ecs.task-arn": "forged"}}),
    );
    assert_eq!(request.host.memory, Some(64 << 20));
    assert_eq!(request.host.memory_reservation, Some(32 << 20));
    assert_eq!(request.environment, ["A=b=c"]);
    assert!(request.host.init);
    assert_eq!(request.labels["mine"], "1");
    assert_eq!(
        request.labels[name::TASK_ARN],
        "arn:aws:ecs:us-east-1:000000000000:task/prod/0000000000000000000000000000002a"
    );
    assert_eq!(request.labels[name::CONTAINER_NAME], "app");
    assert_eq!(request.labels[name::FAMILY], "web");
    assert_eq!(request.labels[name::REVISION], "3");
    assert_eq!(request.labels[name::CLUSTER], "prod");
}

#[test]
fn the_hash_tells_two_versions_apart() {
    let hash = |memory: i32| {
        request(&json!({"name": "app", "image": "busybox", "memory": memory})).labels[name::SPEC_HASH].clone()
    };
    assert_eq!(hash(64), hash(64));
    assert_ne!(hash(64), hash(65));
}

#[test]
fn ports_are_forwarded_on_the_bridge_alone() {
    let containers = json!([{"name": "app", "image": "busybox", "memory": 16, "portMappings": [
        {"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "protocol": "udp"}]}]);
    let forward = |container_port, protocol, host_port| Forward {
        container_port,
        protocol,
        host_port,
    };
    let bridge = create_request(&spec(&containers), 0).unwrap();
    assert_eq!(
        bridge.host.ports,
        [forward(80, Protocol::Tcp, 8080), forward(53, Protocol::Udp, 0)]
    );
    let host = spec_of(json!({"family": "web", "networkMode": "host", "containerDefinitions": containers}));
    let host = create_request(&host, 0).unwrap();
    assert!(host.host.ports.is_empty());
    assert_eq!(host.host.network_mode, "host");
}

#[test]
fn volumes_links_and_volumes_from_name_what_docker_has() {
    let spec = spec_of(json!({"family": "web",
        "volumes": [{"name": "own"}, {"name": "etc", "host": {"sourcePath": "/etc"}}, {"name": "unused"}],
        "containerDefinitions": [
            {"name": "db", "image": "busybox", "memory": 16},
            {"name": "app", "image": "busybox", "memory": 16, "links": ["db:base", "db"],
             "volumesFrom": [{"sourceContainer": "db", "readOnly": true}],
             "mountPoints": [{"sourceVolume": "own", "containerPath": "/data"},
                             {"sourceVolume": "etc", "containerPath": "/host", "readOnly": true}]}]}));
    let request = create_request(&spec, 1).unwrap();
    let id = "0000000000000000000000000000002a";
    assert_eq!(
        request.host.links,
        [format!("ecs-web-3-db-{id}:base"), format!("ecs-web-3-db-{id}:db")]
    );
    assert_eq!(request.host.volumes_from, [format!("ecs-web-3-db-{id}:ro")]);
    assert_eq!(
        request.host.binds,
        [format!("ecs-web-3-own-{id}:/data"), "/etc:/host:ro".to_owned()]
    );
    assert_eq!(request.volumes.len(), 1);
    assert_eq!(request.volumes[0].name, format!("ecs-web-3-own-{id}"));
}

#[test]
fn linux_parameters_are_copied() {
    let request = request(&json!({"name": "app", "image": "busybox", "memory": 64,
        "linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["MKNOD"]}, "initProcessEnabled": false,
            "devices": [{"hostPath": "/dev/null", "permissions": ["read", "write"]}, {"hostPath": "/dev/zero", "containerPath": "/dev/z"}],
            "sharedMemorySize": 8, "tmpfs": [{"containerPath": "/tmp", "size": 4, "mountOptions": ["noexec"]}],
            "maxSwap": 36, "swappiness": 10},
        "systemControls": [{"namespace": "net.core.somaxconn", "value": "512"}]}));
    let host = request.host;
    assert_eq!(
        (host.capabilities_added, host.capabilities_dropped),
        (vec!["SYS_PTRACE".into()], vec!["MKNOD".into()])
    );
    assert!(!host.init);
    let devices: Vec<_> = host
        .devices
        .iter()
        .map(|d| (d.container_path.as_str(), d.permissions.as_str()))
        .collect();
    assert_eq!(devices, [("/dev/null", "rw"), ("/dev/z", "rwm")]);
    assert_eq!(host.tmpfs[0].options, "noexec,size=4m");
    assert_eq!(
        (host.shm_size, host.memory_swap, host.memory_swappiness),
        (Some(8 << 20), Some(100 << 20), Some(10))
    );
    assert_eq!(host.sysctls["net.core.somaxconn"], "512");
}

#[test]
fn what_cannot_be_honoured_is_an_error_that_names_it() {
    let error = |container: &Value| create_request(&spec(&json!([container])), 0).unwrap_err().to_string();
    let swap = error(&json!({"name": "app", "image": "a", "memoryReservation": 8, "linuxParameters": {"maxSwap": 1}}));
    assert_eq!(
        swap,
        "container 'app': linuxParameters.maxSwap is 1, which needs a hard limit in 'memory'"
    );
    let permission = error(&json!({"name": "app", "image": "a", "memory": 8,
        "linuxParameters": {"devices": [{"hostPath": "/dev/null", "permissions": ["own"]}]}}));
    assert!(permission.contains("'own'"), "{permission}");
    let gpu = error(&json!({"name": "app", "image": "a", "memory": 8,
        "resourceRequirements": [{"type": "GPU", "value": "1"}]}));
    assert!(gpu.contains("asks for 1 GPUs and the scheduler has given 0"), "{gpu}");
    let accelerator = error(&json!({"name": "app", "image": "a", "memory": 8,
        "resourceRequirements": [{"type": "InferenceAccelerator", "value": "eia"}]}));
    assert!(accelerator.contains("'InferenceAccelerator'"), "{accelerator}");
}

#[test]
fn docker_volumes_are_made_for_the_task_or_shared_by_name() {
    let spec = spec_of(json!({"family": "web",
        "volumes": [
            {"name": "own", "dockerVolumeConfiguration": {"scope": "task", "driverOpts": {"type": "tmpfs"},
                "labels": {"mine": "1", "com.amazonaws.ecs.task-arn": "forged"}}},
            {"name": "common", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": true,
                "driver": "nfs", "labels": {"team": "a"}}},
            {"name": "given", "dockerVolumeConfiguration": {"scope": "shared"}}],
        "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16, "mountPoints": [
            {"sourceVolume": "own", "containerPath": "/own"},
            {"sourceVolume": "common", "containerPath": "/common", "readOnly": true},
            {"sourceVolume": "given", "containerPath": "/given"}]}]}));
    let request = create_request(&spec, 0).unwrap();
    let own = format!("ecs-web-3-own-{}", spec.id);
    assert_eq!(
        request.host.binds,
        [format!("{own}:/own"), "common:/common:ro".into(), "given:/given".into()]
    );
    let [task, common, given] = request.volumes.as_slice() else {
        panic!("{:#?}", request.volumes)
    };
    assert_eq!((task.name.as_str(), task.driver.as_str()), (own.as_str(), "local"));
    assert_eq!(
        (task.lifetime, task.options["type"].as_str()),
        (Lifetime::Task, "tmpfs")
    );
    assert_eq!(
        (task.labels["mine"].as_str(), &task.labels[name::TASK_ARN]),
        ("1", &spec.arn)
    );
    assert_eq!(common.lifetime, Lifetime::Shared { autoprovision: true });
    assert_eq!((common.driver.as_str(), common.labels.len()), ("nfs", 1));
    assert_eq!(given.lifetime, Lifetime::Shared { autoprovision: false });
    assert!(spec.has_own_volumes());
}

#[test]
fn secrets_stand_in_the_request_by_reference() {
    let request = request(&json!({"name": "app", "image": "busybox", "memory": 16,
        "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/a.env"}],
        "secrets": [{"name": "PASSWORD", "valueFrom": "/prod/db"}],
        "logConfiguration": {"logDriver": "splunk", "options": {"tag": "x"},
            "secretOptions": [{"name": "splunk-token", "valueFrom": "token"}]}}));
    assert_eq!(request.environment_files, ["arn:aws:s3:::b/a.env"]);
    assert_eq!(request.secrets[0].value_from, "/prod/db");
    assert_eq!(request.log_secrets[0].name, "splunk-token");
    assert_eq!(request.host.log.unwrap().1.len(), 1);
    assert!(request.environment.is_empty());
}

#[test]
fn security_options_are_written_as_docker_reads_them_in_all_versions() {
    let options = json!([
        "label:type:svirt_t",
        "apparmor=docker-default",
        "no-new-privileges",
        "seccomp:unconfined"
    ]);
    let request = request(&json!({"name": "app", "image": "a", "memory": 16, "dockerSecurityOptions": options}));
    assert_eq!(
        request.host.security_options,
        [
            "label=type:svirt_t",
            "apparmor=docker-default",
            "no-new-privileges",
            "seccomp=unconfined"
        ]
    );
}
