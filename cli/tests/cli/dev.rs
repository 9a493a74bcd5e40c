//! `berth dev`, with shell scripts for daemons and the fake where the scheduler would listen.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use berth_proto::ecs::v1::ContainerInstance;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::berth::Ran;
use crate::fake::{Fake, instance, task};

/// A daemon that runs until it is asked to end, and leaves word of both.
const OBEDIENT: &str = r#"
trap 'echo "$NAME" >> "$PLACE/ended"; exit 0' TERM
echo "$@" > "$PLACE/$NAME.starting"
mv "$PLACE/$NAME.starting" "$PLACE/$NAME.started"
while :; do sleep 0.02; done
"#;
const ALL_ENDED: &str = "agent\ngateway\nscheduler\n";
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory with `berth`, two daemons beside it and a socket where something answers as Docker does.
struct Place {
    directory: TempDir,
    listen: String,
}

impl Place {
    fn new(scheduler: &str, agent: &str) -> anyhow::Result<Self> {
        // Beside the program, so that it can be linked.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::hard_link(env!("CARGO_BIN_EXE_berth"), directory.path().join("berth"))?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let place = Self { directory, listen };
        fs::create_dir(place.path("tmp"))?;
        place.daemon("scheduler", scheduler)?;
        place.daemon("agent", agent)?;
        place.daemon("gateway", OBEDIENT)?;
        let docker = UnixListener::bind(place.path("docker.sock"))?;
        std::thread::spawn(move || {
            for mut stream in docker.incoming().flatten() {
                let mut request = [0; 10];
                let read = stream.read_exact(&mut request);
                let _gone = read.and_then(|()| stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nOK"));
            }
        });
        Ok(place)
    }

    fn daemon(&self, name: &str, script: &str) -> anyhow::Result<()> {
        let path = self.path(&format!("berth-{name}"));
        let place = self.directory.path().display();
        let script = format!("#!/bin/sh\nNAME={name}\nPLACE='{place}'\n{script}");
        // Written by a process of its own: what this one has open for writing another test may inherit with a fork, and
        // until that has run its own program the kernel executes the file for nobody.
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()?;
        writer
            .stdin
            .take()
            .context("no standard input")?
            .write_all(script.as_bytes())?;
        anyhow::ensure!(writer.wait()?.success(), "{} is not written", path.display());
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `berth dev`, with its state in `state` unless that is to be ephemeral.
    fn dev(&self, more: &[&str]) -> Command {
        let mut command = Command::new(self.path("berth"));
        command
            .args(["dev", "--listen", &self.listen, "--docker"])
            .arg(format!("unix://{}", self.path("docker.sock").display()))
            .args(more)
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", self.path("tmp"))
            .env_remove("BERTH_CLUSTER")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !more.contains(&"--ephemeral") {
            command.arg("--data-dir").arg(self.path("state"));
        }
        command
    }

    /// Runs `berth dev` to its end.
    fn ran(&self, more: &[&str]) -> anyhow::Result<Ran> {
        Ran::try_from(self.dev(more).output()?)
    }

    /// Starts it, plays the scheduler and lets the host join the cluster.
    fn ready(&self, more: &[&str]) -> anyhow::Result<Ready> {
        self.ready_with(more, instance("aaaa"))
    }

    fn ready_with(&self, more: &[&str], host: ContainerInstance) -> anyhow::Result<Ready> {
        let mut child = self.dev(more).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut ready = Ready {
            fake: None,
            lines: BufReader::new(stdout).lines(),
            child,
        };
        await_file(&self.path("scheduler.started"))?;
        let fake = Fake::serve(TcpListener::bind(&self.listen)?)?;
        await_file(&self.path("agent.started"))?;
        fake.state().instances.push(host);
        ready.fake = Some(fake);
        ready.until("ready in ")?;
        if !more.contains(&"--no-gateway") && self.path("berth-gateway").exists() {
            await_file(&self.path("gateway.started"))?;
        }
        Ok(ready)
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// A `berth dev` that said it is ready.
struct Ready {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    fake: Option<Fake>,
}

impl Ready {
    fn fake(&self) -> anyhow::Result<&Fake> {
        self.fake.as_ref().context("no scheduler")
    }

    fn until(&mut self, beginning: &str) -> anyhow::Result<()> {
        for line in &mut self.lines {
            if line?.starts_with(beginning) {
                return Ok(());
            }
        }
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr)?;
        }
        bail!("it ended before it said \"{beginning}\": {stderr}")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Its exit status and the rest of what it said.
    fn end(mut self) -> anyhow::Result<(Option<i32>, Vec<String>, String)> {
        let lines = self.lines.collect::<Result<_, _>>()?;
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().context("no standard error")?;
        pipe.read_to_string(&mut stderr)?;
        Ok((self.child.wait()?.code(), lines, stderr))
    }
}

fn await_file(path: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !path.exists() {
        if Instant::now() > deadline {
            bail!("{} was not written", path.display());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn the_daemons_get_their_flags_and_end_behind_the_tasks() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let ready = place.ready(&["--attribute", "zone=a"])?;
    ready.fake()?.state().tasks = vec![task("aaaa", "RUNNING"), task("bbbb", "RUNNING")];
    ready.signal(Signal::INT)?;
    let fake_state = |ready: &Ready| -> anyhow::Result<Vec<String>> {
        let state = ready.fake()?.state();
        Ok(state.tasks.iter().map(|task| task.last_status().to_owned()).collect())
    };
    let deadline = Instant::now() + DEADLINE;
    while fake_state(&ready)? != ["STOPPED", "STOPPED"] {
        anyhow::ensure!(Instant::now() < deadline, "the tasks were not stopped");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (code, lines, stderr) = ready.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    let last: Vec<_> = lines.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(
        last,
        [
            "stopping 2 tasks",
            "stopping the agent",
            "stopping the gateway",
            "stopping the scheduler"
        ]
    );
    assert_eq!(place.read("ended")?, ALL_ENDED);

    let listen = &place.listen;
    let state = place.path("state");
    let state = state.display();
    let scheduler = format!("--listen {listen} --allow-plaintext --data-dir {state}/scheduler\n");
    assert_eq!(place.read("scheduler.started")?, scheduler);
    let docker = place.path("docker.sock");
    let agent = format!(
        "--scheduler http://{listen} --cluster default --state-dir {state}/agent --docker unix://{} --config /dev/null \
         --ecs-config /dev/null --endpoint-address off --disable-privileged=false \
         --allow-host-namespace=network,pid,ipc --allow-host-path=/,/var/run/docker.sock --allow-device=/dev \
         --allow-capability=ALL --ignore-task-roles=true --disk-low-percent 97 --disk-clean-percent 98 \
         --disk-refuse-percent 99 --attribute zone=a\n",
        docker.display()
    );
    assert_eq!(place.read("agent.started")?, agent);
    let gateway = format!(
        "--scheduler http://{listen} --cluster default --state-dir {state}/gateway --listen-address 127.0.0.1\n"
    );
    assert_eq!(place.read("gateway.started")?, gateway);
    Ok(())
}

#[test]
fn services_get_no_new_tasks_at_the_end_and_do_again_at_the_next_start() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let mut ready = place.ready(&[])?;
    let fake = ready.fake.take().context("no scheduler")?;
    ready.signal(Signal::INT)?;
    let (code, _, stderr) = ready.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fake.state().instances[0].status(), "DRAINING");

    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let mut drained = instance("aaaa");
    drained.status = Some("DRAINING".to_owned());
    let mut again = place.ready_with(&["--keep"], drained)?;
    let fake = again.fake.take().context("no scheduler")?;
    assert_eq!(fake.state().instances[0].status(), "ACTIVE");
    again.signal(Signal::INT)?;
    let (code, _, stderr) = again.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fake.state().instances[0].status(), "ACTIVE", "tasks go on");
    Ok(())
}

#[test]
fn it_goes_without_a_gateway_where_there_is_none_or_none_is_wanted() -> anyhow::Result<()> {
    for unwanted in [false, true] {
        let place = Place::new(OBEDIENT, OBEDIENT)?;
        if !unwanted {
            fs::remove_file(place.path("berth-gateway"))?;
        }
        let more: &[&str] = if unwanted { &["--no-gateway"] } else { &[] };
        let ready = place.ready(more)?;
        ready.signal(Signal::INT)?;
        let (code, _, stderr) = ready.end()?;
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(place.read("ended")?, "agent\nscheduler\n");
    }
    Ok(())
}

#[test]
fn tasks_can_be_left_running() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let mut ready = place.ready(&["--keep"])?;
    let fake = ready.fake.take().context("no scheduler")?;
    fake.state().tasks = vec![task("aaaa", "RUNNING")];
    ready.signal(Signal::TERM)?;
    let (code, _, stderr) = ready.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fake.state().tasks[0].desired_status(), "RUNNING");
    assert_eq!(place.read("ended")?, ALL_ENDED);
    Ok(())
}

#[test]
fn an_ephemeral_state_is_gone_at_the_end() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let ready = place.ready(&["--ephemeral"])?;
    let temporary = || fs::read_dir(place.path("tmp")).map(Iterator::count);
    assert_eq!(temporary()?, 1);
    let agent = place.read("agent.started")?;
    assert!(agent.ends_with(" --stopped-container-retention 0\n"), "{agent}");
    ready.signal(Signal::INT)?;
    let (code, _, stderr) = ready.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(temporary()?, 0);
    Ok(())
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_tasks() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let mut ready = place.ready(&[])?;
    {
        let mut state = ready.fake()?.state();
        state.tasks = vec![task("aaaa", "RUNNING")];
        state.stuck = true;
    }
    ready.signal(Signal::INT)?;
    ready.until("stopping 1 tasks")?;
    ready.signal(Signal::INT)?;
    let (code, _, stderr) = ready.end()?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("error: no longer waiting for the tasks"), "{stderr}");
    assert_eq!(place.read("ended")?, ALL_ENDED);
    Ok(())
}

