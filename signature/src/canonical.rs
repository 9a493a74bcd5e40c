//! The one form of a request that both sides sign: the canonical request, and the string to sign.

use crate::digest::{hex, sha256};
use crate::presented::Scope;
use crate::{SigningDate, digest};

/// The algorithm, as requests name it.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The query parameter that is not signed: the signature itself.
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// A request as it is on the wire.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, as it was sent.
    pub path: &'a str,
    /// What follows the question mark, as it was sent; empty where nothing does.
    pub query: &'a str,
    /// Names in lower case and values, in the order in which they came. HTTP/2's `:authority` is `host` here.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body.
    pub body: &'a [u8],
}

impl HttpRequest<'_> {
    /// The values of a header, in their order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.headers.iter().filter(move |(known, _)| *known == name);
        named.map(|(_, value)| *value)
    }

    /// The canonical request, with these headers: lower-case names in order.
    pub(crate) fn canonical(&self, signed: &[String]) -> Vec<u8> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.method,
            canonical_path(self.path),
            canonical_query(self.query)
        )
        .into_bytes();
        for name in signed {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            for (nth, value) in self.values(name).enumerate() {
                if nth > 0 {
                    text.push(b',');
                }
                push_trimmed(&mut text, value);
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(signed.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(hex(&sha256(self.body)).as_bytes());
        text
    }
}

/// What is signed of a canonical request.
pub(crate) fn string_to_sign(date: SigningDate, scope: &Scope, canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&sha256(canonical)))
}

/// The key of one day, region and service.
pub(crate) fn signing_key(secret: &str, scope: &Scope) -> [u8; digest::SIZE] {
    let by_day = digest::hmac(format!("AWS4{secret}").as_bytes(), scope.day.as_bytes());
    let by_region = digest::hmac(&by_day, scope.region.as_bytes());
    let by_service = digest::hmac(&by_region, scope.service.as_bytes());
    digest::hmac(&by_service, b"aws4_request")
}

/// The path without `.`, `..` and doubled slashes, encoded once more than it was sent, as every service but S3 has it.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut canonical = String::with_capacity(path.len() + 1);
    for segment in &segments {
        canonical.push('/');
        encode(&mut canonical, segment.as_bytes());
    }
    if segments.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The parameters by name and value, each encoded the one right way, without the signature.
fn canonical_query(query: &str) -> String {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in parameters_of(query) {
        if name != SIGNATURE_PARAMETER.as_bytes() {
            let encoded = |bytes: &[u8]| {
                let mut text = String::new();
                encode(&mut text, bytes);
                text
            };
            parameters.push((encoded(&name), encoded(&value)));
        }
    }
    parameters.sort();
    let written: Vec<String> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    written.join("&")
}

/// Names and values of a query, decoded.
pub(crate) fn parameters_of(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

/// Percent-encoding undone; what is no such encoding stays as it is. A plus is a plus.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(digest::unhex::<1>)) {
            (b'%', Some([byte])) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// RFC 3986: all but letters, digits, `-`, `.`, `_` and `~` becomes `%XX`.
pub(crate) fn encode(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The value without blanks around it, and with one where it has several.
fn push_trimmed(text: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (nth, word) in words.enumerate() {
        if nth > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized_and_encoded_twice() {
        for (path, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/foo/..", "/"),
            ("/foo/bar/../..", "/"),
            ("//foo//", "/foo/"),
            ("/./foo", "/foo"),
            ("/foo/.", "/foo"),
            ("/example/..", "/"),
            ("/foo/%41bar", "/foo/%2541bar"),
            ("/foo bar~", "/foo%20bar~"),
            ("/berth.ecs.v1.Ecs/RunTask", "/berth.ecs.v1.Ecs/RunTask"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_in_one_way() {
        for (query, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&A=0", "A=0&a=1&a=2"),
            ("a", "a="),
            ("a=%7e%2F&b=/+", "a=~%2F&b=%2F%2B"),
            ("a=%zz", "a=%25zz"),
            ("X-Amz-Signature=00&a=%C3%A9", "a=%C3%A9"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }
}
