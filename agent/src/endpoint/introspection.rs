//! What the ECS agent tells those who are on the host: `/v1/metadata` and `/v1/tasks`, on loopback alone.

use std::sync::Arc;

use berth_agent_core::metadata::{self, Instance, Tasks};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::watch;

use super::answer::{Answer, json, text};
use super::serve::{Peer, Service};
use super::view::{Known, View};

const PATHS: [&str; 2] = ["/v1/metadata", "/v1/tasks"];
/// Docker shortens its ids to this.
const SHORT_ID: usize = 12;

/// The service of the port.
#[derive(Debug)]
pub(super) struct Introspection {
    /// Name of the cluster.
    pub(super) cluster: String,
    pub(super) views: watch::Receiver<Arc<View>>,
}

impl Service for Introspection {
    /// Where it listens, on loopback unless the operator says otherwise, decides who asks.
    fn admits(&self, _peer: Peer) -> bool {
        true
    }

    async fn answer(&self, _peer: Peer, request: Request<Incoming>) -> Answer {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        let view = Arc::clone(&self.views.borrow());
        self.route(&view, request.uri().path(), request.uri().query().unwrap_or_default())
    }
}

impl Introspection {
    fn route(&self, view: &View, path: &str, query: &str) -> Answer {
        match path {
            "/" => json(StatusCode::OK, &json!({"AvailableCommands": PATHS})),
            "/v1/metadata" => {
                let instance = Instance {
                    cluster: self.cluster.clone(),
                    container_instance_arn: view.instance_arn.clone(),
                    version: format!("Berth Agent - v{}", env!("CARGO_PKG_VERSION")),
                };
                json(StatusCode::OK, &instance)
            }
            "/v1/tasks" => tasks(view, query),
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }
}

fn tasks(view: &View, query: &str) -> Answer {
    // ARNs and ids have nothing that a client must escape but the colon and the slash.
    let given = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name)?.1;
        Some(
            value
                .replace("%3A", ":")
                .replace("%3a", ":")
                .replace("%2F", "/")
                .replace("%2f", "/"),
        )
    };
    match (given("taskarn"), given("dockerid")) {
        (None, None) => {
            let tasks = view.tasks.values().map(|known| metadata::introspected(&known.record));
            let all = Tasks { tasks: tasks.collect() };
            json(StatusCode::OK, &all)
        }
        (Some(arn), None) => one(view, |known| known.record.spec.arn == arn),
        (None, Some(id)) => one(view, |known| has_container(known, &id)),
        (Some(_), Some(_)) => json(StatusCode::BAD_REQUEST, &NOTHING),
    }
}

/// What the ECS agent answers in place of a task: one without anything.
const NOTHING: Nothing = Nothing {
    arn: "",
    known_status: "",
    family: "",
    version: "",
    containers: None,
};

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Nothing {
    arn: &'static str,
    known_status: &'static str,
    family: &'static str,
    version: &'static str,
    containers: Option<()>,
}

fn one(view: &View, is: impl Fn(&Known) -> bool) -> Answer {
    match view.tasks.values().find(|known| is(known)) {
        Some(known) => json(StatusCode::OK, &metadata::introspected(&known.record)),
        None => json(StatusCode::NOT_FOUND, &NOTHING),
    }
}

fn has_container(known: &Known, id: &str) -> bool {
    let ids = known
        .record
        .containers
        .iter()
        .filter_map(|container| container.runtime_id.as_deref());
    let mut ids = ids.map(|full| {
        if id.len() > SHORT_ID {
            full
        } else {
            full.get(..id.len()).unwrap_or(full)
        }
    });
    id.len() >= SHORT_ID && ids.any(|known| known == id)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::view::tests::{publisher, record};
    use super::*;

    fn asked(target: &str) -> (u16, serde_json::Value) {
        let (mut publisher, views) = publisher();
        let mut web = record(1, None);
        web.containers[0].runtime_id = Some("0123456789abcdef".to_owned());
        publisher.put(&web);
        publisher.put(&record(2, None));
        publisher.welcomed("arn:instance");
        publisher.publish();
        let view = Arc::clone(&views.borrow());
        let service = Introspection {
            cluster: "prod".to_owned(),
            views,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let answer = service.route(&view, path, query);
        let status = answer.status().as_u16();
        let body = futures_util::FutureExt::now_or_never(answer.into_body().collect());
        let bytes = body.unwrap().unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    #[test]
    fn paths_are_listed_and_the_instance_is_told() {
        assert_eq!(asked("/").1["AvailableCommands"][1], "/v1/tasks");
        let (status, metadata) = asked("/v1/metadata");
        assert_eq!(
            (status, &metadata["Cluster"], &metadata["ContainerInstanceArn"]),
            (200, &json!("prod"), &json!("arn:instance"))
        );
        assert_eq!(asked("/v1/passwords").0, 404);
    }

    #[test]
    fn tasks_are_told_all_or_one() {
        assert_eq!(asked("/v1/tasks").1["Tasks"].as_array().unwrap().len(), 2);
        let arn = "arn:aws:ecs:us-east-1:000000000000:task/prod/00000000000000000000000000000001";
        let escaped = arn.replace(':', "%3A").replace('/', "%2F");
        for query in [
            format!("taskarn={arn}"),
            format!("taskarn={escaped}"),
            "dockerid=0123456789ab".to_owned(),
            "dockerid=0123456789abcdef".to_owned(),
        ] {
            let (status, task) = asked(&format!("/v1/tasks?{query}"));
            assert_eq!((status, &task["Arn"]), (200, &json!(arn)), "{query}");
        }
        for (query, status) in [
            ("taskarn=arn", 404),
            ("dockerid=0123", 404),
            ("dockerid=0123456789abcdee", 404),
            ("dockerid=0123456789ab&taskarn=arn", 400),
        ] {
            assert_eq!(asked(&format!("/v1/tasks?{query}")).0, status, "{query}");
        }
    }
}
