//! Requests as their signatures see them.

use berth_signature::HttpRequest;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use crate::auth::Reached;
use crate::trust::peer::Peer;

/// The head of a request, without its body.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Signed<'a> {
    /// Of a request's head.
    pub(super) fn of(parts: &'a Parts) -> Self {
        Self::from_parts(&parts.method, &parts.uri, &parts.headers)
    }

    fn from_parts(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        let mut named: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        // HTTP/2 has the host in the address alone.
        if let Some(authority) = uri.authority()
            && !headers.contains_key(http::header::HOST)
        {
            named.push(("host", authority.as_str().as_bytes()));
        }
        Self {
            method,
            uri,
            headers: named,
        }
    }

    /// By what address the scheduler was called.
    pub(super) fn reached(&self, peer: Option<&Peer>) -> Reached {
        Reached::of(&self.headers, peer)
    }

    /// The request with its body.
    pub(super) fn request<'s>(&'s self, body: &'s [u8]) -> HttpRequest<'s> {
        HttpRequest {
            method: self.method.as_str(),
            path: self.uri.path(),
            query: self.uri.query().unwrap_or_default(),
            headers: &self.headers,
            body,
        }
    }
}
