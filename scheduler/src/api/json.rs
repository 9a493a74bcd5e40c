//! The JSON mouth: the JSON 1.1 protocol of ECS and of Application Auto Scaling, as the AWS CLI and the SDKs speak it.
//!
//! `POST /` with the operation in `X-Amz-Target` and a JSON object as body; answers are JSON objects, errors carry
//! `__type` and `message`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use berth_model::fault::{Fault, FaultClass};
use berth_proto::ecs::v1 as ecs;
use berth_proto::v1 as berth;
use berth_scheduler_core::keys::Revision;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::authorize::is_write;
use super::call::{self, At};
use super::operations::{self, as_seen, for_each_operation, for_each_scaling_operation, unserved};
use super::signed::Signed;
use super::{
    Api, account, attributes, autoscaling, capacity, clusters, definitions, exec, faults, instances, protection,
    services, submissions, tags, task_sets, tasks,
};
use crate::auth::{Authority, Call, Caller};

/// Bytes of a request body: far above the 64 KiB of a task definition, the largest thing that ECS takes.
const MAX_BODY: usize = 1024 * 1024;
/// Bytes that are read and thrown away, so that the caller sees the error instead of a broken connection.
const MAX_DRAIN: usize = 64 * 1024 * 1024;
/// What targets begin with: those of ECS, and those of Application Auto Scaling.
const ECS_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
const SCALING_PREFIX: &str = "AnyScaleFrontendService.";

/// Answers one request of the protocol; `peer` is the caller's address.
pub async fn answer(api: Arc<Api>, peer: IpAddr, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let attempted = attempt(&api, peer, &parts, body).await;
    let (answered, revision) = attempted.unwrap_or_else(|fault| (Err(fault), None));
    let mut response = match answered {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(header::CONTENT_TYPE, faults::AMZ_JSON);
            response
        }
        Err(fault) => faults::json(&fault),
    };
    if let Some(Revision(revision)) = revision {
        response
            .headers_mut()
            .insert(call::REVISION, HeaderValue::from(revision));
    }
    // SDKs show it in their errors; the caller's own id is the one it can search for.
    if let Some(id) = parts.headers.get("amz-sdk-invocation-id") {
        response
            .headers_mut()
            .insert("x-amzn-requestid", HeaderValue::clone(id));
    }
    response
}

/// What an operation said, and the revision that it is of.
type Answered = (Result<Vec<u8>, Fault>, Option<Revision>);

async fn attempt(api: &Api, peer: IpAddr, parts: &Parts, body: Body) -> Result<Answered, Fault> {
    let body = collect(body).await?;
    // It is the same to everybody.
    if target(parts).is_ok_and(|target| target == exec::RESUME) {
        return Ok((Ok(exec::NOT_RESUMED.to_vec()), None));
    }
    let caller = caller(api, peer, parts, &body)?;
    let asked = Asked {
        body: &body,
        at: At::read(parts.headers.get(call::AT).map(HeaderValue::as_bytes)),
        caller,
    };
    let target = target(parts)?;
    if let Some(operation) = target.strip_prefix(ECS_PREFIX) {
        return dispatch_ecs(api, operation, asked).await;
    }
    if let Some(operation) = target.strip_prefix(SCALING_PREFIX) {
        let answered = dispatch_scaling(api, operation, asked).await;
        return answered.map_err(autoscaling::in_its_words);
    }
    let text = format!("X-Amz-Target '{target}' must begin with {ECS_PREFIX} or {SCALING_PREFIX}");
    Err(Fault::new(FaultClass::UnknownOperation, text))
}

/// A request to an operation.
struct Asked<'a> {
    body: &'a [u8],
    at: Result<Option<At>, Fault>,
    caller: Caller,
}

fn target(parts: &Parts) -> Result<&str, Fault> {
    let unknown = |text: String| Fault::new(FaultClass::UnknownOperation, text);
    if parts.method != Method::POST || parts.uri.path() != "/" {
        return Err(unknown(format!(
            "{} {} is no request of the ECS API: use POST /.",
            parts.method,
            parts.uri.path()
        )));
    }
    parts
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .ok_or_else(|| unknown("The header X-Amz-Target must name the operation.".to_owned()))
}

/// Who calls: who signed the request, or, where nobody is asked, whose access key it names.
fn caller(api: &Api, peer: IpAddr, parts: &Parts, body: &[u8]) -> Result<Caller, Fault> {
    if api.authenticator.is_required() {
        let target = target(parts).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let services: &[&str] = match () {
            () if target.starts_with(SCALING_PREFIX) => &["application-autoscaling"],
            () if target.starts_with(ECS_PREFIX) => &["ecs"],
            () => &["ecs", "application-autoscaling"],
        };
        let signed = Signed::of(parts);
        return api.identify(&Call {
            request: &signed.request(body),
            wire: "ecs",
            address: peer,
            services,
            writes: is_write(operation),
            peer: parts.extensions.get(),
        });
    }
    let key = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, rest)| rest.split('/').next());
    Ok(Caller {
        principal: match key {
            Some(key) => format!("ecs {peer} {key}").into(),
            None => format!("ecs {peer}").into(),
        },
        address: peer,
        authority: Authority::Unasked,
        reached: Signed::of(parts).reached(parts.extensions.get()),
    })
}

