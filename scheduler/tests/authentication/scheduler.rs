//! A scheduler process that asks who calls, and callers of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_model::time::Timestamp;
use berth_signature::sign::Credentials;
use berth_signature::{HttpRequest, SigningDate};
use prost::Message;
use serde_json::Value;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

pub(crate) const PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";

pub(crate) struct Scheduler {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it has said.
    pub(crate) log: Arc<Mutex<String>>,
}

impl Scheduler {
    pub(crate) fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", "127.0.0.1:0", "--auth", "required", "--data-dir"])
            .arg(data)
            .env("BERTH_LOG", "debug")
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
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push_str(&(line + "\n"))));
        Self { child, address, log }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn channel(&self) -> Channel {
        let url = format!("http://{}", self.address);
        Endpoint::from_shared(url).unwrap().connect().await.unwrap()
    }

    /// The bytes of a signed call of the JSON protocol.
    pub(crate) fn signed(&self, credentials: &Credentials, target: &str, body: &Value, skew: i64) -> Vec<u8> {
        let body = body.to_string();
        let host = self.address.to_string();
        let headers = [("host", host.as_bytes()), ("x-amz-target", target.as_bytes())];
        let request = HttpRequest {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
        };
        let service = if target.starts_with(PREFIX) {
            "ecs"
        } else {
            "application-autoscaling"
        };
        let added = credentials.sign(&request, date(skew), "eu-west-1", service);
        let added: String = added
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\nX-Amz-Target: \
             {target}\r\n{added}\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Status and body of what is answered to the bytes.
    pub(crate) fn send(&self, request: &[u8]) -> (u16, Value) {
        let (status, body) = self.send_text(request);
        (status, serde_json::from_str(&body).unwrap())
    }

    pub(crate) fn send_text(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A signed call of ECS.
    pub(crate) fn call(&self, credentials: &Credentials, operation: &str, body: &Value) -> Result<Value, String> {
        let (status, answer) = self.send(&self.signed(credentials, &format!("{PREFIX}{operation}"), body, 0));
        match status {
            200 => Ok(answer),
            _ => Err(format!(
                "{}: {}",
                answer["__type"].as_str().unwrap(),
                answer["message"].as_str().unwrap()
            )),
        }
    }

    /// A gRPC request that is signed.
    pub(crate) fn request<Q: Message>(&self, credentials: &Credentials, path: &str, message: Q) -> Request<Q> {
        let bytes = message.encode_to_vec();
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let body = [&[0][..], &length, &bytes].concat();
        let host = self.address.to_string();
        let headers = [("host", host.as_bytes())];
        let signed = HttpRequest {
            method: "POST",
            path,
            query: "",
            headers: &headers,
            body: &body,
        };
        let mut request = Request::new(message);
        for (name, value) in credentials.sign(&signed, date(0), "us-east-1", "ecs") {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        request
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// So many seconds from now.
fn date(skew: i64) -> SigningDate {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    SigningDate::of(Timestamp::from_millis(
        i64::try_from(now.as_millis()).unwrap() + skew * 1000,
    ))
}
