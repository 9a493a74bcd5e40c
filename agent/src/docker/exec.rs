//! Commands in containers: `docker exec`.

use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::stream::{Frames, Source};
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::raw::{Hijacked, hijack};
use super::{Call, Docker, QUICK};

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// A terminal can be given its size only when the command has begun, which Docker does not tell.
const RESIZES: u32 = 10;
const RESIZE_PAUSE: Duration = Duration::from_millis(50);
/// How long the exit code of a command may take to be known, whose output has ended.
const ENDINGS: u32 = 50;
const ENDING_PAUSE: Duration = Duration::from_millis(100);

/// A command that runs in a container.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Docker's id of it.
    pub(crate) id: String,
    pub(crate) output: ExecOutput,
    pub(crate) input: ExecInput,
}

/// What it writes.
#[derive(Debug)]
pub(crate) struct ExecOutput {
    stream: ReadHalf<Hijacked>,
    frames: Frames,
    buffer: Vec<u8>,
}

/// What it reads.
#[derive(Debug)]
pub(crate) struct ExecInput {
    stream: WriteHalf<Hijacked>,
}

impl Docker {
    /// Runs a command in a running container; with `terminal` it has one.
    pub(crate) async fn exec(
        &self,
        container: &str,
        words: Vec<String>,
        terminal: bool,
        input: bool,
    ) -> Result<Exec, Failure> {
        let options = CreateExecOptions {
            attach_stdin: Some(input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal),
            cmd: Some(words),
            // As `docker exec -t` does it.
            env: terminal.then(|| vec!["TERM=xterm".to_owned()]),
            ..CreateExecOptions::default()
        };
        let call = self.client.create_exec(container, options);
        let created = self.calls.within(Call::CreateExec, QUICK, call).await?;
        let body = serde_json::json!({"Detach": false, "Tty": terminal});
        let path = format!("/exec/{}/start", created.id);
        let stream = hijack(&self.socket, &self.calls, Call::StartExec, &path, body.to_string()).await?;
        let (stream, input) = tokio::io::split(stream);
        Ok(Exec {
            id: created.id,
            output: ExecOutput {
                stream,
                frames: Frames::new(terminal),
                buffer: vec![0; CHUNK],
            },
            input: ExecInput { stream: input },
        })
    }

    /// Gives the command's terminal another size, in characters.
    pub(crate) async fn resize_exec(&self, id: &str, rows: u32, columns: u32) -> Result<(), Failure> {
        let options = ResizeExecOptions {
            height: u16::try_from(rows).unwrap_or(u16::MAX),
            width: u16::try_from(columns).unwrap_or(u16::MAX),
        };
        let mut attempts = 1..=RESIZES;
        loop {
            let call = self.client.resize_exec(id, options);
            let resized = self.calls.within(Call::ResizeExec, QUICK, call).await;
            match (resized, attempts.next()) {
                (Err(_), Some(_)) => tokio::time::sleep(RESIZE_PAUSE).await,
                (done, _) => return done,
            }
        }
    }

    /// How a command ended whose output has: its exit code.
    pub(crate) async fn exec_ending(&self, id: &str) -> Result<i32, Failure> {
        for _ in 0..ENDINGS {
            let call = self.client.inspect_exec(id);
            let seen = self.calls.within(Call::InspectExec, QUICK, call).await?;
            if let (false, Some(code)) = (seen.running.unwrap_or(true), seen.exit_code) {
                return Ok(i32::try_from(code).unwrap_or(-1));
            }
            tokio::time::sleep(ENDING_PAUSE).await;
        }
        Err(Failure::new(
            FailureKind::TimedOut,
            "its output has ended, and Docker does not say that it has",
        ))
    }

    /// Hangs up on a command that still runs: it is sent SIGHUP, as when a terminal goes away. Docker has no call for that, so
    /// that a shell of the container does it, and where there is none nobody does.
    pub(crate) async fn hang_up(&self, container: &str, id: &str) -> Result<(), Failure> {
        let call = self.client.inspect_exec(id);
        let seen = self.calls.within(Call::InspectExec, QUICK, call).await?;
        let Some(pid) = seen.pid.filter(|pid| *pid > 0 && seen.running == Some(true)) else {
            return Ok(());
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        let inside = status.ok().as_deref().and_then(pid_inside).ok_or_else(|| {
            Failure::new(
                FailureKind::Refused,
                format!("process {pid} of the host goes on: its number in the container is not to be seen"),
            )
        })?;
        let options = CreateExecOptions {
            cmd: Some(vec!["sh".to_owned(), "-c".to_owned(), format!("kill -HUP {inside}")]),
            ..CreateExecOptions::default()
        };
        let call = self.client.create_exec(container, options);
        let created = self.calls.within(Call::CreateExec, QUICK, call).await?;
        let detached = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        let call = self.client.start_exec(&created.id, Some(detached));
        self.calls.within(Call::StartExec, QUICK, call).await.map(|_| ())
    }
}

impl ExecOutput {
    /// What it writes next, and where to; nothing where it has ended. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<(Source, Vec<u8>)>, Failure> {
        loop {
            let framed = self.frames.next();
            if let Some(found) = framed.map_err(|error| Failure::new(FailureKind::Lost, error))? {
                return Ok(Some(found));
            }
            match self.stream.read(&mut self.buffer).await {
                Ok(0) => return Ok(None),
                Ok(length) => self.frames.push(&self.buffer[..length]),
                Err(error) => return Err(Failure::new(FailureKind::Lost, error.to_string())),
            }
        }
    }
}

impl ExecInput {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Nothing more comes.
    pub(crate) async fn end(&mut self) -> std::io::Result<()> {
        self.stream.shutdown().await
    }
}

/// The number that a process has in its innermost namespace, from its `/proc/PID/status` (proc(5), `NSpid`).
fn pid_inside(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::pid_inside;

    #[test]
    fn the_number_of_a_process_inside_is_its_last() {
        assert_eq!(pid_inside("Name:\tsh\nNSpid:\t4711\t12\nThreads:\t1\n"), Some(12));
        assert_eq!(pid_inside("NSpid:\t4711\n"), Some(4711));
        assert_eq!(pid_inside("Name:\tsh\n"), None);
    }
}
