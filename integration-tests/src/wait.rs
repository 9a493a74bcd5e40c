//! Waiting for a state, with a deadline. Tests wait here and nowhere else: no test sleeps and hopes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(50);

/// What one look at the world showed.
#[derive(Debug)]
pub enum Seen<T> {
    /// The awaited state, with what it brought.
    Done(T),
    /// Something else, in words for the error at the deadline.
    NotYet(String),
}

impl Seen<()> {
    /// `Done` where the condition holds, otherwise what was seen instead.
    pub fn when(holds: bool, seen: impl FnOnce() -> String) -> Self {
        if holds { Self::Done(()) } else { Self::NotYet(seen()) }
    }
}

/// Probes until the state is there. A probe that fails counts as "not yet", with its error as what was seen.
///
/// # Errors
///
/// At the deadline, with what was awaited and what the last probe saw.
pub fn wait_until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<Seen<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let seen = match probe() {
            Ok(Seen::Done(value)) => return Ok(value),
            Ok(Seen::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() >= deadline {
            bail!("waited {deadline:?} until {what}; last saw: {seen}");
        }
        sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_tells_what_was_awaited_and_seen() {
        let mut looks = 0;
        let error = wait_until("the cow jumps", Duration::from_millis(120), || {
            looks += 1;
            Ok(Seen::when(false, || format!("a cow, {looks} times")))
        })
        .unwrap_err()
        .to_string();
        assert!(looks > 1, "one probe only");
        assert_eq!(
            error,
            format!("waited 120ms until the cow jumps; last saw: a cow, {looks} times")
        );
    }

    #[test]
    fn a_failing_probe_is_tried_again() {
        let mut looks = 0;
        let value = wait_until("it works", Duration::from_secs(5), || {
            looks += 1;
            anyhow::ensure!(looks > 2, "broken");
            Ok(Seen::Done(looks))
        });
        assert_eq!(value.unwrap(), 3);
    }
}
