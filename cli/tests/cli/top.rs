//! `berth top`.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use berth_proto::ecs::v1::Failure;
use berth_proto::v1::{
    Amount, ClusterUsage, ContainerUsage, DescribeUsageResponse, HostFigures, InstanceUsage, Percent, Used,
};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::berth::{berth, command};
use crate::fake::{Fake, instance};

const PATIENCE: Duration = Duration::from_secs(60);

fn percent(cpu: f64, memory: f64) -> Percent {
    Percent {
        cpu: Some(cpu),
        memory: Some(memory),
    }
}

fn with_usage() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    let host = instance("aaaa");
    let arn = host.container_instance_arn().to_owned();
    let mut state = fake.state();
    state.instances = vec![host];
    let used = Used {
        cpu_units: Some(300.4),
        memory_bytes: 48 << 20,
        network_received_bytes: 2048,
        network_sent_bytes: 10,
        block_written_bytes: 3 << 20,
        pids: 4,
        ..Default::default()
    };
    state.usage = Some(DescribeUsageResponse {
        cluster: Some(ClusterUsage {
            instances: 1,
            telling: 1,
            ..Default::default()
        }),
        instances: vec![InstanceUsage {
            container_instance_arn: arn.clone(),
            age_ms: 2500,
            host: Some(HostFigures {
                cpu_units: 512,
                cores: 2,
                memory_used_bytes: 1 << 30,
                memory_total_bytes: 4 << 30,
                load_1_minute: 0.5,
                disk_available_bytes: 25,
                disk_total_bytes: 100,
                ..Default::default()
            }),
            used: Some(used),
            reservation: Some(percent(50.0, 12.5)),
            containers: 2,
            ..Default::default()
        }],
        containers: vec![ContainerUsage {
            task_arn: "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef".to_owned(),
            name: "app".to_owned(),
            container_instance_arn: arn,
            reserved: Some(Amount::default()),
            used: Some(used),
            utilization: Some(percent(117.0, 75.0)),
            memory_limit_bytes: Some(64 << 20),
            ..Default::default()
        }],
        left_out: 0,
        ..Default::default()
    });
    drop(state);
    Ok(fake)
}

#[test]
fn hosts_are_shown_once_where_there_is_no_terminal() -> anyhow::Result<()> {
    let fake = with_usage()?;
    let ran = berth(&fake.url, &["top"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "INSTANCE  CPU  CPU %  LOAD  MEMORY  MEM %  TASKS CPU  TASKS MEM  CPU RES  MEM RES  DISK FREE  RUNNING  AGE\n\
         aaaa0000  512    25%  0.50  1.0GiB    25%        300    48.0MiB      50%      12%        25%        2   2s\n"
    );
    Ok(())
}

#[test]
fn containers_are_selected_and_sorted_by_the_scheduler() -> anyhow::Result<()> {
    let fake = with_usage()?;
    let arguments = [
        "top",
        "--containers",
        "--sort",
        "memory",
        "--instance",
        "aaaa",
        "--group",
        "service:web",
        "--limit",
        "5",
        "--once",
    ];
    let ran = berth(&fake.url, &arguments)?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let row = "0123456789abcdef01  app        aaaa0000  64.0MiB  300   117%  48.0MiB    75%  2.0KiB      10B    0B   3.0MiB     4   0s";
    assert_eq!(ran.stdout.lines().nth(1), Some(row), "{ran:?}");
    let state = fake.state();
    let [asked] = state.usage_calls.as_slice() else {
        anyhow::bail!("{:?}", state.usage_calls)
    };
    assert_eq!(asked.include, ["CONTAINERS"]);
    assert_eq!(
        (asked.sort_by(), asked.group(), asked.max_results()),
        ("MEMORY", "service:web", 5)
    );
    assert_eq!(asked.container_instances, [state.instances[0].container_instance_arn()]);
    Ok(())
}

#[test]
fn what_is_left_out_and_what_is_not_there_is_told() -> anyhow::Result<()> {
    let fake = with_usage()?;
    if let Some(usage) = &mut fake.state().usage {
        usage.left_out = 7;
        usage.failures.push(Failure {
            arn: Some("arn:x".to_owned()),
            reason: Some("NO_USAGE".to_owned()),
            detail: Some("Its agent is not connected.".to_owned()),
        });
    }
    let ran = berth(&fake.url, &["top", "--once"])?;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.ends_with("\n... and 7 more\n"), "{ran:?}");
    assert_eq!(ran.stderr, "error: \"arn:x\": NO_USAGE: Its agent is not connected.\n");
    Ok(())
}

#[test]
fn programs_get_the_answer_as_json() -> anyhow::Result<()> {
    let fake = with_usage()?;
    let ran = berth(&fake.url, &["top", "--containers", "--output", "json"])?;
    let json = ran.json()?;
    assert_eq!(json["containers"][0]["utilization"]["cpu"], 117.0, "{json}");
    assert_eq!(json["instances"][0]["host"]["memoryTotalBytes"], 4_u64 << 30, "{json}");
    assert_eq!(json["leftOut"], 0);
    Ok(())
}

/// How a run on a terminal ends.
enum Leave {
    Key,
    Interrupt,
}

/// Runs it on a terminal of its own, and leaves when something is drawn.
fn on_a_terminal(leave: &Leave) -> anyhow::Result<()> {
    let fake = with_usage()?;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = Winsize {
        ws_row: 10,
        ws_col: 60,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size)?;
    let name = ptsname(&master, Vec::new())?.into_string()?;
    let slave = File::options().read(true).write(true).open(name)?;
    let before = tcgetattr(&slave)?;
    let mut child = command(&fake.url, &["top", "--interval", "1s"])
        .env("TERM", "xterm")
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut terminal = File::from(master);
    let mut drawn = String::new();
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    // Three looks: the first, and two after a second each.
    while drawn.matches("q quit").count() < 3 {
        ensure!(Instant::now() < deadline, "{drawn:?}");
        let read = terminal.read(&mut buffer)?;
        drawn.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    ensure!(
        !tcgetattr(&slave)?.local_modes.contains(LocalModes::ECHO),
        "keys are echoed"
    );
    match leave {
        Leave::Key => terminal.write_all(b"q")?,
        Leave::Interrupt => {
            let pid = Pid::from_raw(child.id().cast_signed()).context("no process id")?;
            kill_process(pid, Signal::INT)?;
        }
    }
    assert_eq!(child.wait()?.code(), Some(0));
    while !drawn.ends_with("\x1b[?25h\x1b[?1049l") {
        ensure!(Instant::now() < deadline, "{drawn:?}");
        let read = terminal.read(&mut buffer)?;
        drawn.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    ensure!(drawn.starts_with("\x1b[?1049h\x1b[?25l"), "{drawn:?}");
    ensure!(drawn.contains("aaaa0000  512    25%"), "{drawn:?}");
    let after = tcgetattr(&slave)?;
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(
        format!("{:?}", after.special_codes),
        format!("{:?}", before.special_codes)
    );
    Ok(())
}

#[test]
fn a_terminal_is_left_as_it_was_by_a_key() -> anyhow::Result<()> {
    on_a_terminal(&Leave::Key)
}

#[test]
fn a_terminal_is_left_as_it_was_by_ctrl_c() -> anyhow::Result<()> {
    on_a_terminal(&Leave::Interrupt)
}
