//! `GET /v1/data-channel/ID`: where the session-manager-plugin enters the session that ExecuteCommand opened for it. Who may is
//! said by the token that it sends first; a signature that it may have is for a service of AWS, and nobody looks at it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Api;
use crate::sessions::data_channel::{MOST_MESSAGE, serve};

/// What the paths of data channels begin with.
pub(super) const PATH: &str = "/v1/data-channel/";
/// Bytes that are read at once from a client.
const READ: usize = 8 * 1024;

/// The session that a request's path leads to.
#[must_use]
pub fn session_of(path: &str) -> Option<&str> {
    path.strip_prefix(PATH)
}

/// Makes a websocket of the request; `open` is kept until it is closed.
pub async fn enter<T: Send + 'static>(api: Arc<Api>, request: Request, open: T) -> Response {
    let (mut parts, _) = request.into_parts();
    let id = session_of(parts.uri.path()).unwrap_or_default().to_owned();
    let sessions = Arc::clone(&api.sessions);
    if !sessions.is_offered(&id) {
        let text = "No session of this id waits for anybody here: it was entered before, is older than a minute, or is another \
                    scheduler's.\n";
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade
            .max_message_size(MOST_MESSAGE)
            .max_frame_size(MOST_MESSAGE)
            .read_buffer_size(READ)
            .on_upgrade(async move |socket| {
                serve(sessions, id, socket).await;
                drop(open);
            }),
        Err(refusal) => refusal.into_response(),
    }
}
