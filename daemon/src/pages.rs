//! The small HTTP server of a daemon: pages to be read, and whether the daemon lives and is ready.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Page;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// For the header of a request, also between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// For an answer to be made.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two tries to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(10);

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is what was asked for.
    pub status: StatusCode,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A line for people.
    #[must_use]
    pub fn text(status: StatusCode, line: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from(format!("{line}\n")),
        }
    }
}

impl<B: From<Bytes>> From<Answer> for Response<B> {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(B::from(answer.body));
        *response.status_mut() = answer.status;
        let kind = HeaderValue::from_static(answer.content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// What a daemon answers to GET.
pub trait Pages: Send + Sync + 'static {
    /// The page of the path; none where there is none.
    fn page(&self, path: &str) -> impl Future<Output = Option<Answer>> + Send;
}

/// How a daemon is.
pub trait Vitals: Send + Sync + 'static {
    /// Whether it gets on with its work: starting it again is worth a try otherwise.
    ///
    /// # Errors
    /// Why it does not.
    fn alive(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether it can do its work now. Who it waits for may be somebody else, so that starting it again would not help.
    ///
    /// # Errors
    /// Why it cannot.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// All its figures.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn metrics(&self) -> impl Future<Output = Result<Page, String>> + Send;
}

/// `/healthz`, `/readyz` and `/metrics` of a daemon.
#[derive(Debug)]
pub struct Observed<V>(pub Arc<V>);

impl<V: Vitals> Pages for Observed<V> {
    async fn page(&self, path: &str) -> Option<Answer> {
        Some(match path {
            "/healthz" => verdict(self.0.alive().await),
            "/readyz" => verdict(self.0.ready().await),
            "/metrics" => match self.0.metrics().await {
                Ok(page) => Answer {
                    status: StatusCode::OK,
                    content_type: Page::CONTENT_TYPE,
                    body: Bytes::from(page.into_text()),
                },
                Err(reason) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, &reason),
            },
            _ => return None,
        })
    }
}

fn verdict(verdict: Result<(), String>) -> Answer {
    match verdict {
        Ok(()) => Answer::text(StatusCode::OK, "ok"),
        Err(reason) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

/// The answer to a request.
pub async fn answer<P: Pages>(pages: &P, method: &Method, path: &str) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are answered.");
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, pages.page(path)).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::text(StatusCode::NOT_FOUND, "There is no such page."),
        Err(_) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "The answer was not made in time."),
    }
}

/// Serves for ever.
pub async fn serve<P: Pages>(listener: TcpListener, pages: Arc<P>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(room) = Arc::clone(&connections).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        drop(tokio::spawn(async move {
            let answering = service_fn(move |request: Request<Incoming>| {
                let pages = Arc::clone(&pages);
                async move {
                    let answer = answer(&*pages, request.method(), request.uri().path()).await;
                    Ok::<Response<Full<Bytes>>, Infallible>(answer.into())
                }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answering)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "connection broke");
            }
            drop(room);
        }));
    }
}

/// Listens as soon as the address can be had, and serves for ever: a daemon does its work whether its figures can be read
/// or not.
pub async fn serve_when_free<P: Pages>(address: SocketAddr, pages: Arc<P>) {
    let mut warned = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if !std::mem::replace(&mut warned, true) => {
                tracing::warn!(%address, %error, "figures and health cannot be served; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_PAUSE).await;
    };
    tracing::info!(%address, "serving /metrics, /healthz and /readyz");
    serve(listener, pages).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ill;

    impl Vitals for Ill {
        async fn alive(&self) -> Result<(), String> {
            Ok(())
        }

        async fn ready(&self) -> Result<(), String> {
            Err("the journal is not reached".to_owned())
        }

        async fn metrics(&self) -> Result<Page, String> {
            let mut page = Page::default();
            page.gauge("berth_test", "A test.").only(1.0);
            Ok(page)
        }
    }

    #[tokio::test]
    async fn a_daemon_that_lives_and_is_not_ready_says_why() {
        let observed = Observed(Arc::new(Ill));
        let get = async |path: &str| {
            let answer = answer(&observed, &Method::GET, path).await;
            (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
        };
        assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/readyz").await, (503, "the journal is not reached\n".to_owned()));
        assert!(get("/metrics").await.1.ends_with("berth_test 1\n"));
        assert_eq!(get("/else").await.0, 404);
        let posted = answer(&observed, &Method::POST, "/metrics").await;
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    struct Hangs;

    impl Pages for Hangs {
        async fn page(&self, _path: &str) -> Option<Answer> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_made_in_time_is_a_failure() {
        let answer = answer(&Hangs, &Method::GET, "/healthz").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
