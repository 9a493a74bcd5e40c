//! Settings of a container: what passes, what is refused, and what an agent must be able to do for them.

use serde_json::{Value, json};

use super::{check, definition};
use crate::quantity::GpuCount;
use crate::task_definition::{TaskDefinition, capability};

/// A definition whose only container has these members too.
fn with(members: &Value) -> TaskDefinition {
    definition(|d| merge(d, members))
}

fn merge(definition: &mut Value, members: &Value) {
    for (member, value) in members.as_object().unwrap() {
        definition["containerDefinitions"][0][member] = value.clone();
    }
}

/// Every one of the members is refused with these words.
fn refused(members: &Value, says: &str) {
    check(says, |d| merge(d, members));
}

#[test]
fn typed_members_come_back_as_they_were() {
    let value = json!({
        "family": "web",
        "volumes": [
            {"name": "a", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": true, "driver": "nfs",
                "driverOpts": {"o": "x"}, "labels": {"team": "a"}}},
            {"name": "b", "dockerVolumeConfiguration": {}},
            {"name": "c", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
        "containerDefinitions": [{"name": "app", "image": "busybox", "cpu": 0, "memory": 64,
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 5, "startPeriod": 0},
            "secrets": [{"name": "A", "valueFrom": "a"}],
            "environmentFiles": [{"value": "arn:aws:s3:::b/x.env", "type": "s3"}],
            "repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:r:1:secret:x"},
            "logConfiguration": {"logDriver": "splunk", "options": {"a": "b"}, "secretOptions": [{"name": "c", "valueFrom": "d"}]},
            "linuxParameters": {"capabilities": {"add": ["ALL"], "drop": ["MKNOD"]},
                "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/n", "permissions": ["read"]}],
                "initProcessEnabled": false, "sharedMemorySize": 1, "maxSwap": 0, "swappiness": 100,
                "tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["ro"]}]},
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "1"}],
            "resourceRequirements": [{"value": "1", "type": "GPU"}]}],
    });
    let definition: TaskDefinition = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(definition.validated().unwrap()).unwrap(), value);
}

#[test]
fn health_checks_keep_the_bounds_of_ecs() {
    let check = |command: Value| json!({"healthCheck": {"command": command}});
    for good in [json!(["CMD", "a", "b"]), json!(["CMD-SHELL", "a | b"]), json!(["NONE"])] {
        with(&check(good)).validated().unwrap();
    }
    for bad in [
        json!([]),
        json!(["curl"]),
        json!(["CMD"]),
        json!(["CMD-SHELL", "a", "b"]),
        json!(["NONE", "a"]),
    ] {
        refused(&check(bad), "'healthCheck.command' begins with");
    }
    for (member, value, says) in [
        ("interval", 4, "'healthCheck.interval' is 4, it must be 5 to 300."),
        ("timeout", 61, "'healthCheck.timeout' is 61, it must be 2 to 60."),
        ("retries", 0, "'healthCheck.retries' is 0, it must be 1 to 10."),
        (
            "startPeriod",
            301,
            "'healthCheck.startPeriod' is 301, it must be 0 to 300.",
        ),
    ] {
        let mut health = json!({"command": ["CMD", "true"]});
        health[member] = value.into();
        refused(&json!({"healthCheck": health}), says);
    }
    let plain = with(&check(json!(["CMD", "true"])));
    let plain = plain.container_definitions[0].health_check.clone().unwrap();
    let figures = (
        plain.interval().as_secs(),
        plain.timeout().as_secs(),
        plain.retries(),
        plain.start_period().as_secs(),
    );
    assert_eq!(figures, (30, 5, 3, 0));
}

#[test]
fn secrets_have_names_of_their_own() {
    let taken = "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'A'.";
    refused(
        &json!({"environment": [{"name": "A", "value": "1"}], "secrets": [{"name": "A", "valueFrom": "a"}]}),
        taken,
    );
    refused(
        &json!({"secrets": [{"name": "A", "valueFrom": "a"}, {"name": "A", "valueFrom": "b"}]}),
        taken,
    );
    refused(
        &json!({"secrets": [{"name": "", "valueFrom": "a"}]}),
        "'secrets[0].name' is ''",
    );
    refused(
        &json!({"secrets": [{"name": "A", "valueFrom": ""}]}),
        "'secrets[0].valueFrom' of 'A'",
    );
    refused(
        &json!({"logConfiguration": {"logDriver": "splunk", "options": {"a": "1"},
            "secretOptions": [{"name": "a", "valueFrom": "x"}]}}),
        "The log option 'a' is given more than once",
    );
    refused(
        &json!({"logConfiguration": {}}),
        "'logConfiguration.logDriver' must be given.",
    );
    refused(
        &json!({"repositoryCredentials": {}}),
        "'repositoryCredentials.credentialsParameter'",
    );
}

