//! What is certain after a call to Docker failed. Decided by the status, not by the text; but that a port is taken
//! only the text says.

use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_daemon::chain;
use bollard::errors::Error;

use super::calls::Call;

/// What Docker says when a container wants a port of the host that another container has, or another process.
const PORT_TAKEN: [&str; 2] = ["port is already allocated", "address already in use"];

/// The deadline passed.
pub(super) fn late(call: Call, deadline: Duration) -> Failure {
    let what = call.words();
    let message = format!(
        "Docker was asked to {what} and did not answer within {} s",
        deadline.as_secs()
    );
    Failure::new(FailureKind::TimedOut, message)
}

/// The answer, or none where Docker says that it has no such thing.
pub(super) fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What kind of failure bollard's error is. What it is not sure about may have happened.
pub(super) fn from_bollard(error: Error) -> Failure {
    if let Error::DockerResponseServerError { status_code, message } = error {
        let kind = match status_code {
            404 => FailureKind::NotFound,
            400..=499 => FailureKind::Refused,
            500 if PORT_TAKEN.iter().any(|words| message.contains(words)) => FailureKind::PortTaken,
            _ => FailureKind::Faltered,
        };
        return Failure::new(kind, message);
    }
    if let Error::DockerStreamError { error } = error {
        return Failure::new(FailureKind::Faltered, error);
    }
    let kind = if matches!(error, Error::RequestTimeoutError) {
        FailureKind::TimedOut
    } else {
        FailureKind::Lost
    };
    // The outermost alone seldom says what is wrong with a connection.
    Failure::new(kind, chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_told_from_a_start_that_cannot_succeed() {
        let kind = |status_code, message: &str| {
            let message = message.to_owned();
            from_bollard(Error::DockerResponseServerError { status_code, message }).kind
        };
        let prefix = "driver failed programming external connectivity on endpoint ecs-web (1a2b): ";
        for words in [
            "Bind for 0.0.0.0:8080 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
        ] {
            assert_eq!(
                kind(500, &format!("{prefix}{words}")),
                FailureKind::PortTaken,
                "{words}"
            );
        }
        assert_eq!(kind(500, "no space left on device"), FailureKind::Faltered);
        assert_eq!(
            kind(400, "exec: \"address already in use\": not found"),
            FailureKind::Refused
        );
    }
}
