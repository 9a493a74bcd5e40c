//! Every setting of a container, as it is seen from inside.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::container_of;
use serde_json::{Value, json};

use super::{OneHost, definition, shell, with};

/// Prints a line `name=value` for each thing that can be seen.
const LOOK: &str = r#"
echo "user=$(id -u):$(id -g)"
echo "directory=$(pwd)"
echo "hostname=$(hostname)"
echo "first=$(cat /proc/1/comm)"
touch /var/www/forbidden 2>/dev/null && echo "root=writable" || echo "root=readonly"
echo "dns=$(awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf)"
echo "search=$(awk '$1 == "search" { print $2 }' /etc/resolv.conf)"
echo "host=$(awk '$2 == "db.example" { print $1 }' /etc/hosts)"
echo "nofile=$(ulimit -Sn):$(ulimit -Hn)"
echo "privileges=$(awk '$1 == "NoNewPrivs:" { print $2 }' /proc/self/status)"
echo "bounding=$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)"
echo "shm=$(awk '$2 == "/dev/shm" { print $4 }' /proc/mounts)"
echo "tmpfs=$(awk '$2 == "/scratch" { print $3 "," $4 }' /proc/mounts)"
echo "device=$(test -c /dev/nothing && echo there)"
echo "somaxconn=$(cat /proc/sys/net/core/somaxconn)"
echo "msgmax=$(cat /proc/sys/kernel/msgmax)"
test -t 0 && echo "input=terminal" || echo "input=none"
"#;

/// Ends with 7 if the shell script is true.
fn probe(name: &str, is: &str, members: &Value) -> Value {
    let probe = shell(name, &format!("{is} && exit 7; exit 1"));
    with(with(probe, &json!({"essential": false})), members)
}

