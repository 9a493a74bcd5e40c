//! From faults to wire errors: the only place that does it.

use axum::body::Body;
use axum::response::Response;
use berth_model::fault::{Fault, FaultClass};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};

/// The content type of the ECS JSON protocol.
pub(super) const AMZ_JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
/// The gRPC metadata that carries the fault's class.
pub(super) const FAULT_KEY: &str = "berth-fault";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonFault<'a> {
    #[serde(rename = "__type")]
    class: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    resource_ids: &'a [String],
}

/// Bytes of a message: what is more, as when it repeats a value, is cut. Over gRPC it is a header, three times as long where
/// it is encoded, and clients that get more than 16 KiB of headers end the connection.
const LONGEST: usize = 4000;

/// The message as both wires have it.
fn text(fault: &Fault) -> String {
    let message = &fault.message;
    match message.len() <= LONGEST {
        true => message.clone(),
        false => format!("{}...", &message[..message.floor_char_boundary(LONGEST)]),
    }
}

/// The error of the ECS JSON protocol: HTTP 400, or 500 when it is ours, with class and message.
pub(super) fn json(fault: &Fault) -> Response {
    let status = if matches!(fault.class, FaultClass::Server | FaultClass::Unavailable) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    };
    let body = JsonFault {
        class: fault.class.name(),
        message: &text(fault),
        resource_ids: &fault.resource_ids,
    };
    // A struct of strings always has a JSON form.
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, AMZ_JSON);
    response
}

/// The gRPC status: the class as metadata, the text as message.
pub(crate) fn status(fault: &Fault) -> Status {
    let code = match fault.class {
        FaultClass::Client | FaultClass::InvalidParameter | FaultClass::Validation | FaultClass::Serialization => {
            Code::InvalidArgument
        }
        FaultClass::Server => Code::Internal,
        FaultClass::Unavailable => Code::Unavailable,
        FaultClass::ClusterNotFound
        | FaultClass::ServiceNotFound
        | FaultClass::ServiceDeploymentNotFound
        | FaultClass::TaskSetNotFound
        | FaultClass::TargetNotFound
        | FaultClass::NamespaceNotFound
        | FaultClass::ResourceNotFound
        | FaultClass::PlatformUnknown
        | FaultClass::ObjectNotFound => Code::NotFound,
        FaultClass::ClusterContainsContainerInstances
        | FaultClass::ClusterContainsTasks
        | FaultClass::ClusterContainsServices
        | FaultClass::NoUpdateAvailable
        | FaultClass::ResourceInUse
        | FaultClass::TargetNotConnected
        | FaultClass::ServiceNotActive => Code::FailedPrecondition,
        FaultClass::Conflict => Code::AlreadyExists,
        FaultClass::LimitExceeded | FaultClass::AttributeLimitExceeded | FaultClass::Throttling => {
            Code::ResourceExhausted
        }
        FaultClass::UnsupportedFeature | FaultClass::UnknownOperation => Code::Unimplemented,
        FaultClass::MissingAuthenticationToken
        | FaultClass::IncompleteSignature
        | FaultClass::InvalidSignature
        | FaultClass::UnrecognizedClient
        | FaultClass::ExpiredToken => Code::Unauthenticated,
        FaultClass::AccessDenied => Code::PermissionDenied,
    };
    let mut status = Status::new(code, text(fault));
    let metadata = status.metadata_mut();
    metadata.insert(
        FAULT_KEY,
        tonic::metadata::MetadataValue::from_static(fault.class.name()),
    );
    if let Ok(ids) = fault.resource_ids.join(",").parse()
        && !fault.resource_ids.is_empty()
    {
        metadata.insert("berth-resource-ids", ids);
    }
    status
}

/// The class of an error that the gRPC library found before any operation saw the request.
pub(super) fn class_of(code: Code) -> FaultClass {
    const LIMITS: [Code; 3] = [Code::ResourceExhausted, Code::OutOfRange, Code::InvalidArgument];
    if code == Code::Unimplemented {
        FaultClass::UnknownOperation
    } else if LIMITS.contains(&code) {
        FaultClass::Client
    } else {
        // What cannot be decoded is reported as internal, although it is the caller's.
        FaultClass::Serialization
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_repeats_much_is_cut_alike_on_both_wires() {
        let fault = Fault::client("é".repeat(70_000));
        let cut = status(&fault).message().to_owned();
        assert_eq!(cut, format!("{}...", "é".repeat(2000)));
        assert_eq!(text(&fault), cut);
        assert_eq!(text(&Fault::client("short")), "short");
    }

    #[test]
    fn what_may_be_possible_again_is_unavailable_in_grpc_and_a_server_exception_in_both() {
        let fault = Fault::unavailable("Try again later.");
        let status = status(&fault);
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.metadata().get(FAULT_KEY).unwrap(), "ServerException");
        assert_eq!(json(&fault).status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(super::status(&Fault::server("broken")).code(), Code::Internal);
    }
}
