//! Answers as the ECS agent gives them.

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

/// What every answer is.
pub(super) type Answer = Response<Full<Bytes>>;

/// By which the agent knows its own endpoint.
pub(super) const SERVER: &str = "berth-agent";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Something as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => answer(status, JSON, bytes),
        // Nothing here has keys that are not text.
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"),
    }
}

/// Words.
pub(super) fn text(status: StatusCode, words: &'static str) -> Answer {
    answer(status, TEXT, words.as_bytes().to_vec())
}

/// The answer with the time in seconds after which to ask again.
pub(super) fn retry_after(mut answer: Answer, seconds: u64) -> Answer {
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

fn answer(status: StatusCode, kind: HeaderValue, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    answer
}
