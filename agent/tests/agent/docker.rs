//! A Docker that is only its socket: as much of the Engine API as the agent uses, with containers that are numbers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// What every container has said, in the frames of Docker's API: `begins` on standard output, `fails` on standard error.
const LOG: &[u8] = b"\x01\0\0\0\0\0\0\x07begins\n\x02\0\0\0\0\0\0\x06fails\n";

#[derive(Debug, Clone)]
struct Container {
    name: String,
    labels: Value,
    state: &'static str,
    exit_code: i32,
}

/// The daemon, from outside.
#[derive(Clone)]
pub(crate) struct FakeDocker {
    inner: Arc<Mutex<Inner>>,
    events: broadcast::Sender<Bytes>,
}

#[derive(Default)]
struct Inner {
    containers: BTreeMap<String, Container>,
    created: usize,
    started: usize,
    hangs: bool,
}

impl FakeDocker {
    pub(crate) fn serve(socket: &Path) -> anyhow::Result<Self> {
        let listener = tokio::net::UnixListener::bind(socket)?;
        let docker = Self {
            inner: Arc::default(),
            events: broadcast::channel(64).0,
        };
        let router = Router::new().fallback(answer).with_state(docker.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(docker)
    }

    /// Containers created and started up to now.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.with(|inner| (inner.created, inner.started))
    }

    /// States of the containers that are there.
    pub(crate) fn states(&self) -> Vec<&'static str> {
        self.with(|inner| inner.containers.values().map(|container| container.state).collect())
    }

    /// From now on no call is answered.
    pub(crate) fn hang(&self) {
        self.with(|inner| inner.hangs = true);
    }

    /// From now on calls are answered again.
    pub(crate) fn go_on(&self) {
        self.with(|inner| inner.hangs = false);
    }

    /// The process of every running container ends.
    pub(crate) fn exit_all(&self, code: i32) {
        let running = self.with(|inner| inner.ids_of("running"));
        for id in running {
            self.exit(&id, code);
        }
    }

    fn exit(&self, id: &str, code: i32) {
        let labels = self.with(|inner| {
            let container = inner.containers.get_mut(id)?;
            container.state = "exited";
            container.exit_code = code;
            Some(container.labels.clone())
        });
        let event = json!({"Type": "container", "Action": "die", "Actor": {"ID": id, "Attributes": labels}});
        // Nobody listens while no agent runs.
        self.events.send(Bytes::from(format!("{event}\n"))).ok();
    }

    fn with<T>(&self, read: impl FnOnce(&mut Inner) -> T) -> T {
        read(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn ids_of(&self, state: &str) -> Vec<String> {
        self.containers
            .iter()
            .filter(|(_, c)| c.state == state)
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn create(&mut self, name: &str, body: &Value) -> Response {
        if self.containers.values().any(|container| container.name == name) {
            return refuse(StatusCode::CONFLICT, "the container name is already in use");
        }
        self.created += 1;
        let id = format!("id{}", self.created);
        let container = Container {
            name: name.to_owned(),
            labels: body["Labels"].clone(),
            state: "created",
            exit_code: 0,
        };
        self.containers.insert(id.clone(), container);
        (StatusCode::CREATED, Json(json!({"Id": id, "Warnings": []}))).into_response()
    }

    fn start(&mut self, id: &str) -> StatusCode {
        match self.containers.get_mut(id) {
            Some(container) if container.state == "running" => StatusCode::NOT_MODIFIED,
            Some(container) => {
                container.state = "running";
                self.started += 1;
                StatusCode::NO_CONTENT
            }
            None => StatusCode::NOT_FOUND,
        }
    }

    fn list(&self) -> Response {
        let listed = self.containers.iter().map(|(id, container)| {
            json!({"Id": id, "Names": [format!("/{}", container.name)], "Labels": container.labels, "State": container.state})
        });
        Json(listed.collect::<Vec<_>>()).into_response()
    }

    fn inspect(&self, target: &str) -> Response {
        let found = self
            .containers
            .iter()
            .find(|(id, container)| *id == target || container.name == target);
        let Some((id, container)) = found else {
            return refuse(StatusCode::NOT_FOUND, "no such container");
        };
        Json(json!({
            "Id": id,
            "Config": {"Labels": container.labels},
            "State": {"Status": container.state, "Running": container.state == "running", "ExitCode": container.exit_code,
                      "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:00:09Z"},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}]}},
        }))
        .into_response()
    }
}

async fn answer(State(docker): State<FakeDocker>, method: Method, uri: Uri, body: Bytes) -> Response {
    while docker.with(|inner| inner.hangs) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let query = uri.query().unwrap_or_default();
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    match (method.as_str(), path.as_slice()) {
        ("GET", ["_ping"]) => "OK".into_response(),
        ("GET", ["version"]) => Json(json!({"Version": "20.10.24", "ApiVersion": "1.41"})).into_response(),
        ("GET", ["info"]) => {
            Json(json!({"NCPU": 2, "MemTotal": 4_u64 << 30, "Plugins": {"Log": ["json-file"]}})).into_response()
        }
        ("GET", ["events"]) => {
            let events = BroadcastStream::new(docker.events.subscribe()).filter_map(|event| async { event.ok() });
            Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)).into_response()
        }
        ("GET", ["images", ..]) => Json(json!({"Id": "sha256:image", "RepoDigests": []})).into_response(),
        ("GET", ["containers", "json"]) => docker.with(|inner| inner.list()),
        ("POST", ["containers", "create"]) => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let name = query
                .split('&')
                .find_map(|part| part.strip_prefix("name="))
                .unwrap_or_default();
            docker.with(|inner| inner.create(name, &body))
        }
        ("GET", ["containers", _, "logs"]) => Body::from(LOG).into_response(),
        ("GET", ["containers", id, "json"]) => docker.with(|inner| inner.inspect(id)),
        ("POST", ["containers", id, "start"]) => docker.with(|inner| inner.start(id)).into_response(),
        ("POST", ["containers", id, "kill"]) => {
            docker.exit(id, if query.contains("SIGKILL") { 137 } else { 143 });
            StatusCode::NO_CONTENT.into_response()
        }
        ("DELETE", ["containers", id]) => {
            docker.with(|inner| inner.containers.remove(*id));
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "the fake has no such call"),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}