#[test]
fn a_daemon_that_does_not_start_is_told_with_the_end_of_its_log() -> anyhow::Result<()> {
    let place = Place::new("echo 'the journal is broken'\nexit 3", OBEDIENT)?;
    let ran = place.ran(&[])?;
    assert_eq!(ran.code, Some(1));
    let log = place.path("state/logs/scheduler.log");
    assert_eq!(
        ran.stderr,
        format!(
            "error: the scheduler did not start: it ended with exit status: 3; the last lines of {}:\n  \
             the journal is broken\n",
            log.display()
        )
    );
    assert!(!place.path("agent.started").exists());
    Ok(())
}

#[test]
fn a_daemon_that_dies_ends_the_rest() -> anyhow::Result<()> {
    let mortal = r#"
echo "$@" > "$PLACE/$NAME.started"
until [ -e "$PLACE/die" ]; do sleep 0.02; done
echo 'the disk is full'
exit 4"#;
    let place = Place::new(OBEDIENT, mortal)?;
    let ready = place.ready(&[])?;
    fs::write(place.path("die"), "")?;
    let (code, lines, stderr) = ready.end()?;
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: the agent ended with exit status: 4 while it was needed")
            && stderr.ends_with(":\n  the disk is full\n"),
        "{stderr}"
    );
    assert_eq!(lines.last().map(String::as_str), Some("stopping the scheduler"));
    assert_eq!(place.read("ended")?, "gateway\nscheduler\n");
    Ok(())
}

#[test]
fn nothing_is_started_where_something_is_missing() -> anyhow::Result<()> {
    let place = Place::new(OBEDIENT, OBEDIENT)?;
    let taken = TcpListener::bind(&place.listen)?;
    let ran = place.ran(&[])?;
    assert_eq!(ran.code, Some(1));
    let beginning = format!("error: {} is taken, perhaps by another scheduler", place.listen);
    assert!(ran.stderr.starts_with(&beginning), "{ran:?}");
    drop(taken);

    fs::remove_file(place.path("docker.sock"))?;
    let ran = place.ran(&[])?;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("error: Docker does not answer at "), "{ran:?}");

    fs::remove_file(place.path("berth-agent"))?;
    let ran = place.ran(&[])?;
    assert!(ran.stderr.starts_with("error: berth-agent is neither in "), "{ran:?}");
    assert!(!place.path("scheduler.started").exists());
    Ok(())
}
