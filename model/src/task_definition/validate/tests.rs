mod order;
mod settings;

use serde_json::{Value, json};

use super::*;
use crate::fault::FaultClass;
use crate::quantity::{CpuUnits, HostPort, MemoryMib, Protocol};

/// A definition with one container, after `edit` has changed its JSON.
fn definition(edit: impl FnOnce(&mut Value)) -> TaskDefinition {
    let mut value = json!({
        "family": "web",
        "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 64}],
    });
    edit(&mut value);
    serde_json::from_value(value).unwrap()
}

fn check(says: &str, edit: impl FnOnce(&mut Value)) {
    let fault = definition(edit).validated().unwrap_err();
    assert!(fault.message.contains(says), "expected '{says}' in '{}'", fault.message);
}

#[test]
fn a_plain_definition_passes() {
    assert!(definition(|_| ()).validated().is_ok());
}

#[test]
fn texts_are_those_of_ecs() {
    check("Container.image should not be null or empty.", |d| {
        d["containerDefinitions"][0]["image"] = json!("")
    });
    check("Container.name should not be null or empty.", |d| {
        d["containerDefinitions"][0]["name"] = json!("")
    });
    check("Container.name contains invalid characters.", |d| {
        d["containerDefinitions"][0]["name"] = json!("a b")
    });
    check("Container.image contains invalid characters.", |d| {
        d["containerDefinitions"][0]["image"] = json!("a b")
    });
    check(
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        |d| {
            d["containerDefinitions"][0]["memory"] = Value::Null;
        },
    );
    check("Invalid 'cpu' setting for task.", |d| d["cpu"] = json!("much"));
    check("Unknown volume 'data'.", |d| {
        d["containerDefinitions"][0]["mountPoints"] = json!([{"sourceVolume": "data", "containerPath": "/data"}]);
    });
    check("host.sourcePath should not be blank.", |d| {
        d["volumes"] = json!([{"name": "v", "host": {"sourcePath": " "}}])
    });
    check(
        "Container port 80 is used in more than one port mapping for container app",
        |d| {
            d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80}, {"containerPort": 80}]);
        },
    );
    check(
        "When networkMode=host, the host ports and container ports in port mappings must match.",
        |d| {
            d["networkMode"] = json!("host");
            d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80, "hostPort": 81}]);
        },
    );
    check("constraint.type 'distinctInstance' is not supported.", |d| {
        d["placementConstraints"] = json!([{"type": "distinctInstance"}]);
    });
    check(
        "runtimePlatform.operatingSystemFamily 'BEOS' should be one of [LINUX,",
        |d| {
            d["runtimePlatform"] = json!({"operatingSystemFamily": "BEOS"});
        },
    );
    check("Max allowed length is '65536' bytes.", |d| {
        d["containerDefinitions"][0]["environment"] = json!([{"name": "A", "value": "x".repeat(70_000)}]);
    });
}

#[test]
fn every_rule_names_field_and_value() {
    check("family ''", |d| d["family"] = json!(""));
    check("family 'a b'", |d| d["family"] = json!("a b"));
    check("networkMode 'mesh' should be one of", |d| {
        d["networkMode"] = json!("mesh")
    });
    check("'cpu' is -1", |d| d["containerDefinitions"][0]["cpu"] = json!(-1));
    check("'memory' is 3 MiB", |d| {
        d["containerDefinitions"][0]["memory"] = json!(3)
    });
    check(
        "'memory' is 64 MiB, it must not be less than 'memoryReservation', which is 65 MiB",
        |d| {
            d["containerDefinitions"][0]["memoryReservation"] = json!(65);
        },
    );
    check("'portMappings[0].containerPort' is 65536", |d| {
        d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 65536}]);
    });
    check("'portMappings[0].hostPort' is -1", |d| {
        d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80, "hostPort": -1}]);
    });
    check("'portMappings[0].protocol' is 'sctp'", |d| {
        d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80, "protocol": "sctp"}]);
    });
    check("'links[0]' is 'db'", |d| {
        d["containerDefinitions"][0]["links"] = json!(["db"])
    });
    check("'volumesFrom[0].sourceContainer' is 'db'", |d| {
        d["containerDefinitions"][0]["volumesFrom"] = json!([{"sourceContainer": "db"}]);
    });
    check("depends on itself", |d| {
        d["containerDefinitions"][0]["links"] = json!(["app"])
    });
    check("Container.name 'app' is used by more than one", |d| {
        d["containerDefinitions"] = json!([
            {"name": "app", "image": "a", "memory": 64},
            {"name": "app", "image": "b", "memory": 64},
        ]);
    });
    check("At least one must be essential", |d| {
        d["containerDefinitions"][0]["essential"] = json!(false)
    });
    check("'ulimits[0].name' is 'files'", |d| {
        d["containerDefinitions"][0]["ulimits"] = json!([{"name": "files", "softLimit": 1, "hardLimit": 1}]);
    });
    check("'environment[0].name' is 'A=B'", |d| {
        d["containerDefinitions"][0]["environment"] = json!([{"name": "A=B", "value": ""}]);
    });
    check("The containers reserve 64 MiB together, the task has 32 MiB.", |d| {
        d["memory"] = json!("32")
    });
    check("requiresCompatibilities 'MOON' should be one of", |d| {
        d["requiresCompatibilities"] = json!(["MOON"])
    });
}

