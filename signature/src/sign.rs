//! Signing, as a client does.

use std::fmt;

use crate::canonical::{ALGORITHM, signing_key, string_to_sign};
use crate::presented::Scope;
use crate::secret::MasterKey;
use crate::{HttpRequest, SigningDate, digest};

/// What a client signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// The token, where they are a session's.
    pub token: Option<String>,
}

/// Without what is secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The operator's own key, which follows from the master key.
    #[must_use]
    pub fn root(master: &MasterKey) -> Self {
        let access_key = master.root_id();
        Self {
            secret: master.secret_of(&access_key),
            access_key,
            token: None,
        }
    }

    /// The headers that make the request a signed one: `x-amz-date`, `x-amz-security-token` for a session, and
    /// `authorization`. All headers of the request are signed, so it must have its `host` and none that a proxy changes.
    #[must_use]
    pub fn sign(
        &self,
        request: &HttpRequest<'_>,
        at: SigningDate,
        region: &str,
        service: &str,
    ) -> Vec<(&'static str, String)> {
        let date = at.to_string();
        let mut headers = request.headers.to_vec();
        headers.push(("x-amz-date", date.as_bytes()));
        if let Some(token) = &self.token {
            headers.push(("x-amz-security-token", token.as_bytes()));
        }
        let mut names: Vec<String> = headers.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        names.dedup();
        let scope = Scope {
            day: at.day(),
            region: region.to_owned(),
            service: service.to_owned(),
        };
        let request = HttpRequest {
            headers: &headers,
            ..*request
        };
        let string = string_to_sign(at, &scope, &request.canonical(&names));
        let signature = digest::hmac(&signing_key(&self.secret, &scope), string.as_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.access_key,
            names.join(";"),
            digest::hex(&signature)
        );
        let mut added = vec![("x-amz-date", date), ("authorization", authorization)];
        if let Some(token) = &self.token {
            added.push(("x-amz-security-token", token.clone()));
        }
        added
    }
}
