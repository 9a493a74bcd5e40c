//! The port of the tasks: which path is what, for whom, and how often.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_agent_core::bucket::{Bucket, Rate};
use berth_agent_core::container::Phase;
use berth_agent_core::metadata::{self, Surroundings};
use berth_agent_core::name;
use berth_model::task_definition::NetworkMode;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answer::{Answer, json, retry_after, text};
use super::serve::{Peer, Service};
use super::view::{Known, View};
use super::{DEFAULT_BRIDGE, Later, Provider, credentials, peer, protection, stats};
use crate::event::Event;

/// How long a container that asks for metadata waits for Docker to say addresses.
const DETAIL: Duration = Duration::from_secs(1);
/// In the ECS agent's words.
const TOO_MANY: &str = "You have reached maximum request limit.";

/// What the service is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) provider: Option<Provider>,
    pub(super) surroundings: Surroundings,
    pub(super) later: Later,
    pub(super) rate: Rate,
    /// Path at which the agent asks whether it is the one who answers.
    pub(super) nonce: String,
}

/// The service of the port.
#[derive(Debug)]
pub(super) struct Tasks {
    parts: Parts,
    bucket: Mutex<Bucket>,
    began: Instant,
}

impl Tasks {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            bucket: Mutex::new(Bucket::new(parts.rate)),
            parts,
            began: Instant::now(),
        }
    }

    fn takes_one_more(&self) -> bool {
        let now = self.began.elapsed();
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

impl Service for Tasks {
    fn admits(&self, peer: Peer) -> bool {
        let bridge = self.parts.later.bridge.get().map_or(DEFAULT_BRIDGE, String::as_str);
        let admitted = peer::is_local(peer, bridge);
        if !admitted {
            tracing::warn!(peer = %peer.from, "somebody who is not on this host asks at the endpoint of tasks");
        }
        admitted
    }

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        if path.strip_prefix('/') == Some(&self.parts.nonce) {
            return text(StatusCode::NO_CONTENT, "");
        }
        if !self.takes_one_more() {
            return text(StatusCode::TOO_MANY_REQUESTS, TOO_MANY);
        }
        let view = Arc::clone(&self.parts.views.borrow());
        let method = request.method().clone();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        if let ["api", id, "task-protection", "v1", "state"] = segments[..] {
            if ![Method::GET, Method::PUT].contains(&method) {
                return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and PUT");
            }
            return protection::answer(&view, &self.parts.events, id, &method, request.into_body()).await;
        }
        if ![Method::GET, Method::HEAD].contains(&method) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        let query = request.uri().query().unwrap_or_default();
        self.get(&view, &segments, query, peer.from).await
    }
}

