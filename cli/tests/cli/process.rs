//! `berth` as a process: exit statuses, pipes, signals, colours, deadlines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::berth::{berth, command};
use crate::fake::{Fake, task};

#[test]
fn a_scheduler_that_is_not_there_is_named() -> anyhow::Result<()> {
    // Of the ports that are given to whoever asks for any, another test might have it by now.
    let address = "127.0.0.1:1";
    let ran = berth(&format!("http://{address}"), &["ps"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        format!(
            "error: cannot reach the scheduler at http://{address}: Connection refused (os error 111)\n\
             hint: start the scheduler, or name another with --scheduler or BERTH_SCHEDULER; `berth dev` \
             starts one on this machine\n"
        )
    );
    Ok(())
}

#[test]
fn something_else_than_a_scheduler_is_told_as_such() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone = await_request(&mut stream).and_then(|()| {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
                // Until the client has seen enough.
                stream.read_to_end(&mut Vec::new())
            });
        }
    });
    let ran = berth(&url, &["ps"])?;
    assert_eq!(ran.code, Some(1));
    let hint = "\nhint: what listens there does not speak as a scheduler does; the URL of one that speaks TLS begins with https://\n";
    assert!(ran.stderr.ends_with(hint), "{ran:?}");
    Ok(())
}

/// Reads an HTTP/2 connection up to the headers of its first request.
fn await_request(stream: &mut TcpStream) -> std::io::Result<()> {
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()])?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [high, middle, low, kind, ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        stream.take(length.into()).read_to_end(&mut Vec::new())?;
        if kind == HEADERS {
            return Ok(());
        }
    }
}

#[test]
fn a_call_has_a_deadline() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().silent = true;
    let ran = berth(&fake.url, &["ps", "--timeout", "1s"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        format!(
            "error: ListTasks was not answered by {} within 1 s\n\
             hint: the call may still take effect; --timeout sets how long to wait\n",
            fake.url
        )
    );
    Ok(())
}

#[test]
fn wrong_usage_is_told_from_failure() -> anyhow::Result<()> {
    for arguments in [
        &["nonsense"][..],
        &["run"],
        &["run", "web", "--count", "0"],
        &["ps", "--timeout", "soon"],
        &["ps", "--scheduler", "ftp://a:1"],
    ] {
        let ran = berth("http://127.0.0.1:1", arguments)?;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
    }
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_panic() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let mut child = command(&fake.url, &["completions", "bash"]).spawn()?;
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().context("no standard error")?;
    pipe.read_to_string(&mut stderr)?;
    assert_eq!(child.wait()?.code(), Some(141));
    assert_eq!(stderr, "");
    Ok(())
}

#[test]
fn ctrl_c_ends_the_wait_and_not_the_tasks() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().stuck = true;
    let mut child = command(&fake.url, &["run", "web", "--wait"]).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?).lines();
    assert_eq!(
        stderr.next().transpose()?.as_deref(),
        Some("waiting for RUNNING: 1 PENDING")
    );
    let pid = Pid::from_raw(child.id().cast_signed()).context("no process id")?;
    kill_process(pid, Signal::INT)?;
    assert_eq!(
        stderr.next().transpose()?.as_deref(),
        Some("interrupted: no longer waiting, the tasks go on; `berth ps` shows them")
    );
    drop(stderr);
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8(output.stdout)?;
    assert!(stdout.contains("000000000000  web:1       PENDING"), "{stdout}");
    assert_eq!(fake.state().tasks[0].desired_status(), "RUNNING");
    Ok(())
}

#[test]
fn colours_are_only_where_they_are_wanted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().tasks = vec![task("aaaa", "RUNNING")];
    let green = "\x1b[32mRUNNING\x1b[0m";
    for (color, no_color, coloured) in [
        ("auto", false, false),
        ("always", false, true),
        ("always", true, true),
        ("never", false, false),
    ] {
        let mut command = command(&fake.url, &["ps", "--color", color]);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        let stdout = String::from_utf8(output.stdout)?;
        assert_eq!(stdout.contains(green), coloured, "{color} {no_color}: {stdout:?}");
        assert_eq!(stdout.contains('\x1b'), coloured, "{color} {no_color}: {stdout:?}");
    }
    Ok(())
}

#[test]
fn each_shell_gets_its_completions() -> anyhow::Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let ran = berth("http://127.0.0.1:1", &["completions", shell])?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("task-definitions"), "{shell}");
    }
    Ok(())
}

#[test]
fn every_command_explains_itself_with_an_example() -> anyhow::Result<()> {
    for command in [
        &["run"][..],
        &["ps"],
        &["stop"],
        &["top"],
        &["drain"],
        &["instances"],
        &["instances", "drain"],
        &["clusters", "create"],
        &["task-definitions", "register"],
        &["dev"],
        &["completions"],
    ] {
        let ran = berth("http://127.0.0.1:1", &[command, &["--help"]].concat())?;
        let example = format!("\n  berth {}", command.join(" "));
        assert!(ran.stdout.contains(&example), "{command:?}: {}", ran.stdout);
    }
    Ok(())
}
