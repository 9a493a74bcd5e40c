//! Commands, and waiting for what they bring about.

use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PAUSE: Duration = Duration::from_millis(250);

/// Runs a command that must succeed; what it prints.
///
/// # Errors
/// It cannot be run or fails; with what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        bail!("{status}: {command:?}\n{said}{}", String::from_utf8_lossy(&stderr));
    }
    Ok(said)
}

/// Runs a line of words that must succeed; what it prints.
///
/// # Errors
/// As those of [`run`].
pub fn line(words: &str) -> Result<String> {
    let mut words = words.split_whitespace();
    run(Command::new(words.next().unwrap_or_default()).args(words))
}

/// Looks until `look` finds it.
///
/// # Errors
/// The time is over; with what was seen last.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let seen = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > within {
            bail!("waited {within:?} until {what}; last seen: {seen}");
        }
        sleep(PAUSE);
    }
}
