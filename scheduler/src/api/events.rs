//! Watching what happens: over gRPC (`berth.v1.Berth/Watch`), and as server-sent events (`GET /events`; HTML Living
//! Standard, "Server-sent events").

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use berth_model::fault::Fault;
use berth_proto::v1::{Event, WatchRequest, WatchResponse};
use berth_scheduler_core::event::Position;
use berth_scheduler_core::keys::Revision;
use futures_util::{Stream, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use super::{Api, faults};
use crate::events::{Batch, Events, Filter, Start, Told, WatchError};

/// Milliseconds after which a reader of server-sent events comes back by itself.
const RETRY: &str = "retry: 1000\n\n";
/// The header by which it says how far it was.
const LAST_EVENT_ID: &str = "last-event-id";

/// Events as gRPC has them.
pub(super) async fn watch(
    api: &Api,
    request: WatchRequest,
) -> Result<impl Stream<Item = Result<WatchResponse, Fault>> + Send + use<>, Fault> {
    let batches = begin(&api.events, &request).await?;
    Ok(batches.map(|batch| batch.as_ref().map(response).map_err(|error| error.fault())))
}

/// Events as server-sent events.
pub async fn server_sent(api: Arc<Api>, peer: IpAddr, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let begun = match wanted(&api, peer, &parts) {
        Ok(wanted) => begin(&api.events, &wanted).await,
        Err(fault) => Err(fault),
    };
    let batches = match begun {
        Ok(batches) => batches,
        Err(fault) => return faults::json(&fault),
    };
    let begin = futures_util::stream::once(std::future::ready(RETRY.to_owned()));
    let texts = begin.chain(batches.map(text));
    let mut response = Response::new(Body::from_stream(
        texts.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text))),
    ));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Or nginx keeps events until it has many.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What a request asks for, of whoever may.
fn wanted(api: &Api, peer: IpAddr, parts: &Parts) -> Result<WatchRequest, Fault> {
    let caller = api.caller_of_get(peer, parts)?;
    let wanted = read(parts.uri.query().unwrap_or_default(), &parts.headers)?;
    if let Some(caller) = caller {
        api.authorize("berth", "Watch", &wanted, &caller)?;
    }
    Ok(wanted)
}

async fn begin(
    events: &Arc<Events>,
    request: &WatchRequest,
) -> Result<impl Stream<Item = Result<Batch, WatchError>> + Send + use<>, Fault> {
    let filter = Filter::read(
        events.namespace(),
        request.cluster.as_deref(),
        &request.detail_types,
        request.resource.as_deref(),
        request.group.as_deref(),
    )?;
    let watching = events.watch(start(request)?, filter).await;
    watching.map_err(|error| error.fault())
}

fn start(request: &WatchRequest) -> Result<Start, Fault> {
    match (request.from, request.after.as_deref(), request.last) {
        (None, None, None) => Ok(Start::Now),
        (Some(from), None, None) => Ok(Start::After(Position::before(Revision(from)))),
        (None, Some(after), None) => Ok(Start::After(position("after", after)?)),
        (None, None, Some(last)) => Ok(Start::Last(last)),
        _ => Err(Fault::invalid("At most one of from, after and last can be given.")),
    }
}

fn position(name: &str, text: &str) -> Result<Position, Fault> {
    let position = text.parse();
    position.map_err(|error| Fault::invalid(format!("{name} is '{}': {error}.", berth_model::fault::shortened(text))))
}

/// What the query of a URL asks for. How far the reader was when its connection broke takes the place of where it began.
fn read(query: &str, headers: &HeaderMap) -> Result<WatchRequest, Fault> {
    let mut request = WatchRequest::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = || {
            let number = value.parse::<u64>();
            number.map_err(|_| Fault::invalid(format!("{name} is '{value}': it must be a number.")))
        };
        match &*name {
            "from" => request.from = Some(number()?),
            "last" => request.last = Some(number()?),
            "after" => request.after = Some(value.into_owned()),
            "cluster" => request.cluster = Some(value.into_owned()),
            "detail-type" => request.detail_types.push(value.into_owned()),
            "resource" => request.resource = Some(value.into_owned()),
            "group" => request.group = Some(value.into_owned()),
            // Who signed the URL.
            name if name.starts_with("X-Amz-") => {}
            _ => {
                return Err(Fault::invalid(format!(
                    "'{name}' should be one of [from, after, last, cluster, detail-type, resource, group]."
                )));
            }
        }
    }
    if let Some(last) = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
        let text = last.to_str().unwrap_or_default();
        position("Last-Event-ID", text)?;
        request.after = Some(text.to_owned());
        (request.from, request.last) = (None, None);
    }
    Ok(request)
}

fn response(batch: &Batch) -> WatchResponse {
    WatchResponse {
        position: batch.position.to_string(),
        revision: batch.position.whole().0,
        head: batch.head.0,
        events: batch.events.iter().map(|event| shape(event)).collect(),
    }
}

fn shape(event: &Told) -> Event {
    Event {
        id: event.id.clone(),
        position: event.position.to_string(),
        detail_type: event.kind.name().to_owned(),
        time: event.at.to_rfc3339(),
        resources: vec![event.resource.clone()],
        by: event.by.to_string(),
        json: event.json.clone(),
    }
}

/// A batch as text; a comment, which says how far the reader is too, where there is nothing to tell.
fn text(batch: Result<Batch, WatchError>) -> String {
    match batch {
        Ok(batch) if batch.events.is_empty() => {
            let Batch { position, head, .. } = batch;
            format!(": told {position}, head {head}\nid: {position}\n\n")
        }
        Ok(batch) => {
            let events = batch.events.iter();
            let texts = events.map(|event| format!("id: {}\ndata: {}\n\n", event.position, event.json));
            texts.collect()
        }
        Err(error) => format!(": {error}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, last_event_id: Option<&str>) -> Result<(WatchRequest, Start), String> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last_event_id {
            headers.insert(LAST_EVENT_ID, last.parse().unwrap());
        }
        let request = read(query, &headers).map_err(|fault| fault.message)?;
        let start = start(&request).map_err(|fault| fault.message)?;
        Ok((request, start))
    }

    #[test]
    fn a_query_says_where_to_begin_and_what_is_wanted() {
        let after = |text: &str| Start::After(text.parse().unwrap());
        for (query, last, start) in [
            ("", None, Start::Now),
            ("from=1", None, after("0")),
            ("from=4711", None, after("4710")),
            ("after=4711.3", None, after("4711.3")),
            ("last=100", None, Start::Last(100)),
            ("from=1", Some("4711.3"), after("4711.3")),
            ("last=100", Some("4711"), after("4711")),
            ("from=7", Some(""), after("6")),
        ] {
            assert_eq!(check(query, last).map(|(_, start)| start), Ok(start), "{query}");
        }
        let (request, _) = check(
            "cluster=a%20b&detail-type=ECS+Task+State+Change&detail-type=instance",
            None,
        )
        .unwrap();
        assert_eq!(request.cluster.as_deref(), Some("a b"));
        assert_eq!(request.detail_types, ["ECS Task State Change", "instance"]);
    }

    #[test]
    fn what_a_query_gets_wrong_is_named() {
        for (query, last, says) in [
            ("from=x", None, "from is 'x'"),
            ("from=1&last=2", None, "At most one of"),
            ("after=1.x", None, "after is '1.x'"),
            ("", Some("x"), "Last-Event-ID is 'x'"),
            ("type=task", None, "'type' should be one of"),
        ] {
            let message = check(query, last).unwrap_err();
            assert!(message.contains(says), "{query}: {message}");
        }
    }
}
