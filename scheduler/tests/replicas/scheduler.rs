//! A scheduler process on a journal in etcd.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_proto::ecs::v1::ecs_client::EcsClient;
use tonic::transport::{Channel, Endpoint};

use crate::etcd::free;

const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// A call that waits for a scheduler that is cut off is given up.
const CALL: Duration = Duration::from_secs(20);

pub(crate) struct Scheduler {
    journal: String,
    address: SocketAddr,
    child: Option<Child>,
}

impl Scheduler {
    pub(crate) fn start(journal: &str) -> Self {
        let mut scheduler = Self {
            journal: journal.to_owned(),
            address: free(),
            child: None,
        };
        scheduler.restart();
        scheduler
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn client(&self) -> Option<EcsClient<Channel>> {
        client(&self.url()).await
    }

    /// A connection for the operations that ECS does not have.
    pub(crate) async fn channel(&self) -> Channel {
        channel(&self.url()).await.unwrap()
    }

    /// The status and the text of `/readyz`.
    pub(crate) fn readiness(&self) -> (u16, String) {
        self.get("/readyz")
    }

    /// The status and the text of a page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(CALL)).unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split("\r\n\r\n").nth(1).unwrap().to_owned())
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it and waits until it serves.
    pub(crate) fn restart(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", &self.address.to_string(), "--journal", &self.journal])
            .args(["--scaling-period", "1"])
            .env(
                "BERTH_LOG",
                std::env::var("BERTH_TEST_LOG").unwrap_or_else(|_| "error".to_owned()),
            )
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the scheduler ended: {ended:?}");
            assert!(Instant::now() < deadline, "the scheduler does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client of the scheduler there, if there is one.
pub(crate) async fn client(url: &str) -> Option<EcsClient<Channel>> {
    channel(url).await.map(EcsClient::new)
}

async fn channel(url: &str) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).timeout(CALL);
    endpoint.connect().await.ok()
}
