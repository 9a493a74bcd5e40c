//! The bed itself: without it no other test means anything.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use berth_integration_tests::bed::TestBed;
use berth_integration_tests::command;
use berth_integration_tests::daemon::is_gone;
use berth_integration_tests::host::Host;
use berth_integration_tests::lane::Lane;
use berth_integration_tests::{Seen, http, wait_until};
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;

/// Set for the process that one test starts to be killed.
const DOOMED: &str = "BERTH_BED_DOOMED";

/// A web server that says "It works!" on the host's port.
fn serve(host: &Host) -> Result<String> {
    let port = format!("{PORT}");
    host.engine().run(
        "server",
        &json!({
            "Image": "my-demo",
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}},
        }),
    )
}

/// The exit code of a container on one host that asks the server on another for its page, and what it printed.
fn ask(from: &Host, to: &Host) -> Result<(i64, String)> {
    // Of packets that vanish TCP complains only after minutes.
    let line = format!("timeout 10 wget -q -O - http://{}:{PORT}/", to.address());
    let spec = json!({
        "Image": "busybox",
        "Cmd": ["sh", "-c", line],
        // Process 1 would be deaf to the signal that `timeout` sends.
        "HostConfig": {"Init": true},
    });
    let id = from.engine().run("client", &spec)?;
    let code = from.engine().wait_exit(&id)?;
    let said = from.engine().logs(&id)?;
    from.engine().remove(&id)?;
    Ok((code, said))
}

/// The server's page as it is seen from outside the bed.
fn page(host: &Host) -> Result<String> {
    let address = SocketAddr::from((host.address(), PORT));
    let answer = http::tcp(address, &http::request("GET", "/", &[], &[]))?;
    Ok(answer.text())
}

fn running(host: &Host, id: &str) -> Result<Seen<Value>> {
    let containers = host.engine().containers("")?;
    Ok(match containers.iter().find(|c| c.id() == id) {
        Some(container) if container.is_running() => Seen::Done(container.inspect["State"]["StartedAt"].clone()),
        _ => Seen::NotYet(format!("{} containers", containers.len())),
    })
}

#[test]
fn hosts_reach_each_other_until_one_is_cut_off_and_again_when_it_is_back() -> Result<()> {
    TestBed::with("bed-cut", &["a", "b"], |bed| {
        let (a, b) = (bed.host("a")?, bed.host("b")?);
        let server = serve(b)?;
        wait_until("the page is served", SOON, || {
            let page = page(b)?;
            Ok(Seen::when(page == "It works!\n", || page))
        })?;
        assert_eq!(ask(a, b)?, (0, "It works!\n".to_owned()));

        b.link().cut()?;
        let (code, said) = ask(a, b)?;
        assert!(code != 0, "a host that is cut off is reached: {said}");
        assert!(page(b).is_err(), "a host that is cut off serves its page");
        wait_until("the server runs on", SOON, || running(b, &server))?;

        b.link().mend()?;
        wait_until("the page is served again", SOON, || {
            let page = page(b)?;
            Ok(Seen::when(page == "It works!\n", || page))
        })?;
        assert_eq!(ask(a, b)?.0, 0);
        Ok(())
    })
}

#[test]
fn containers_outlive_a_docker_that_is_killed_or_restarted() -> Result<()> {
    TestBed::with("bed-docker", &["a"], |bed| {
        let a = bed.host("a")?;
        let server = serve(a)?;
        let started = wait_until("the server runs", SOON, || running(a, &server))?;
        a.engine().kill()?;
        assert!(a.engine().containers("").is_err(), "a killed Docker answers");
        a.engine().start_again()?;
        let after_kill = wait_until("the server is found", SOON, || running(a, &server))?;
        a.engine().restart()?;
        let after_restart = wait_until("the server is found", SOON, || running(a, &server))?;
        assert_eq!((&after_kill, &after_restart), (&started, &started));
        wait_until("the page is served", SOON, || {
            let page = page(a)?;
            Ok(Seen::when(page == "It works!\n", || page))
        })
    })
}

