//! The logs of containers: `docker logs`.

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::stream::{Line, Lines};
use berth_daemon::chain;
use bollard::query_parameters::InspectContainerOptions;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::raw::get;
use super::{Call, Docker, INSPECT};

/// Which lines are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogWish {
    pub(crate) follow: bool,
    pub(crate) tail: Option<u32>,
    /// Only later ones, in nanoseconds since the epoch.
    pub(crate) after_ns: Option<i64>,
}

/// A log that is being read.
#[derive(Debug)]
pub(crate) struct Log {
    body: Incoming,
    lines: Lines,
    after_ns: i64,
    has_ended: bool,
}

impl Docker {
    /// Begins to read the log of a container.
    pub(crate) async fn log(&self, container: &str, wish: LogWish) -> Result<Log, Failure> {
        let options = None::<InspectContainerOptions>;
        let call = self.client.inspect_container(container, options);
        let seen = self.calls.within(Call::Inspect, INSPECT, call).await?;
        let terminal = seen.config.and_then(|config| config.tty).unwrap_or(false);
        let mut path = format!(
            "/containers/{container}/logs?stdout=1&stderr=1&timestamps=1&follow={}",
            u8::from(wish.follow)
        );
        if let Some(tail) = wish.tail {
            path.push_str(&format!("&tail={tail}"));
        }
        if let Some(after) = wish.after_ns {
            let (seconds, nanos) = (after.div_euclid(1_000_000_000), after.rem_euclid(1_000_000_000));
            path.push_str(&format!("&since={seconds}.{nanos:09}"));
        }
        Ok(Log {
            body: get(&self.socket, &self.calls, Call::ReadLog, &path).await?,
            lines: Lines::new(terminal),
            after_ns: wish.after_ns.unwrap_or(i64::MIN),
            has_ended: false,
        })
    }
}

impl Log {
    /// The next line; nothing where there are no more. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            let next = self.lines.next(self.has_ended);
            match next.map_err(|error| Failure::new(FailureKind::Lost, error))? {
                Some(line) if line.time_ns <= self.after_ns => continue,
                Some(line) => return Ok(Some(line)),
                None if self.has_ended => return Ok(None),
                None => {}
            }
            match self.body.frame().await {
                None => self.has_ended = true,
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.push(bytes);
                    }
                }
                Some(Err(error)) => return Err(Failure::new(FailureKind::Lost, chain(&error))),
            }
        }
    }
}
