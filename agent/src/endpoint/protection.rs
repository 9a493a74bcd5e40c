//! Task protection: `${ECS_AGENT_URI}/task-protection/v1/state`, with the bodies of the ECS agent. The scheduler decides.

use std::time::Duration;

use berth_model::time::Timestamp;
use berth_proto::agent::v1::protection_answer::Answer as Decided;
use berth_proto::agent::v1::{Fault, ProtectionAnswer, ProtectionRequest};
use berth_proto::ecs::v1 as ecs;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::answer::{Answer, json};
use super::view::View;
use crate::event::{Event, ProtectionAsked};

/// ECS's for the call to its API.
const DEADLINE: Duration = Duration::from_secs(4);
/// For the request's body, and its bytes.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
const LARGEST_BODY: usize = 4 * 1024;

const INVALID: &str = "InvalidParameterException";
const SERVER: &str = "ServerException";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    protection_enabled: Option<bool>,
    #[serde(default)]
    expires_in_minutes: Option<i32>,
}

/// One of the three is there.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Protection(Protection),
    Failure(Failure),
    Error(Refusal),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Protection {
    expiration_date: Option<String>,
    protection_enabled: bool,
    task_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    arn: Option<String>,
    detail: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    #[serde(skip_serializing_if = "str::is_empty")]
    arn: String,
    code: String,
    message: String,
}

/// The answer to a container that asks for its task's protection, or sets it.
pub(super) async fn answer(
    view: &View,
    events: &mpsc::Sender<Event>,
    name: &str,
    method: &Method,
    body: Incoming,
) -> Answer {
    let wanted = match *method {
        Method::PUT => match read(body).await {
            Some(wanted) => Some(wanted),
            None => {
                let words = "UpdateTaskProtection: failed to decode request";
                return refuse(StatusCode::BAD_REQUEST, "", INVALID, words);
            }
        },
        _ => None,
    };
    let arn = match view.container(name) {
        Some((known, _)) => known.record.spec.arn.clone(),
        None if view.complete => {
            let words = "Failed to find a task for the request";
            return refuse(StatusCode::NOT_FOUND, "", "ResourceNotFoundException", words);
        }
        None => {
            let words = "the agent is loading its tasks; try again";
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "", SERVER, words);
        }
    };
    if wanted
        .as_ref()
        .is_some_and(|wanted| wanted.protection_enabled.is_none())
    {
        let words = "Invalid request: does not contain 'ProtectionEnabled' field";
        return refuse(StatusCode::BAD_REQUEST, &arn, INVALID, words);
    }
    let request = ProtectionRequest {
        number: 0,
        task_arn: arn.clone(),
        enabled: wanted.as_ref().and_then(|wanted| wanted.protection_enabled),
        expires_in_minutes: wanted.and_then(|wanted| wanted.expires_in_minutes),
    };
    match tokio::time::timeout(DEADLINE, ask(events, request)).await {
        Ok(Some(answer)) => told(answer, arn),
        Ok(None) => {
            let words = "The agent has no connection to the scheduler; try again";
            refuse(StatusCode::SERVICE_UNAVAILABLE, &arn, SERVER, words)
        }
        Err(_) => {
            let words = "Timed out calling ECS Task Protection API";
            refuse(StatusCode::GATEWAY_TIMEOUT, &arn, "RequestCanceled", words)
        }
    }
}

async fn read(body: Incoming) -> Option<Wanted> {
    let limited = Limited::new(body, LARGEST_BODY).collect();
    let bytes = tokio::time::timeout(BODY_DEADLINE, limited)
        .await
        .ok()?
        .ok()?
        .to_bytes();
    serde_json::from_slice(&bytes).ok()
}

/// None where there is no stream to a scheduler.
async fn ask(events: &mpsc::Sender<Event>, request: ProtectionRequest) -> Option<ProtectionAnswer> {
    let (answer, answered) = oneshot::channel();
    let asked = ProtectionAsked { request, answer };
    events.send(Event::Protection(asked)).await.ok()?;
    answered.await.ok()
}

fn told(answer: ProtectionAnswer, arn: String) -> Answer {
    match answer.answer {
        Some(Decided::Protection(ecs::ProtectedTask {
            task_arn,
            protection_enabled,
            expiration_date,
        })) => {
            let protection = Protection {
                expiration_date: expiration_date.map(|at| Timestamp::from_epoch_seconds(at).to_rfc3339()),
                protection_enabled: protection_enabled.unwrap_or(false),
                task_arn: task_arn.unwrap_or(arn),
            };
            json(StatusCode::OK, &Told::Protection(protection))
        }
        Some(Decided::Failure(ecs::Failure { arn, reason, detail })) => {
            json(StatusCode::OK, &Told::Failure(Failure { arn, detail, reason }))
        }
        Some(Decided::Fault(Fault { fault_class, message })) => {
            let status = match fault_class.as_str() {
                SERVER => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            refuse(status, &arn, &fault_class, &message)
        }
        None => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            &arn,
            SERVER,
            "Unexpected error occurred",
        ),
    }
}

fn refuse(status: StatusCode, arn: &str, code: &str, message: &str) -> Answer {
    let refusal = Refusal {
        arn: arn.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
    };
    json(status, &Told::Error(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(answer: ProtectionAnswer) -> (u16, serde_json::Value) {
        let answer = told(answer, "arn".to_owned());
        let status = answer.status().as_u16();
        let body = futures_util::FutureExt::now_or_never(answer.into_body().collect());
        let bytes = body.unwrap().unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    fn decided(decided: Decided) -> ProtectionAnswer {
        ProtectionAnswer {
            number: 1,
            answer: Some(decided),
        }
    }

    #[test]
    fn answers_are_those_of_the_ecs_agent() {
        let protection = |until: Option<f64>| {
            decided(Decided::Protection(ecs::ProtectedTask {
                task_arn: Some("task".to_owned()),
                protection_enabled: Some(until.is_some()),
                expiration_date: until,
            }))
        };
        assert_eq!(
            body(protection(Some(1_700_000_000.5))),
            (
                200,
                serde_json::json!({"protection": {"ExpirationDate": "2023-11-14T22:13:20.500Z",
                    "ProtectionEnabled": true, "TaskArn": "task"}})
            )
        );
        assert_eq!(
            body(protection(None)).1["protection"],
            serde_json::json!({"ExpirationDate": null, "ProtectionEnabled": false, "TaskArn": "task"})
        );
        let failure = ecs::Failure {
            arn: Some("task".to_owned()),
            reason: Some("TASK_NOT_VALID".to_owned()),
            detail: None,
        };
        assert_eq!(
            body(decided(Decided::Failure(failure))),
            (
                200,
                serde_json::json!({"failure": {"Arn": "task", "Detail": null, "Reason": "TASK_NOT_VALID"}})
            )
        );
        let fault = Fault {
            fault_class: INVALID.to_owned(),
            message: "no".to_owned(),
        };
        assert_eq!(
            body(decided(Decided::Fault(fault))),
            (
                400,
                serde_json::json!({"error": {"Arn": "arn", "Code": INVALID, "Message": "no"}})
            )
        );
    }
}