#[test]
fn a_port_used_twice_is_an_invalid_parameter() {
    let fault = definition(|d| {
        d["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80}, {"containerPort": 80}]);
    })
    .validated()
    .unwrap_err();
    assert_eq!(fault.class, FaultClass::InvalidParameter);
}

#[test]
fn demand_prefers_the_soft_limit_and_counts_fixed_ports() {
    let definition = definition(|d| {
        d["containerDefinitions"] = json!([
            {"name": "a", "image": "a", "cpu": 100, "memory": 64, "memoryReservation": 32,
             "portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}]},
            {"name": "b", "image": "b", "cpu": 28, "memory": 64, "portMappings": [{"containerPort": 80, "hostPort": 0}]},
        ]);
    });
    let demand = definition.validated().unwrap().demand();
    assert_eq!(demand.cpu, CpuUnits(128));
    assert_eq!(demand.memory, MemoryMib(96));
    let ports: Vec<_> = demand.ports.iter().collect();
    assert_eq!(
        ports,
        [
            HostPort {
                protocol: Protocol::Tcp,
                port: 8080
            },
            HostPort {
                protocol: Protocol::Udp,
                port: 53
            },
        ]
    );
}

#[test]
fn task_level_figures_replace_the_sums() {
    let demand = definition(|d| {
        d["cpu"] = json!("0.5 vCPU");
        d["memory"] = json!("1 GB");
    })
    .validated()
    .unwrap()
    .demand();
    assert_eq!((demand.cpu, demand.memory), (CpuUnits(512), MemoryMib(1024)));
}

#[test]
fn members_that_nothing_reads_come_back_as_they_were() {
    let value = json!({
        "family": "web",
        "containerDefinitions": [{"name": "app", "image": "busybox", "cpu": 0, "memory": 64,
            "startTimeout": 7, "versionConsistency": "disabled",
            "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
            "restartPolicy": {"enabled": true, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}},
            {"name": "init", "image": "busybox", "cpu": 0, "memory": 64, "essential": false}],
        "proxyConfiguration": {"type": "APPMESH", "containerName": "envoy"},
    });
    let definition: TaskDefinition = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(definition.validated().unwrap()).unwrap(), value);
}

#[test]
fn what_an_agent_must_be_able_to_do_follows_from_the_content() {
    let needs = |edit: fn(&mut Value)| super::super::capability::required_by(&definition(edit));
    assert!(needs(|_| ()).is_empty());
    assert_eq!(
        needs(|d| d["containerDefinitions"][0]["dependsOn"] = json!([])),
        Vec::<String>::new()
    );
    assert_eq!(
        needs(|d| d["containerDefinitions"][0]["healthCheck"] = json!({"command": ["CMD", "true"]})),
        ["ecs.capability.container-health-check"]
    );
    assert_eq!(
        needs(|d| d["containerDefinitions"][0]["logConfiguration"] = json!({"logDriver": "gelf"})),
        ["com.amazonaws.ecs.capability.logging-driver.gelf"]
    );
    assert_eq!(
        needs(|d| {
            d["containerDefinitions"][0]["logConfiguration"] =
                json!({"logDriver": "gelf", "secretOptions": [{"name": "a", "valueFrom": "b"}]});
        }),
        [
            "com.amazonaws.ecs.capability.logging-driver.gelf",
            "ecs.capability.secrets.ssm.bootstrap.log-driver"
        ]
    );
}