#[test]
fn environment_files_are_objects_of_s3_or_files_of_the_host() {
    let files = |value: &str, kind: &str| json!({"environmentFiles": [{"value": value, "type": kind}]});
    for good in [
        "arn:aws:s3:::bucket/a/b.env",
        "arn:aws-cn:s3:::b/x.env",
        "file:///etc/berth/environment/x.env",
    ] {
        with(&files(good, "s3")).validated().unwrap();
    }
    for bad in [
        "",
        "x.env",
        "s3://b/x.env",
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/x.txt",
        "file://x.env",
    ] {
        refused(&files(bad, "s3"), "'environmentFiles[0].value' is");
    }
    refused(
        &files("arn:aws:s3:::b/x.env", "efs"),
        "'environmentFiles[0].type' is 'efs'",
    );
    let eleven = vec![json!({"value": "arn:aws:s3:::b/x.env", "type": "s3"}); 11];
    refused(
        &json!({"environmentFiles": eleven}),
        "'environmentFiles' has 11 entries",
    );
}

#[test]
fn linux_parameters_name_what_is_wrong_with_them() {
    for (parameters, says) in [
        (
            json!({"capabilities": {"add": ["CAP_CHOWN"]}}),
            "'linuxParameters.capabilities.add' has 'CAP_CHOWN'",
        ),
        (
            json!({"capabilities": {"drop": ["X"]}}),
            "'linuxParameters.capabilities.drop' has 'X'",
        ),
        (
            json!({"devices": [{"hostPath": "null"}]}),
            "'linuxParameters.devices[0].hostPath' is 'null'",
        ),
        (
            json!({"devices": [{"hostPath": "/dev/null", "permissions": ["own"]}]}),
            "permissions' has 'own', it should be one of [read, write, mknod].",
        ),
        (
            json!({"sharedMemorySize": 0}),
            "'linuxParameters.sharedMemorySize' is 0",
        ),
        (
            json!({"tmpfs": [{"containerPath": "t", "size": 1}]}),
            "'linuxParameters.tmpfs[0].containerPath' is 't'",
        ),
        (
            json!({"tmpfs": [{"containerPath": "/t"}]}),
            "'linuxParameters.tmpfs[0].size' is 0",
        ),
        (
            json!({"tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["ro,size=9g"]}]}),
            "mountOptions' has 'ro,size=9g'",
        ),
        (json!({"maxSwap": -1}), "'linuxParameters.maxSwap' is -1"),
        (
            json!({"maxSwap": 1, "swappiness": 101}),
            "'linuxParameters.swappiness' is 101, it must be 0 to 100.",
        ),
    ] {
        refused(&json!({"linuxParameters": parameters}), says);
    }
    let swap = json!({"memory": null, "memoryReservation": 8, "linuxParameters": {"maxSwap": 1}});
    refused(
        &swap,
        "'linuxParameters.maxSwap' is 1, which needs a hard limit in 'memory'.",
    );
}

#[test]
fn kernel_settings_are_those_of_a_namespace_of_its_own() {
    let control = |name: &str| json!({"systemControls": [{"namespace": name, "value": "1"}]});
    for good in ["net.ipv4.tcp_syncookies", "kernel.shmmax", "fs.mqueue.msg_max"] {
        with(&control(good)).validated().unwrap();
    }
    refused(
        &control("vm.swappiness"),
        "'systemControls[0].namespace' is 'vm.swappiness'",
    );
    refused(
        &json!({"systemControls": [{"namespace": "net.a"}]}),
        "'systemControls[0].value' of 'net.a'",
    );
    check("not supported with networkMode 'host'", |d| {
        d["networkMode"] = json!("host");
        merge(d, &control("net.core.somaxconn"));
    });
    check("not supported with ipcMode 'host'", |d| {
        d["ipcMode"] = json!("host");
        merge(d, &control("kernel.shmmax"));
    });
}

#[test]
fn a_volume_is_of_one_kind() {
    let volumes = |says: &str, volume: Value| check(says, |d| d["volumes"] = json!([volume]));
    volumes(
        "volumes[0] 'v' has host.sourcePath and dockerVolumeConfiguration",
        json!({"name": "v", "host": {"sourcePath": "/v"}, "dockerVolumeConfiguration": {"scope": "task"}}),
    );
    volumes(
        "scope 'host' should be one of [task, shared]",
        json!({"name": "v", "dockerVolumeConfiguration": {"scope": "host"}}),
    );
    volumes(
        "driver 'a b'",
        json!({"name": "v", "dockerVolumeConfiguration": {"driver": "a b"}}),
    );
    volumes(
        "must be an absolute path without ':'",
        json!({"name": "v", "host": {"sourcePath": "/a:b"}}),
    );
    check("'mountPoints[0].containerPath' is '/v:ro'", |d| {
        d["volumes"] = json!([{"name": "v"}]);
        merge(
            d,
            &json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v:ro"}]}),
        );
    });
}

#[test]
fn a_line_of_the_hosts_file_has_a_name_and_an_address() {
    with(&json!({"extraHosts": [{"hostname": "db", "ipAddress": "fd00::7"}]}))
        .validated()
        .unwrap();
    refused(
        &json!({"extraHosts": [{"hostname": "db", "ipAddress": "db2"}]}),
        "'extraHosts[0]' is 'db' at 'db2'",
    );
    refused(
        &json!({"extraHosts": [{"ipAddress": "10.0.0.1"}]}),
        "'extraHosts[0]' is '' at '10.0.0.1'",
    );
}

#[test]
fn resources_are_counted() {
    refused(
        &json!({"resourceRequirements": [{"type": "GPU", "value": "0"}]}),
        "'resourceRequirements[0].value' is '0'",
    );
    refused(
        &json!({"resourceRequirements": [{"type": "TPU", "value": "1"}]}),
        "'resourceRequirements[0].type' is 'TPU'",
    );
    refused(
        &json!({"resourceRequirements": [{"type": "GPU", "value": "1"}, {"type": "GPU", "value": "2"}]}),
        "'resourceRequirements[1].type' is 'GPU' once more",
    );
    let gpus = |count: &str| json!({"resourceRequirements": [{"type": "GPU", "value": count}]});
    assert_eq!(with(&gpus("3")).demand().gpus, GpuCount(3));
    let accelerator = json!({"resourceRequirements": [{"type": "InferenceAccelerator", "value": "eia"}]});
    assert_eq!(with(&accelerator).demand().gpus, GpuCount(0));
}

#[test]
fn each_setting_needs_an_agent_that_has_it() {
    for (members, needed) in [
        (
            json!({"secrets": [{"name": "A", "valueFrom": "a"}]}),
            vec![capability::SECRETS],
        ),
        (
            json!({"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:r:1:secret:a"}]}),
            vec![capability::SECRETS_MANAGER],
        ),
        (
            json!({"environmentFiles": [{"value": "arn:aws:s3:::b/x.env", "type": "s3"}]}),
            vec![capability::ENVIRONMENT_FILES],
        ),
        (
            json!({"linuxParameters": {"maxSwap": 1, "swappiness": 1}}),
            vec![
                capability::LINUX_PARAMETERS,
                capability::SWAP_LIMIT,
                capability::SWAPPINESS,
            ],
        ),
        // Without maxSwap it means nothing, says ECS.
        (
            json!({"linuxParameters": {"swappiness": 1}}),
            vec![capability::LINUX_PARAMETERS],
        ),
        (
            json!({"linuxParameters": {"devices": [{"hostPath": "/dev/fuse"}],
                "capabilities": {"add": ["CHOWN", "SYS_ADMIN"], "drop": ["NET_ADMIN"]}}}),
            vec![
                capability::LINUX_PARAMETERS,
                capability::DEVICES,
                "berth.capability.linux-capability.SYS_ADMIN",
            ],
        ),
        (
            json!({"dockerSecurityOptions": ["apparmor:x", "no-new-privileges"]}),
            vec![capability::APPARMOR],
        ),
        (
            json!({"dockerSecurityOptions": ["label:disable"]}),
            vec![capability::SELINUX],
        ),
        (
            json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]}),
            vec![capability::GPU],
        ),
        (
            json!({"resourceRequirements": [{"type": "NeuronDevice", "value": "1"},
                {"type": "InferenceAccelerator", "value": "eia"}]}),
            vec![
                "berth.capability.inference-accelerator",
                "berth.capability.neuron-device",
            ],
        ),
        (
            json!({"repositoryCredentials": {"credentialsParameter": "x"}}),
            vec![capability::REPOSITORY_CREDENTIALS],
        ),
    ] {
        let mut needed = needed;
        needed.sort_unstable();
        assert_eq!(capability::required_by(&with(&members)), needed, "{members}");
    }
    let volume = definition(|d| d["volumes"] = json!([{"name": "v", "dockerVolumeConfiguration": {"driver": "nfs"}}]));
    assert_eq!(capability::required_by(&volume), ["ecs.capability.docker-plugin.nfs"]);
    let of_host = definition(|d| {
        d["networkMode"] = json!("host");
        d["pidMode"] = json!("host");
        d["ipcMode"] = json!("task");
        d["volumes"] = json!([{"name": "own"}, {"name": "v", "host": {"sourcePath": "/srv"}}]);
    });
    let needed = [
        capability::HOST_NETWORK,
        capability::HOST_PATHS,
        capability::HOST_PID,
        capability::PID_IPC,
    ];
    assert_eq!(capability::required_by(&of_host), needed);
    let system = |family: &str| definition(|d| d["runtimePlatform"] = json!({"operatingSystemFamily": family}));
    assert!(capability::required_by(&system("LINUX")).is_empty());
    let windows = system("WINDOWS_SERVER_2022_CORE").validated().unwrap();
    let needed = ["berth.capability.os-family.WINDOWS_SERVER_2022_CORE"];
    assert_eq!(capability::required_by(&windows), needed);
    let mesh = definition(|d| d["proxyConfiguration"] = json!({"containerName": "envoy"}));
    assert_eq!(capability::required_by(&mesh), ["ecs.capability.aws-appmesh"]);
}
