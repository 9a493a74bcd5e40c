//! A real etcd of one member, on loopback, with its data in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to serve. Others may want the processors too.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Server {
    data: TempDir,
    pub(super) client: SocketAddr,
    peer: SocketAddr,
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    /// With options, which make it serve TLS.
    pub(super) fn with(options: &[&str]) -> Self {
        let mut server = Self {
            options: options.iter().map(ToString::to_string).collect(),
            data: tempfile::tempdir().unwrap(),
            client: free(),
            peer: free(),
            child: None,
        };
        server.restart();
        server
    }

    /// Starts it on the data that it left.
    pub(super) fn restart(&mut self) {
        let scheme = if self.options.is_empty() { "http" } else { "https" };
        let (client, peer) = (format!("{scheme}://{}", self.client), format!("http://{}", self.peer));
        // Another version than the one installed can be tried.
        let program = std::env::var("BERTH_TEST_ETCD").unwrap_or_else(|_| "etcd".to_owned());
        let child = Command::new(&program)
            .arg("--data-dir")
            .arg(self.data.path().join("etcd"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install etcd-server"));
        self.child = Some(child);
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(self.client).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "etcd ended: {ended:?}");
            assert!(Instant::now() < deadline, "etcd does not serve");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as a crash would.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
