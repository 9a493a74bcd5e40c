//! A steady load of requests, and what became of each: for tests that must not lose one.
//!
//! Half of the clients keep their connections, half make one a request. A client asks again at its next turn whatever
//! became of the last request; nothing is tried twice, so that a failure is a failure.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Report>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Report {
    /// How long each that was answered took.
    pub answered: Vec<Duration>,
    /// Those that were not.
    pub failures: Vec<Failure>,
    /// How often each body came.
    pub bodies: BTreeMap<String, usize>,
}

/// A request that was not answered with 200.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it was sent.
    pub sent: SystemTime,
    /// How long it took to fail.
    pub took: Duration,
    /// Whom it was sent to.
    pub address: SocketAddr,
    /// What came instead.
    pub what: String,
}

impl Load {
    /// Has so many clients ask for the path, in turns of these addresses.
    #[must_use]
    pub fn start(addresses: &[SocketAddr], path: &str, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = addresses.iter().copied().cycle().take(clients).enumerate();
        let clients = clients.map(|(nth, address)| {
            let mut client = Client {
                address,
                request: format!("GET {path} HTTP/1.1\r\nhost: load\r\n"),
                // Neighbours in the list are at different addresses: every address has clients of both kinds.
                keeps: (nth / addresses.len()).is_multiple_of(2),
                connection: None,
            };
            let stop = Arc::clone(&stop);
            thread::spawn(move || client.ask_until(&stop))
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    /// Ends it and tells what became of all requests.
    ///
    /// # Errors
    ///
    /// If a client panicked.
    pub fn stop(self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Report::default();
        for client in self.clients {
            let one = client.join().map_err(|_| anyhow!("a client panicked"))?;
            all.answered.extend(one.answered);
            all.failures.extend(one.failures);
            for (body, count) in one.bodies {
                *all.bodies.entry(body).or_default() += count;
            }
        }
        all.answered.sort();
        Ok(all)
    }
}

impl Report {
    /// The time within which so many percent of the answers came.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.answered.len() * percent / 100).min(self.answered.len().saturating_sub(1));
        self.answered.get(at).copied().unwrap_or_default()
    }
}

struct Client {
    address: SocketAddr,
    request: String,
    keeps: bool,
    connection: Option<TcpStream>,
}

impl Client {
    fn ask_until(&mut self, stop: &AtomicBool) -> Report {
        let mut report = Report::default();
        while !stop.load(Ordering::Relaxed) {
            let (begun, sent) = (Instant::now(), SystemTime::now());
            match self.ask() {
                Ok(body) => {
                    report.answered.push(begun.elapsed());
                    *report.bodies.entry(body).or_default() += 1;
                }
                Err(error) => {
                    self.connection = None;
                    report.failures.push(Failure {
                        sent,
                        took: begun.elapsed(),
                        address: self.address,
                        what: error.to_string(),
                    });
                }
            }
            thread::sleep(PAUSE.saturating_sub(begun.elapsed()));
        }
        report
    }

    /// One exchange; the body of an answer with status 200.
    fn ask(&mut self) -> io::Result<String> {
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let connection = if self.keeps { "keep-alive" } else { "close" };
        stream.write_all(format!("{}connection: {connection}\r\n\r\n", self.request).as_bytes())?;
        let answer = read_answer(&mut stream)?;
        if self.keeps && !answer.closes {
            self.connection = Some(stream);
        }
        match answer.status {
            200 => Ok(answer.body),
            status => Err(io::Error::other(format!("status {status}: {}", answer.body.trim()))),
        }
    }
}

struct Answer {
    status: u16,
    closes: bool,
    body: String,
}

/// Reads an answer that says how long it is.
fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(start) = head.parse(&bytes).map_err(io::Error::other)? {
            let value = |name: &str| {
                let header = head
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case(name));
                header.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
            };
            let length: usize = value("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if let Some(body) = bytes.get(start..start + length) {
                return Ok(Answer {
                    status: head.code.unwrap_or(0),
                    closes: value("connection").is_some_and(|text| text.contains("close")),
                    body: String::from_utf8_lossy(body).into_owned(),
                });
            }
        }
        match stream.read(&mut buffer)? {
            0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the connection ended after {} bytes", bytes.len()),
                ));
            }
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
