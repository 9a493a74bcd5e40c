//! What a provider of credentials writes: the format of AWS's `credential_process`.

use std::fmt;
use std::time::Duration;

use berth_model::time::Timestamp;
use serde::Deserialize;

/// How long credentials that name no end are said to last. SDKs ask again before.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// Credentials of one role. They print as nothing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    /// Empty where the credentials are not temporary.
    pub(super) token: String,
    pub(super) expires: Timestamp,
    /// Whether the document says so.
    pub(super) ends: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    version: Option<u32>,
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Credentials {
    /// Reads a document; what is wrong is told without what it says.
    pub(super) fn read(text: &[u8], now: Timestamp) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        Self::of(document, now)
    }

    /// Reads the document of the role from an object of documents by role.
    pub(super) fn read_of_role(text: &[u8], role: &str, now: Timestamp) -> Result<Self, String> {
        let mut all: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        let own = all.remove(role).ok_or("it has no member of the role's ARN")?;
        let document = serde_json::from_value(own).map_err(|error| malformed(&error))?;
        Self::of(document, now)
    }

    fn of(document: Document, now: Timestamp) -> Result<Self, String> {
        if let Some(version) = document.version.filter(|version| *version != 1) {
            return Err(format!("Version is {version}, it must be 1"));
        }
        if document.access_key_id.is_empty() || document.secret_access_key.is_empty() {
            return Err("AccessKeyId or SecretAccessKey is empty".to_owned());
        }
        let expires = match &document.expiration {
            None => now + WITHOUT_END,
            Some(text) => Timestamp::from_rfc3339(text)
                .ok_or_else(|| format!("Expiration is '{text}', it must be like 2026-01-31T12:00:00Z"))?,
        };
        if expires <= now {
            return Err(format!("the credentials expired at {}", expires.to_rfc3339()));
        }
        Ok(Self {
            access_key_id: document.access_key_id,
            secret_access_key: document.secret_access_key,
            token: document.session_token.unwrap_or_default(),
            expires,
            ends: document.expiration.is_some(),
        })
    }
}

/// The place alone: the words of the JSON library repeat values.
fn malformed(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let kind = match error.classify() {
        Category::Data => "JSON, but not an object with the texts AccessKeyId and SecretAccessKey",
        Category::Io | Category::Syntax | Category::Eof => "not JSON",
    };
    format!("it is {kind} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn a_document_of_the_process_protocol_is_read() {
        let text = br#"{"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s3cret", "SessionToken": "t0ken",
            "Expiration": "2023-11-14T23:00:00+00:00", "AccountId": "0"}"#;
        let read = Credentials::read(text, NOW).unwrap();
        assert_eq!((read.access_key_id.as_str(), read.token.as_str()), ("AKIA", "t0ken"));
        assert_eq!(read.expires.to_rfc3339(), "2023-11-14T23:00:00.000Z");
        assert_eq!(format!("{read:?}"), "Credentials");
        let lasting = Credentials::read(br#"{"AccessKeyId": "AKIA", "SecretAccessKey": "s3cret"}"#, NOW).unwrap();
        assert_eq!(
            (lasting.expires, lasting.ends, lasting.token.as_str()),
            (NOW + WITHOUT_END, false, "")
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for (text, says) in [
            ("s3cret", "it is not JSON (line 1"),
            (
                r#"{"AccessKeyId": "AKIA", "SecretAccessKey": 53}"#,
                "JSON, but not an object",
            ),
            (
                r#"{"Version": 2, "AccessKeyId": "AKIA", "SecretAccessKey": "s3cret"}"#,
                "Version is 2",
            ),
            (
                r#"{"AccessKeyId": "AKIA", "SecretAccessKey": ""}"#,
                "SecretAccessKey is empty",
            ),
            (
                r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "s3cret", "Expiration": "soon"}"#,
                "Expiration is 'soon'",
            ),
            (
                r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "s3cret", "Expiration": "2020-01-01T00:00:00Z"}"#,
                "expired at 2020",
            ),
        ] {
            let error = Credentials::read(text.as_bytes(), NOW).unwrap_err();
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_file_has_a_document_for_each_role() {
        let text = br#"{"arn:one": {"AccessKeyId": "ONE", "SecretAccessKey": "s"},
                        "arn:two": {"AccessKeyId": "TWO", "SecretAccessKey": "s"}}"#;
        let of = |role: &str| Credentials::read_of_role(text, role, NOW).map(|read| read.access_key_id);
        assert_eq!(of("arn:two").unwrap(), "TWO");
        assert_eq!(of("arn:three").unwrap_err(), "it has no member of the role's ARN");
    }
}
