//! Docker's `config.json`, as far as it concerns credentials, and what `ECS_ENGINE_AUTH_DATA` holds, which is the same
//! list.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_agent_core::image::reference::DOCKER_HUB;
use serde::Deserialize;

use crate::docker::Login;
use crate::secrets::Secret;

/// The address under which credentials of Docker Hub are kept.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";
/// Members that a user name of this form stands for: the password is an identity token.
const TOKEN_USER: &str = "<token>";

/// The file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ConfigFile {
    auths: Auths,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

/// Credentials by the registry's address.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Auths(BTreeMap<String, Entry>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// Where a registry's credentials are.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Here(Result<Login, String>),
    /// The helper's name, after `docker-credential-`.
    Helper(&'a str),
}

/// How helpers are asked for a registry.
pub(super) fn server(registry: &str) -> &str {
    if registry == DOCKER_HUB {
        DOCKER_HUB_SERVER
    } else {
        registry
    }
}

impl ConfigFile {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| place(&error))
    }

    /// A helper for this registry comes first, then one for all, then what the file holds itself: as Docker has it.
    pub(super) fn source(&self, registry: &str) -> Option<Source<'_>> {
        let own = self.cred_helpers.iter().find(|(address, _)| names(address, registry));
        if let Some((_, helper)) = own {
            return Some(Source::Helper(helper));
        }
        if !self.creds_store.is_empty() {
            return Some(Source::Helper(&self.creds_store));
        }
        self.auths.login(registry).map(Source::Here)
    }
}

impl Auths {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("the credentials given to the agent: {}", place(&error)))
    }

    /// What is held for the registry, if anything.
    pub(super) fn login(&self, registry: &str) -> Option<Result<Login, String>> {
        let (address, entry) = self.0.iter().find(|(address, _)| names(address, registry))?;
        entry.login(address).transpose()
    }
}

impl Entry {
    fn login(&self, address: &str) -> Result<Option<Login>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(Secret::new(self.identitytoken.clone()))));
        }
        if !self.auth.is_empty() {
            let invalid = || format!("'auth' of '{address}' is not 'user:password' in base64");
            let bytes = STANDARD.decode(self.auth.trim()).map_err(|_| invalid())?;
            let text = String::from_utf8(bytes).map_err(|_| invalid())?;
            let (user, password) = text.split_once(':').ok_or_else(invalid)?;
            return Ok(Some(login(user, password.trim_end_matches('\0'))));
        }
        Ok((!self.username.is_empty()).then(|| login(&self.username, &self.password)))
    }
}

/// A user's login, or the token that stands in its place.
pub(super) fn login(user: &str, password: &str) -> Login {
    let password = Secret::new(password.to_owned());
    if user == TOKEN_USER {
        Login::IdentityToken(password)
    } else {
        Login::Password {
            user: user.to_owned(),
            password,
        }
    }
}

/// Whether the address, which may be a URL, is the registry's.
fn names(address: &str, registry: &str) -> bool {
    let host = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    host == registry || (registry == DOCKER_HUB && host == "index.docker.io")
}

/// Where JSON is wrong: serde's own words would show part of what it holds.
fn place(error: &serde_json::Error) -> String {
    format!(
        "not the JSON that Docker writes, line {} column {}",
        error.line(),
        error.column()
    )
}