impl Tasks {
    async fn get(&self, view: &View, segments: &[&str], query: &str, from: SocketAddr) -> Answer {
        let provider = self.parts.provider.as_ref();
        match *segments {
            ["v1", "credentials"] => {
                let id = query.split('&').find_map(|pair| pair.strip_prefix("id="));
                credentials::answer(view, provider, id, 1, from).await
            }
            ["v2", "credentials"] => credentials::answer(view, provider, None, 2, from).await,
            ["v2", "credentials", id] => credentials::answer(view, provider, Some(id), 2, from).await,
            [version @ ("v3" | "v4"), id, ref rest @ ..] => match What::of(rest) {
                Some(what) => self.metadata(view, version, id, what).await,
                None => text(StatusCode::NOT_FOUND, "404 page not found"),
            },
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    async fn metadata(&self, view: &View, version: &str, id: &str, what: What) -> Answer {
        let Some((known, at)) = view.container(id) else {
            return unknown(view.complete, version, id, what);
        };
        let surroundings = &self.parts.surroundings;
        match what {
            What::Container => {
                let known = self.detailed(known, at, at..at + 1).await;
                match metadata::container(&known.record, at) {
                    Some(container) => json(StatusCode::OK, &container),
                    None => unknown(view.complete, version, id, what),
                }
            }
            What::Task { tags } => {
                let known = self.detailed(known, at, 0..known.record.containers.len()).await;
                json(StatusCode::OK, &metadata::task(&known.record, surroundings, tags))
            }
            What::ContainerStats => match self.stats(known, at) {
                Some((_, Some(stats))) => json(StatusCode::OK, &stats),
                stats => {
                    let id = stats.map(|(id, _)| id).unwrap_or_default();
                    let words = format!("Unable to get container stats for: {id}");
                    json(StatusCode::INTERNAL_SERVER_ERROR, &words)
                }
            },
            What::TaskStats => {
                let containers = 0..known.record.containers.len();
                let all: Map<String, Value> = containers
                    .filter_map(|at| self.stats(known, at))
                    .map(|(id, stats)| (id, stats.unwrap_or_default()))
                    .collect();
                json(StatusCode::OK, &all)
            }
        }
    }

    /// Docker's id of the container, and what it uses if it was read yet; none before it is created.
    fn stats(&self, known: &Known, at: usize) -> Option<(String, Option<Value>)> {
        let id = known.record.containers.get(at)?.runtime_id.clone()?;
        let pair = self.parts.later.usage.get().and_then(|latest| latest.of(&id));
        let name = name::container(&known.record.spec, at);
        let stats = pair.map(|pair| stats::stats(&name, &id, &pair));
        Some((id, stats))
    }

    /// The task with what only a look at its containers shows. Nobody looks before somebody asks, so that starts are none
    /// the slower; and a container that asks does run, whether or not Docker has said so yet.
    async fn detailed(&self, known: &Arc<Known>, asks: usize, places: Range<usize>) -> Arc<Known> {
        let wanting = |known: &Known| -> Vec<usize> {
            let places = places.clone();
            places.filter(|at| wants_look(known, *at, *at == asks)).collect()
        };
        let wanted = wanting(known);
        if wanted.is_empty() {
            return Arc::clone(known);
        }
        let task = known.record.spec.id;
        let mut views = self.parts.views.clone();
        let looked = async {
            for container in wanted {
                self.parts.events.send(Event::Look { task, container }).await.ok()?;
            }
            let done = |known: &Arc<Known>| wanting(known).is_empty();
            let seen = views.wait_for(|view| view.tasks.get(&task).is_none_or(done));
            seen.await.ok()?.tasks.get(&task).cloned()
        };
        match tokio::time::timeout(DETAIL, looked).await {
            Ok(seen) => seen,
            // As far as it is known by now.
            Err(_) => self.parts.views.borrow().tasks.get(&task).cloned(),
        }
        .unwrap_or_else(|| Arc::clone(known))
    }
}

fn wants_look(known: &Known, at: usize, asks: bool) -> bool {
    let Some(container) = known.record.containers.get(at) else {
        return false;
    };
    let bridge = known.record.spec.definition.network_mode() == NetworkMode::Bridge;
    let detail = &container.detail;
    let lacks = detail.created_at.is_none() || bridge && detail.addresses.is_empty();
    match container.phase {
        Phase::Starting => asks,
        Phase::Running => lacks,
        Phase::Waiting | Phase::Pulled | Phase::Created | Phase::Stopped => false,
    }
}

/// What is asked for under a container's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Container,
    Task { tags: bool },
    ContainerStats,
    TaskStats,
}

impl What {
    fn of(rest: &[&str]) -> Option<Self> {
        match *rest {
            [] | [""] => Some(Self::Container),
            ["task"] => Some(Self::Task { tags: false }),
            ["taskWithTags"] => Some(Self::Task { tags: true }),
            ["stats"] => Some(Self::ContainerStats),
            ["task", "stats"] => Some(Self::TaskStats),
            _ => None,
        }
    }
}

/// The ECS agent's words for a name that it does not know, which are a JSON text.
fn unknown(complete: bool, version: &str, id: &str, what: What) -> Answer {
    let handler = match what {
        What::Container => "container metadata",
        What::Task { .. } => "task metadata",
        What::ContainerStats => "container stats",
        What::TaskStats => "task stats",
    };
    let head = format!("{} {handler} handler", version.to_uppercase());
    if !complete {
        let words = format!("{head}: the agent is loading its tasks; try again");
        return retry_after(json(StatusCode::SERVICE_UNAVAILABLE, &words), 1);
    }
    let why = match what {
        What::Container => "unable to get container ID from request: unable to get docker ID from v3 endpoint ID",
        What::Task { .. } | What::ContainerStats | What::TaskStats => {
            "unable to get task arn from request: unable to get task Arn from v3 endpoint ID"
        }
    };
    let status = match version {
        "v4" => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    json(status, &format!("{head}: {why}: {id}"))
}

#[cfg(test)]
mod tests;
