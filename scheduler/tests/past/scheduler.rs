//! A scheduler process with data of its own, asked over both wires.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

pub(crate) struct Scheduler {
    child: Child,
    address: SocketAddr,
}

/// An answer of the JSON mouth.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What the header `berth-revision` says.
    pub(crate) revision: Option<u64>,
    pub(crate) body: Value,
}

impl Scheduler {
    pub(crate) fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env("BERTH_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                line.split_once("serving address=")
                    .map(|(_, address)| address.parse().unwrap())
            })
            .unwrap();
        // What it says besides is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url()).unwrap().connect().await.unwrap()
    }

    /// One call over the ECS JSON protocol; `at` is the moment that is asked for.
    pub(crate) fn json(&self, operation: &str, at: Option<&str>, body: &Value) -> Answer {
        let body = body.to_string();
        let at = at.map_or_else(String::new, |at| format!("Berth-At: {at}\r\n"));
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{at}X-Amz-Target: \
             AmazonEC2ContainerServiceV20141113.{operation}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let revision = head.lines().find_map(|line| line.strip_prefix("berth-revision: "));
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            revision: revision.map(|revision| revision.parse().unwrap()),
            body: serde_json::from_str(body).unwrap(),
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}
