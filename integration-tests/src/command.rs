//! Commands that run to their end: output captured, a deadline on each, errors that show what the command said.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PAUSE: Duration = Duration::from_millis(5);

/// Runs a command and returns its output, whatever its exit code.
///
/// # Errors
///
/// If it cannot be started or is not done at the deadline; then it is killed.
pub fn output(command: &mut Command, deadline: Duration) -> Result<Output> {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let Some(status) = wait(&mut child, deadline)? else {
        child.kill().context("kill")?;
        child.wait().context("wait")?;
        let said = String::from_utf8_lossy(&join(stderr)).into_owned();
        bail!("not done after {deadline:?}: {line}\n{said}");
    };
    Ok(Output {
        status,
        stdout: join(stdout),
        stderr: join(stderr),
    })
}

/// Runs a command that must succeed and returns its standard output.
///
/// # Errors
///
/// As [`output`], and if the exit code is not 0.
pub fn run(command: &mut Command, deadline: Duration) -> Result<String> {
    let output = output(command, deadline)?;
    if !output.status.success() {
        bail!(
            "{}: {command:?}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {command:?}"))
}

/// Waits for a child's end; `None` at the deadline.
///
/// # Errors
///
/// If the child cannot be waited for.
pub fn wait(child: &mut Child, deadline: Duration) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("wait for a child")? {
            return Ok(Some(status));
        }
        if start.elapsed() >= deadline {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            pipe.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

fn join(reader: thread::JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_at_the_deadline() {
        let start = Instant::now();
        let error = run(
            Command::new("sh").args(["-c", "echo stuck >&2; exec sleep 60"]),
            Duration::from_millis(300),
        )
        .unwrap_err()
        .to_string();
        assert!(start.elapsed() < Duration::from_secs(50));
        assert!(error.contains("not done after 300ms"), "{error}");
        assert!(error.contains("stuck"), "{error}");
    }

    #[test]
    fn a_failing_command_shows_what_it_said() {
        let error = run(
            Command::new("sh").args(["-c", "echo why >&2; exit 3"]),
            Duration::from_secs(10),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("why"), "{error}");
    }
}
