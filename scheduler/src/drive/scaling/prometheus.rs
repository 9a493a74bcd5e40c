//! Asks a Prometheus server for the values of queries (Prometheus HTTP API, `/api/v1/query`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use berth_model::scaling::Metric;
use berth_scheduler_core::keys::ServiceKey;
use futures_util::StreamExt;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::timeout;

use super::measure::Figure;
use super::{Watch, between_samples, metrics, scaled, taken_now};
use crate::drive::every;
use crate::engine::Engine;
use crate::http_client::{self, HttpServer};

/// How long a query may take, with the connection that it needs.
const DEADLINE: Duration = Duration::from_secs(5);
/// Queries that are asked at once.
const AT_ONCE: usize = 8;

/// A Prometheus server, or what answers like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    server: HttpServer,
    /// What stands before `/api/v1/query`.
    path: String,
}

impl std::str::FromStr for Prometheus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uri, authority, _) = http_client::parse(text, &["http"])?;
        if uri.query().is_some() {
            return Err(format!("'{text}' must be http://HOST:PORT/PATH and nothing else"));
        }
        Ok(Self {
            server: HttpServer::of(&authority, 80),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Takes samples of all queries until the engine is gone.
pub async fn keep_asking(engine: Engine, prometheus: Prometheus, watch: Arc<Watch>) {
    let mut ticks = every(between_samples(watch.period()));
    loop {
        ticks.tick().await;
        let state = engine.view();
        let queries: Vec<(ServiceKey, Metric)> = scaled(&state)
            .flat_map(|service| {
                let key = service.key();
                metrics(service)
                    .into_iter()
                    .map(move |metric| (key.clone(), metric.clone()))
            })
            .filter(|(_, metric)| matches!(metric, Metric::Prometheus(_)))
            .collect();
        drop(state);
        let asked = futures_util::stream::iter(queries).for_each_concurrent(AT_ONCE, async |(key, metric)| {
            let Metric::Prometheus(query) = &metric else { return };
            let answer = prometheus.ask(query).await;
            let answer = answer.map_err(|error| format!("{error:#}"));
            let error = answer.clone().err().unwrap_or_default();
            let figure = answer.map(|value| Figure { value, whole: true });
            if watch.put(&key, &metric, figure.map(taken_now).map_err(Into::into)) {
                tracing::warn!(service = %key.service, query, error, "query gives no value");
            }
        });
        asked.await;
    }
}

impl Prometheus {
    /// The one value of a query.
    async fn ask(&self, query: &str) -> anyhow::Result<f64> {
        let request = Request::get(format!("{}/api/v1/query?query={}", self.path, encoded(query)))
            .header(header::ACCEPT, "application/json")
            .body(Full::default())?;
        let exchange = timeout(DEADLINE, self.server.exchange(request, None)).await;
        let (status, body) = exchange.with_context(|| format!("no answer within {} s", DEADLINE.as_secs()))??;
        value(status, &body)
    }
}

/// As in a URL's query (RFC 3986).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Element {
    value: (f64, String),
}

/// The value in an answer.
fn value(status: StatusCode, body: &[u8]) -> anyhow::Result<f64> {
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) if status != StatusCode::OK => bail!("answered with {status}"),
        Err(error) => bail!("the answer is not Prometheus's: {error}"),
    };
    if answer.status != "success" {
        bail!("refused: {}", answer.error.unwrap_or_default());
    }
    let data = answer.data.context("the answer has no data")?;
    let text = match data.result_type.as_str() {
        "scalar" => serde_json::from_value::<(f64, String)>(data.result)?.1,
        "vector" => match <[Element; 1]>::try_from(serde_json::from_value::<Vec<Element>>(data.result)?) {
            Ok([only]) => only.value.1,
            Err(elements) => bail!("the query gives {} series, it must give one", elements.len()),
        },
        other => bail!("the query gives a {other}, it must give a vector or a scalar"),
    };
    let value: f64 = text.parse().with_context(|| format!("'{text}' is no number"))?;
    if !value.is_finite() {
        bail!("the query gives {text}");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn check(body: &str, expected: Result<f64, &str>) {
        let found = value(StatusCode::OK, body.as_bytes());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
            (Err(error), Err(says)) => assert!(format!("{error:#}").contains(says), "{error:#}"),
            (found, expected) => panic!("{body}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_query_gives_one_number_or_says_why_not() {
        let vector = |elements: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
        };
        let one = r#"{"metric":{"job":"web"},"value":[1763700000.123,"12.5"]}"#;
        check(&vector(one), Ok(12.5));
        check(&vector(""), Err("0 series"));
        check(&vector(&format!("{one},{one}")), Err("2 series"));
        check(&vector(r#"{"metric":{},"value":[1,"NaN"]}"#), Err("gives NaN"));
        check(
            r#"{"status":"success","data":{"resultType":"scalar","result":[1763700000,"3"]}}"#,
            Ok(3.0),
        );
        check(
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            Err("gives a matrix"),
        );
        check(
            r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#,
            Err("refused: 1:5: parse error"),
        );
        check("<html>", Err("not Prometheus's"));
        let sick = value(StatusCode::BAD_GATEWAY, b"<html>").unwrap_err();
        assert_eq!(sick.to_string(), "answered with 502 Bad Gateway");
    }

    #[test]
    fn a_server_is_named_by_its_url() {
        let read = |text: &str| text.parse::<Prometheus>();
        let plain = read("http://localhost:9090").unwrap();
        assert_eq!((plain.server.address(), plain.path.as_str()), (("localhost", 9090), ""));
        let below = read("http://[::1]/prometheus/").unwrap();
        assert_eq!(
            (below.server.address(), below.path.as_str()),
            (("::1", 80), "/prometheus")
        );
        for bad in ["localhost:9090", "https://x", "http://a@b", "http://a/?q=1", "/x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_query_is_asked_as_it_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/p", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let prometheus: Prometheus = url.parse().unwrap();
        assert_eq!(prometheus.ask(r#"sum(rate(x{job="a b"}[1m]))"#).await.unwrap(), 7.0);
        let asked = server.await.unwrap();
        let line = "GET /p/api/v1/query?query=sum%28rate%28x%7Bjob%3D%22a%20b%22%7D%5B1m%5D%29%29 HTTP/1.1\r\n";
        assert!(asked.starts_with(line), "{asked}");
        assert!(prometheus.ask("1").await.is_err(), "nobody listens any more");
    }
}
