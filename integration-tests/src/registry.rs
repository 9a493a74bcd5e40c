//! A registry of images for tests, on the loopback address of a host, where its Docker Engine needs no TLS: it serves
//! what it is given, wants a password, is busy, broken, slow or silent, and counts what it is asked for.
//!
//! As much of the distribution protocol, version 2, as a pull needs, one exchange a connection.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::host::Host;
use crate::images::{MANIFEST_TYPE, Pullable};

const PAUSE: Duration = Duration::from_millis(20);
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
const SILENCE: Duration = Duration::from_secs(20);

/// How a registry behaves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It answers everything with this status.
    Refusing(u16),
    /// It takes connections and says nothing.
    Silent,
    /// It sends half of a layer and no more.
    StuckInLayer,
}

/// A registry. Dropping it closes it.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// `user:password` in base64, where one is wanted.
    login: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    mood: Mood,
    /// Answers after which a mood is over, where it has an end.
    left: Option<usize>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Manifests by their digest.
    manifests: BTreeMap<String, Vec<u8>>,
    /// Digests by `repository:tag`.
    tags: BTreeMap<String, String>,
    /// Manifests that were fetched, by repository.
    pulls: BTreeMap<String, usize>,
}

impl Registry {
    /// A registry on a host; with a login, in base64, it serves nobody else.
    ///
    /// # Errors
    ///
    /// If it cannot listen in the host's network namespace.
    pub fn start(host: &Host, login: Option<&str>) -> Result<Self> {
        let listener = listen_in(host.link().namespace())?;
        let address = listener.local_addr().context("a registry's address")?;
        let shared = Arc::new(Shared {
            login: login.map(str::to_owned),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let listening = thread::spawn(move || {
            while !serving.state().closed {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let serving = Arc::clone(&serving);
                        thread::spawn(move || serving.serve(stream));
                    }
                    Err(_) => sleep(PAUSE),
                }
            }
        });
        Ok(Self {
            address,
            shared,
            listening: Some(listening),
        })
    }

    /// The name of an image of this registry.
    #[must_use]
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Its host and port, as they stand in names of images.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts an image under `repository:tag`, where another may have been.
    pub fn put(&self, tag: &str, image: &Pullable) {
        let mut state = self.shared.state();
        state.blobs.extend(image.blobs.iter().cloned());
        state.manifests.insert(image.digest.clone(), image.manifest.clone());
        state.tags.insert(tag.to_owned(), image.digest.clone());
    }

    /// Changes how it behaves, from now on.
    pub fn feel(&self, mood: Mood) {
        let mut state = self.shared.state();
        state.mood = mood;
        state.left = None;
    }

    /// Changes how it behaves, for so many answers.
    pub fn feel_for(&self, answers: usize, mood: Mood) {
        let mut state = self.shared.state();
        state.mood = mood;
        state.left = Some(answers);
    }

    /// How often an image of the repository was pulled, or looked at to see whether it is another by now.
    #[must_use]
    pub fn pulls(&self, repository: &str) -> usize {
        self.shared.state().pulls.get(repository).copied().unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        if let Some(listening) = self.listening.take() {
            // It looks whether it is closed at least this often.
            listening.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) {
        // A peer that is gone needs no answer.
        self.exchange(&mut stream).ok();
    }

    fn exchange(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let head = read_head(stream)?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mood = self.mood();
        match mood {
            Mood::Silent => return self.say_nothing(stream),
            Mood::Refusing(status) => return answer(stream, method, status, "", br#"{"errors":[]}"#),
            Mood::Well | Mood::StuckInLayer => {}
        }
        let authorized = self.login.as_ref().is_none_or(|login| {
            let wanted = format!("Basic {login}");
            let mut headers = head.lines().filter_map(|line| line.split_once(": "));
            headers.any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == wanted)
        });
        if !authorized {
            let wants = "www-authenticate: Basic realm=\"bed\"\r\n";
            let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            return answer(stream, method, 401, wants, body);
        }
        match self.find(method, path) {
            Some(Found::Nothing) => answer(stream, method, 200, "", b"{}"),
            Some(Found::Manifest(digest, body)) => {
                let headers = format!("content-type: {MANIFEST_TYPE}\r\ndocker-content-digest: {digest}\r\n");
                answer(stream, method, 200, &headers, &body)
            }
            Some(Found::Blob(body)) if mood == Mood::StuckInLayer && body.first() != Some(&b'{') => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body[..body.len() / 2])?;
                self.say_nothing(stream)
            }
            Some(Found::Blob(body)) => answer(stream, method, 200, "", &body),
            None => {
                let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
                answer(stream, method, 404, "", body)
            }
        }
    }

    fn mood(&self) -> Mood {
        let mut state = self.state();
        if state.left == Some(0) {
            state.mood = Mood::Well;
            state.left = None;
        }
        state.left = state.left.map(|left| left - 1);
        state.mood
    }

    fn find(&self, method: &str, path: &str) -> Option<Found> {
        let path = path.strip_prefix("/v2/")?;
        if path.is_empty() {
            return Some(Found::Nothing);
        }
        let mut state = self.state();
        if let Some((_, digest)) = path.split_once("/blobs/") {
            return Some(Found::Blob(state.blobs.get(digest)?.clone()));
        }
        let (repository, reference) = path.split_once("/manifests/")?;
        let digest = match state.tags.get(&format!("{repository}:{reference}")) {
            Some(digest) => digest.clone(),
            None => reference.to_owned(),
        };
        let manifest = state.manifests.get(&digest)?.clone();
        if method == "GET" {
            *state.pulls.entry(repository.to_owned()).or_default() += 1;
        }
        Some(Found::Manifest(digest, manifest))
    }

    /// Until the peer has had enough.
    fn say_nothing(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PAUSE))?;
        while !self.state().closed {
            match stream.read(&mut [0; 64]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

enum Found {
    Nothing,
    Manifest(String, Vec<u8>),
    Blob(Vec<u8>),
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        if head.is_empty() && byte == [TLS_HANDSHAKE] {
            // Docker tries TLS first, and goes on without when it is not understood.
            return Err(io::Error::other("TLS is not spoken here"));
        }
        head.extend(byte);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

fn answer(stream: &mut TcpStream, method: &str, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} As told\r\nconnection: close\r\ndocker-distribution-api-version: registry/2.0\r\n{headers}\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        stream.write_all(body)?;
    }
    stream.flush()
}

/// A listener of a network namespace: a socket belongs to the namespace of the thread that made it, for ever.
fn listen_in(namespace: &str) -> Result<TcpListener> {
    let path = format!("/run/netns/{namespace}");
    let file = File::open(&path).with_context(|| format!("open {path}"))?;
    let bound = thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok::<_, io::Error>(listener)
    });
    let listener = bound.join().map_err(|_| anyhow!("the listening thread panicked"))?;
    listener.with_context(|| format!("listen in {path}"))
}
