//! What is counted of requests at the port.

use std::time::Instant;

use axum::response::Response;
use berth_daemon::metrics::{Counter, Histogram, LATENCY, Page};

/// Codes of gRPC that are the scheduler's fault or that of what it needs: UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS.
const FAILURES: [&[u8]; 4] = [b"2", b"13", b"14", b"15"];

/// How requests went since the start.
#[derive(Debug, Default)]
pub struct Requests {
    grpc: Mouth,
    json: Mouth,
}

/// Of one protocol.
#[derive(Debug)]
struct Mouth {
    duration: Histogram,
    outcomes: [Counter; 3],
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    /// The caller's doing.
    Refused,
    /// The scheduler's, or that of what it needs.
    Failed,
}

impl Default for Mouth {
    fn default() -> Self {
        Self {
            duration: Histogram::new(LATENCY),
            outcomes: Default::default(),
        }
    }
}

impl Outcome {
    const ALL: [(Self, &'static str); 3] = [(Self::Ok, "ok"), (Self::Refused, "refused"), (Self::Failed, "failed")];

    /// By the head of the answer: what a stream comes to later is not in it.
    fn of<B>(answer: &http::Response<B>) -> Self {
        let code = answer.headers().get("grpc-status").map(|code| code.as_bytes());
        match code {
            Some(b"0") | None if answer.status().is_success() => Self::Ok,
            Some(code) if FAILURES.contains(&code) => Self::Failed,
            Some(_) => Self::Refused,
            None if answer.status().is_server_error() => Self::Failed,
            None => Self::Refused,
        }
    }
}

impl Requests {
    /// A request that came at `begun` was answered.
    pub(super) fn answered(&self, grpc: bool, begun: Instant, answer: &Response) {
        let mouth = if grpc { &self.grpc } else { &self.json };
        mouth.duration.observe(begun.elapsed());
        let outcome = Outcome::of(answer);
        for ((of, _), counter) in Outcome::ALL.iter().zip(&mouth.outcomes) {
            if *of == outcome {
                counter.increment();
            }
        }
    }

    pub(crate) fn tell(&self, page: &mut Page) {
        let mouths = [("grpc", &self.grpc), ("json", &self.json)];
        let mut durations = page.histogram(
            "berth_request_duration_seconds",
            "Time from a request to the head of its answer, by protocol.",
        );
        for (protocol, mouth) in mouths {
            durations.spread(&[("protocol", protocol)], &mouth.duration);
        }
        let mut outcomes = page.counter(
            "berth_requests_total",
            "Requests that were answered: ok, refused (by the caller's doing) or failed (by the scheduler's).",
        );
        for (protocol, mouth) in mouths {
            for ((_, outcome), counter) in Outcome::ALL.iter().zip(&mouth.outcomes) {
                outcomes.count(&[("protocol", protocol), ("outcome", outcome)], counter.get());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_the_callers_doing_or_the_schedulers() {
        let of = |status: u16, grpc: Option<&str>| {
            let mut answer = http::Response::builder().status(status);
            if let Some(code) = grpc {
                answer = answer.header("grpc-status", code);
            }
            Outcome::of(&answer.body(()).unwrap())
        };
        assert_eq!(of(200, None), Outcome::Ok);
        assert_eq!(of(200, Some("0")), Outcome::Ok);
        assert_eq!(of(200, Some("3")), Outcome::Refused);
        assert_eq!(of(200, Some("14")), Outcome::Failed);
        assert_eq!(of(400, None), Outcome::Refused);
        assert_eq!(of(503, None), Outcome::Failed);
    }
}