async fn collect(mut body: Body) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Fault::new(FaultClass::Serialization, format!("The body cannot be read: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        length = length.saturating_add(data.len());
        if length <= MAX_BODY {
            bytes.extend_from_slice(data);
        } else if length > MAX_DRAIN {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if length > MAX_BODY {
        return Err(Fault::client(format!(
            "The request body is too long. Actual length: '{length}'. Max allowed length is '{MAX_BODY}' bytes."
        )));
    }
    Ok(bytes)
}

fn read<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let wrong = |text: String| Fault::new(FaultClass::Serialization, text);
    let request = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let member = error.path().to_string();
        match member.as_str() {
            "." => wrong(format!("The body is no valid request: {}", error.inner())),
            _ => wrong(format!("{member}: {}", error.inner())),
        }
    })?;
    deserializer
        .end()
        .map_err(|error| wrong(format!("The body is no valid request: {error}")))?;
    // Serde takes a list of the members' values for a structure; the protocol does not.
    let given: Value = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let understood = serde_json::to_value(&request).map_err(|error| Fault::server(error.to_string()))?;
    match list_for_object(&given, &understood) {
        None => Ok(request),
        Some(member) => Err(wrong(format!("{member}: invalid type: list, expected an object"))),
    }
}

/// The path of the first member that is a list where an object belongs.
fn list_for_object(given: &Value, understood: &Value) -> Option<String> {
    let below = |name: &str, found: String| format!("{name}.{found}").trim_end_matches('.').to_owned();
    match (given, understood) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Array(given), Value::Array(understood)) => given
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(at, (given, understood))| Some(below(&at.to_string(), list_for_object(given, understood)?))),
        (Value::Object(given), Value::Object(understood)) => given
            .iter()
            .find_map(|(name, given)| Some(below(name, list_for_object(given, understood.get(name)?)?))),
        _ => None,
    }
}

fn write<T: Serialize>(response: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(response).map_err(|error| Fault::server(format!("the answer cannot be written: {error}")))
}

macro_rules! json_mouth {
    (
        $dispatch:ident $wire:ident $service:literal $api:path;
        served { $($name:literal $kind:ident $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        async fn $dispatch(api: &Api, operation: &str, asked: Asked<'_>) -> Result<Answered, Fault> {
            match operation {
                $($name => {
                    let request = read::<$wire::$request>(asked.body)?;
                    api.authorize($service, $name, &request, &asked.caller)?;
                    let api = as_seen!($kind api, $name, asked.at?)?;
                    let served = $serve(&api, request, &asked.caller).await;
                    Ok((served.and_then(|answer| write(&answer)), Some(api.view().revision())))
                })+
                $($no_name => Err(unserved($no_name)),)*
                other => Err(operations::unknown($api, other)),
            }
        }
    };
}

for_each_operation!(json_mouth dispatch_ecs ecs "ecs" operations::ECS;);
for_each_scaling_operation!(json_mouth dispatch_scaling berth "application-autoscaling" operations::SCALING;);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, says: Option<&str>) {
        let read = read::<ecs::RunTaskRequest>(body.as_bytes());
        match says {
            None => assert!(read.is_ok(), "{body}: {read:?}"),
            Some(says) => {
                let fault = read.unwrap_err();
                assert_eq!(fault.class, FaultClass::Serialization, "{body}");
                assert!(fault.message.contains(says), "{body}: {fault}");
            }
        }
    }

    #[test]
    fn members_are_read_and_their_errors_name_them() {
        check("{}", None);
        check(
            r#"{"count": 2, "unknown": [1], "tags": null, "overrides": {"containerOverrides": [{"name": "a"}]}}"#,
            None,
        );
        check("", Some("no valid request"));
        check("{} {}", Some("trailing characters"));
        check(r#"{"count": "2"}"#, Some("count: invalid type"));
        check(r#"{"tags": [{"key": 1}]}"#, Some("tags[0].key: invalid type"));
        check("[]", Some("expected an object"));
        check(r#"{"overrides": []}"#, Some("overrides: invalid type: list"));
        check(
            r#"{"overrides": {"containerOverrides": [["a"]]}}"#,
            Some("overrides.containerOverrides.0: invalid type: list"),
        );
    }
}