pub(super) fn every_setting_is_seen_from_inside_the_container(bed: &OneHost) -> Result<()> {
    let probes = [
        probe(
            "terminal",
            "test -t 0 && test -t 1",
            &json!({"pseudoTerminal": true, "interactive": true}),
        ),
        probe(
            "lonely",
            "test \"$(ls /sys/class/net)\" = lo",
            &json!({"disableNetworking": true}),
        ),
        probe(
            "first",
            "test $$ = 1",
            &json!({"linuxParameters": {"initProcessEnabled": false}}),
        ),
        probe("second", "test $$ != 1", &json!({})),
    ];
    let names: Vec<String> = probes
        .iter()
        .map(|p| p["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let after: Vec<Value> = names
        .iter()
        .map(|name| json!({"containerName": name, "condition": "COMPLETE"}))
        .collect();
    let looker = with(
        shell("looker", LOOK),
        &json!({
            "dependsOn": after,
            "user": "nobody:nogroup",
            "workingDirectory": "/var/www",
            "hostname": "looker.example",
            "readonlyRootFilesystem": true,
            "dnsServers": ["10.1.1.1"],
            "dnsSearchDomains": ["a.example"],
            "extraHosts": [{"hostname": "db.example", "ipAddress": "10.9.8.7"}],
            "dockerSecurityOptions": ["no-new-privileges"],
            "ulimits": [{"name": "nofile", "softLimit": 123, "hardLimit": 456}],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
                "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["read"]}],
                "sharedMemorySize": 8,
                "tmpfs": [{"containerPath": "/scratch", "size": 4, "mountOptions": ["noexec"]}],
            },
            "systemControls": [
                {"namespace": "net.core.somaxconn", "value": "321"},
                {"namespace": "kernel.msgmax", "value": "9000"},
            ],
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 20},
            "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        }),
    );
    let mut containers = vec![looker];
    containers.extend(probes);
    let (arn, task) = bed.ended("inside", Value::Array(containers))?;
    for name in names {
        assert_eq!(container_of(&task, &name)?["exitCode"], 7, "{name}: {task}");
    }
    let printed = bed.printed(&arn, "looker")?;
    let seen: BTreeMap<&str, &str> = printed.lines().filter_map(|line| line.split_once('=')).collect();
    for (name, value) in [
        ("user", "65534:65534"),
        ("directory", "/var/www"),
        ("hostname", "looker.example"),
        ("first", "docker-init"),
        ("root", "readonly"),
        ("dns", "10.1.1.1"),
        ("search", "a.example"),
        ("host", "10.9.8.7"),
        ("nofile", "123:456"),
        ("privileges", "1"),
        ("device", "there"),
        ("somaxconn", "321"),
        ("msgmax", "9000"),
        ("input", "none"),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in:\n{printed}");
    }
    for (name, parts) in [
        ("shm", vec!["size=8192k"]),
        ("tmpfs", vec!["tmpfs", "size=4096k", "noexec"]),
    ] {
        let options: Vec<&str> = seen.get(name).context("not printed")?.split(',').collect();
        ensure!(parts.iter().all(|part| options.contains(part)), "{name}: {options:?}");
    }
    let bounding = u64::from_str_radix(seen["bounding"], 16).context("the bounding set")?;
    let has = |capability: u32| bounding & (1 << capability) != 0;
    // Of linux/capability.h: NET_ADMIN is 12, MKNOD is 27, and CHOWN, which Docker gives everybody, is 0.
    assert_eq!((has(12), has(27), has(0)), (true, false, true), "{bounding:x}");
    let looker = bed.container(&arn, "looker")?;
    // In nanoseconds, and with ECS's defaults where the definition says nothing.
    let second = 1_000_000_000_u64;
    assert_eq!(
        looker.inspect["Config"]["Healthcheck"],
        json!({"Test": ["CMD-SHELL", "true"], "Interval": 20 * second, "Timeout": 5 * second, "Retries": 3})
    );
    let log = looker.host_config("LogConfig");
    assert_eq!(
        (&log["Type"], &log["Config"]["max-size"]),
        (&json!("json-file"), &json!("1m"))
    );
    Ok(())
}

pub(super) fn a_privileged_container_is_made_as_one(bed: &OneHost) -> Result<()> {
    let mighty = with(shell("mighty", "exit 0"), &json!({"privileged": true}));
    // It may fail to start: a test machine need not have all capabilities itself.
    let (arn, _) = bed.ended("mighty", json!([mighty]))?;
    assert_eq!(bed.container(&arn, "mighty")?.host_config("Privileged"), true);
    Ok(())
}

const SWAP_LIMIT: &str = "berth.capability.swap-limit";
const SWAPPINESS: &str = "berth.capability.swappiness";

/// Runs a container with these parameters and gives a member of what Docker was asked for; or sees that the task is
/// refused for the first attribute that the host lacks, and gives nothing.
fn made_or_refused(bed: &OneHost, parameters: &Value, needs: &[&str], member: &str) -> Result<Option<Value>> {
    let swapper = with(shell("swapper", "exit 0"), &json!({"linuxParameters": parameters}));
    let definition = definition("swap", json!([swapper]));
    let instance = bed.cluster.instance_of("a")?;
    let attributes = instance["attributes"].as_array().context("no attributes")?;
    let has = |name: &str| attributes.iter().any(|attribute| attribute["name"] == name);
    if let Some(lacking) = needs.iter().find(|name| !has(name)) {
        bed.refused_for(&definition, lacking)?;
        return Ok(None);
    }
    let arn = bed.cluster.run_one(&definition)?;
    bed.stopped(&arn)?;
    Ok(Some(bed.container(&arn, "swapper")?.host_config(member).clone()))
}

pub(super) fn swap_is_limited_where_the_host_can_and_refused_by_name_where_not(bed: &OneHost) -> Result<()> {
    let made = made_or_refused(bed, &json!({"maxSwap": 8}), &[SWAP_LIMIT], "MemorySwap")?;
    ensure!(made.as_ref().is_none_or(|made| *made == (32 + 8) << 20), "{made:?}");
    Ok(())
}

pub(super) fn swappiness_is_set_where_the_host_can_and_refused_by_name_where_not(bed: &OneHost) -> Result<()> {
    let parameters = json!({"maxSwap": 8, "swappiness": 10});
    let made = made_or_refused(bed, &parameters, &[SWAP_LIMIT, SWAPPINESS], "MemorySwappiness")?;
    ensure!(made.as_ref().is_none_or(|made| *made == 10), "{made:?}");
    Ok(())
}
