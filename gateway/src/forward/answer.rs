//! What a client is told where no target answers: a status, and a line that says which service and why. Pure.

use std::time::Duration;

use pingora_core::{Error, ErrorSource, ErrorType};

const CONNECT: [ErrorType; 3] = [
    ErrorType::ConnectRefused,
    ErrorType::ConnectNoRoute,
    ErrorType::ConnectError,
];
const TIME: [ErrorType; 2] = [ErrorType::ReadTimedout, ErrorType::WriteTimedout];
const PROTOCOL: [ErrorType; 4] = [
    ErrorType::InvalidHTTPHeader,
    ErrorType::H1Error,
    ErrorType::H2Error,
    ErrorType::InvalidH2,
];

/// An answer of the gateway's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

/// For an error of a request to `service`; `None` where the client has gone, or its request was no good and a plain
/// 400 says so.
pub(super) fn answer(error: &Error, service: &str, idle_timeout: Duration) -> Option<Answer> {
    if *error.esource() == ErrorSource::Downstream {
        return None;
    }
    let kind = error.etype();
    let (status, why) = if *kind == ErrorType::HTTPStatus(503) {
        (503, "has no task that takes requests now.".to_owned())
    } else if *kind == ErrorType::ConnectTimedout {
        (504, "was not reached in time.".to_owned())
    } else if CONNECT.contains(kind) {
        (502, "took no connection.".to_owned())
    } else if TIME.contains(kind) {
        (504, format!("did not answer within {} s.", idle_timeout.as_secs()))
    } else if PROTOCOL.contains(kind) {
        (502, "gave an answer that cannot be understood.".to_owned())
    } else {
        (502, "broke the connection before its answer was complete.".to_owned())
    };
    Some(Answer {
        status,
        text: format!("The service {service} {why}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_which_service_and_why() {
        let cases = [
            (
                ErrorType::HTTPStatus(503),
                503,
                "The service web has no task that takes requests now.\n",
            ),
            (
                ErrorType::ConnectTimedout,
                504,
                "The service web was not reached in time.\n",
            ),
            (ErrorType::ConnectRefused, 502, "The service web took no connection.\n"),
            (
                ErrorType::ReadTimedout,
                504,
                "The service web did not answer within 60 s.\n",
            ),
            (
                ErrorType::ConnectionClosed,
                502,
                "The service web broke the connection before its answer was complete.\n",
            ),
        ];
        for (kind, status, text) in cases {
            let error = Error::new_up(kind);
            let said = answer(&error, "web", Duration::from_secs(60)).unwrap();
            assert_eq!((said.status, said.text.as_str()), (status, text));
        }
    }

    #[test]
    fn nothing_is_said_of_a_target_where_the_client_is_to_blame() {
        let error = Error::new_down(ErrorType::ReadError);
        assert_eq!(answer(&error, "web", Duration::from_secs(60)), None);
    }
}
