//! The ECS JSON protocol, as the AWS SDKs speak it but without their checks, so that a test may send anything.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::{self, Response};

/// What `X-Amz-Target` begins with.
pub const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";

/// What it begins with where Application Auto Scaling is meant.
pub const SCALING_PREFIX: &str = "AnyScaleFrontendService.";

/// A scheduler's ECS API.
#[derive(Debug, Clone)]
pub struct Ecs {
    address: SocketAddr,
}

/// A refusal in the ECS JSON protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// The exception's name: `__type`, without a namespace.
    pub class: String,
    /// What it says.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.class, self.message)
    }
}

impl std::error::Error for Fault {}

impl Ecs {
    /// The API at an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An operation that must succeed.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if the scheduler refuses, otherwise what went wrong on the way.
    pub fn call(&self, operation: &str, input: &Value) -> Result<Value> {
        self.call_target(TARGET_PREFIX, operation, input)
    }

    /// An operation of Application Auto Scaling that must succeed.
    ///
    /// # Errors
    ///
    /// As [`Ecs::call`].
    pub fn call_scaling(&self, operation: &str, input: &Value) -> Result<Value> {
        self.call_target(SCALING_PREFIX, operation, input)
    }

    fn call_target(&self, prefix: &str, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("{prefix}{operation}");
        let response = self.send(Some(&target), input.to_string().as_bytes())?;
        if response.status == 200 {
            return serde_json::from_slice(&response.body)
                .with_context(|| format!("{operation} answers {}", response.text()));
        }
        Err(fault(&response)?).with_context(|| format!("{operation} {input}"))
    }

    /// An operation that must be refused.
    ///
    /// # Errors
    ///
    /// If it succeeds, or what went wrong on the way.
    pub fn refusal(&self, operation: &str, input: &Value) -> Result<Fault> {
        match self.call(operation, input) {
            Ok(answer) => bail!("{operation} {input} succeeded: {answer}"),
            Err(error) => error.downcast::<Fault>(),
        }
    }

    /// A POST with any target, or none, and any body.
    ///
    /// # Errors
    ///
    /// If the scheduler does not answer in HTTP.
    pub fn send(&self, target: Option<&str>, body: &[u8]) -> Result<Response> {
        let mut headers = vec![("content-type", "application/x-amz-json-1.1")];
        headers.extend(target.map(|target| ("x-amz-target", target)));
        let request = http::request("POST", "/", &headers, body);
        http::tcp(self.address, &request)
    }
}

/// The fault in an answer of the ECS JSON protocol.
///
/// # Errors
///
/// If the answer is not one.
pub fn fault(response: &Response) -> Result<Fault> {
    let text = response.text();
    let body: Value = serde_json::from_str(&text).with_context(|| format!("{}: {text}", response.status))?;
    let Some(kind) = body["__type"].as_str() else {
        bail!("{} without __type: {text}", response.status);
    };
    let class = kind.rsplit('#').next().unwrap_or(kind);
    let message = body["message"].as_str().or_else(|| body["Message"].as_str());
    Ok(Fault {
        status: response.status,
        class: class.to_owned(),
        message: message.unwrap_or_default().to_owned(),
    })
}