#[test]
fn a_frozen_docker_answers_when_it_is_resumed_and_not_before() -> Result<()> {
    TestBed::with("bed-frozen", &["a"], |bed| {
        bed.host("a")?.engine().daemon().freeze()?;
        let (answered, answer) = channel();
        let asking = Arc::clone(bed);
        let asker = thread::spawn(move || {
            let containers = asking.host("a").and_then(|a| a.engine().containers(""));
            answered.send(containers.map(|c| c.len()))
        });
        let early = answer.recv_timeout(Duration::from_secs(1));
        bed.host("a")?.engine().daemon().resume()?;
        ensure!(early.is_err(), "a frozen Docker answered: {early:?}");
        let late = answer.recv_timeout(SOON).context("no answer once resumed")?;
        assert_eq!(late?, 0);
        match asker.join() {
            Ok(sent) => sent.context("the answer was not awaited"),
            Err(_) => bail!("the asking thread panicked"),
        }
    })
}

#[test]
fn curl_and_the_shell_entry_point_behave_as_the_real_ones() -> Result<()> {
    TestBed::with("bed-images", &["a"], |bed| {
        let engine = bed.host("a")?.engine();
        let lines = [
            ("curl -v http://example.com/", 6),
            ("curl http://127.0.0.1:9/", 7),
            ("exit 42", 42),
        ];
        for (line, expected) in lines {
            let id = engine.run("line", &json!({"Image": "curl:latest", "Cmd": [line]}))?;
            assert_eq!(engine.wait_exit(&id)?, expected, "{line}: {}", engine.logs(&id)?);
            engine.remove(&id)?;
        }
        Ok(())
    })
}

#[test]
fn nothing_is_left_of_a_bed_whose_test_panics() -> Result<()> {
    let mut made = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        TestBed::with("bed-panic", &["a", "b"], |bed| {
            serve(bed.host("a")?)?;
            made = Some((bed.lane().number(), bed.lane().data_dir()));
            panic!("as a test would")
        })
    }));
    ensure!(panicked.is_err(), "the test did not panic");
    let (lane, data_dir) = made.context("no bed was made")?;
    assert_eq!(Lane::leftovers(lane, &data_dir)?, Vec::<String>::new());
    remove_logs(&data_dir)
}

/// Removes the logs that a failed test leaves, since these failed on purpose.
fn remove_logs(data_dir: &Path) -> Result<()> {
    let bed_dir = data_dir.parent().context("no parent")?;
    std::fs::remove_dir_all(bed_dir).with_context(|| format!("remove {}", bed_dir.display()))
}

#[test]
fn a_killed_runs_leftovers_are_swept_by_the_next() -> Result<()> {
    if std::env::var_os(DOOMED).is_some() {
        return die_with_a_bed();
    }
    let doomed = command::output(
        Command::new(std::env::current_exe().context("this test's path")?)
            .args([
                "--exact",
                "a_killed_runs_leftovers_are_swept_by_the_next",
                "--nocapture",
            ])
            .env(DOOMED, "1"),
        SOON,
    )?;
    ensure!(!doomed.status.success(), "the doomed run ended well");
    let said = String::from_utf8_lossy(&doomed.stdout);
    let (_, left) = said
        .split_once("LEFT ")
        .with_context(|| format!("the doomed run made no bed: {said}"))?;
    let mut left = left.split_whitespace();
    let data_dir = Path::new(left.next().context("no directory")?);
    let pids: Vec<Pid> = left.filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    // By what was its own: its lane may be another bed's by now.
    TestBed::with("bed-next", &[], |_| {
        let alive: Vec<_> = pids.iter().filter(|pid| !is_gone(**pid)).collect();
        ensure!(alive.is_empty(), "processes live on: {alive:?}");
        ensure!(!data_dir.exists(), "{} is still there", data_dir.display());
        remove_logs(data_dir)
    })
}

/// What the doomed process does: makes a bed with all that can be left of one, and is killed.
#[expect(clippy::print_stdout, reason = "the process that waits reads it")]
fn die_with_a_bed() -> Result<()> {
    let bed = TestBed::new("bed-doomed", &["a"])?;
    let server = serve(bed.host("a")?)?;
    wait_until("the server runs", SOON, || running(bed.host("a")?, &server))?;
    let left = Lane::leftovers(bed.lane().number(), &bed.lane().data_dir())?;
    for kind in ["socket", "process", "mount", "namespace", "link", "cgroup", "directory"] {
        ensure!(left.iter().any(|l| l.starts_with(kind)), "no {kind} in {left:?}");
    }
    let pids = left.iter().filter_map(|l| l.strip_prefix("process "));
    let pids: Vec<&str> = pids.collect();
    println!("LEFT {} {}", bed.lane().data_dir().display(), pids.join(" "));
    kill_process(getpid(), Signal::KILL).context("kill this process")
}
