//! Credentials of tasks with a role: `/v2/credentials/<id>` and `/v1/credentials?id=<id>`, with the errors of the ECS
//! agent.
//!
//! An id that is not known is refused for good only when every task is known: an SDK does not ask again after a 400.
//! Nothing here logs an id or a credential; who got which role's is logged once a request.

mod document;
mod provider;

use std::net::SocketAddr;

use http::StatusCode;
use serde::Serialize;

pub(crate) use provider::{Provider, Source};

use super::answer::{Answer, json, retry_after};
use super::view::{Known, View};
use document::Credentials;
use provider::Unavailable;

/// Where the lines of who got what are found in the log.
const AUDIT: &str = "berth_agent::audit";

/// As the SDKs read it (AWS SDKs reference guide, "Container credential provider").
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    role_arn: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

#[derive(Serialize)]
struct Refusal {
    code: &'static str,
    message: String,
    #[serde(rename = "HTTPErrorCode")]
    status: u16,
}

/// The answer to a request of the version of the API.
pub(super) async fn answer(
    view: &View,
    provider: Option<&Provider>,
    id: Option<&str>,
    version: u8,
    from: SocketAddr,
) -> Answer {
    let refuse = |status: StatusCode, code: &'static str, why: &str| {
        let refusal = Refusal {
            code,
            message: format!("CredentialsV{version}Request: {why}"),
            status: status.as_u16(),
        };
        json(status, &refusal)
    };
    let later = |seconds: u64, why: &str| {
        let answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "CredentialsUninitialized", why);
        retry_after(answer, seconds)
    };
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "NoIdInRequest",
            "No Credential ID in the request",
        );
    };
    let role = match role(view, id) {
        Ok(found) => found,
        Err(Unknown::Yet) => return later(1, "Credentials uninitialized for ID"),
        Err(Unknown::Always) => {
            tracing::info!(target: AUDIT, peer = %from, status = 400, "credentials refused");
            return refuse(StatusCode::BAD_REQUEST, "InvalidIdInRequest", "Credentials not found");
        }
    };
    let (task, role) = role;
    let got = match provider {
        Some(provider) => provider.credentials(role).await,
        None => Err(Unavailable::Unconfigured),
    };
    let arn = task.record.spec.arn.as_str();
    match got {
        Ok(credentials) => {
            tracing::info!(target: AUDIT, task = arn, role, peer = %from, status = 200, "credentials given");
            json(StatusCode::OK, &told(role, &credentials))
        }
        Err(why) => {
            tracing::info!(target: AUDIT, task = arn, role, peer = %from, status = 503, "credentials not to be had");
            later(why.retry_after_seconds(), &why.to_string())
        }
    }
}

/// Why an id stands for nothing.
enum Unknown {
    /// It may be of a task that is not known yet.
    Yet,
    /// It is of no task with a role.
    Always,
}

fn role<'v>(view: &'v View, id: &str) -> Result<(&'v Known, &'v str), Unknown> {
    let Some(known) = view.of_credentials(id) else {
        return Err(if view.complete { Unknown::Always } else { Unknown::Yet });
    };
    // Of a task that was found by its labels the definition comes with its assignment.
    if known.record.rebuilt {
        return Err(Unknown::Yet);
    }
    match known.record.spec.role() {
        Some(role) if known.record.ended_at.is_none() => Ok((known, role)),
        Some(_) | None => Err(Unknown::Always),
    }
}

fn told<'a>(role: &'a str, credentials: &'a Credentials) -> Told<'a> {
    Told {
        role_arn: role,
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        token: &credentials.token,
        expiration: credentials.expires.to_rfc3339(),
    }
}

#[cfg(test)]
mod tests;
