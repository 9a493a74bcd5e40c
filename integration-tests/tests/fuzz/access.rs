//! What requests present of who signed them, and policies.

use berth_model::fault::FaultClass;
use berth_model::policy::{Access, Context, Policy, Verdict};
use berth_model::time::Timestamp;
use berth_signature::{HttpRequest, Presented};

pub(crate) const AUTHORIZATION_TOKENS: &[&str] = &[
    "AWS4-HMAC-SHA256",
    " Credential=",
    "AKIDEXAMPLE",
    "/20150830",
    "/us-east-1",
    "/ecs",
    "/aws4_request",
    ", SignedHeaders=",
    "host",
    ";x-amz-date",
    ";",
    ", Signature=",
    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ",",
    "=",
    "&",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "&X-Amz-Credential=",
    "%2F",
    "&X-Amz-Date=20150830T123600Z",
    "&X-Amz-Expires=60",
    "&X-Amz-SignedHeaders=host",
    "&X-Amz-Signature=",
    "&X-Amz-Security-Token=",
];

pub(crate) const POLICY_TOKENS: &[&str] = &[
    r#"{"Version": "2012-10-17", "Statement": ["#,
    r#"{"Effect": "Allow", "#,
    r#""Effect": "Deny""#,
    r#""Sid": "A""#,
    r#""Action": "#,
    r#""NotAction": "#,
    r#""Resource": "#,
    r#""NotResource": "#,
    r#""Condition": {"#,
    r#""StringLike": {"#,
    r#""ForAnyValue:StringNotEquals": {"#,
    r#""ArnNotLikeIfExists": {"#,
    r#""IpAddress": {"#,
    r#""Null": {"#,
    r#""ecs:cluster": "#,
    r#""aws:ResourceTag/a": "#,
    r#""aws:SourceIp": "10.0.0.0/8""#,
    r#""ecs:*""#,
    r#""*""#,
    r#""arn:aws:ecs:*:*:task/*/??""#,
    "true",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
];

const ACTIONS: [&str; 3] = ["ecs:RunTask", "ecs:StopTask", "berth:History"];

/// Header or query, it is read the same each time; what is read is checked and verified without harm, and refused.
pub(crate) fn check_authorization(text: &str) -> Result<bool, String> {
    let headers = [
        ("host", &b"example.amazonaws.com"[..]),
        ("x-amz-date", b"20150830T123600Z"),
        ("authorization", text.as_bytes()),
    ];
    let in_header = HttpRequest {
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
        body: b"",
    };
    let in_query = HttpRequest {
        query: text,
        headers: &headers[..1],
        ..in_header
    };
    let mut accepted = false;
    for request in [in_header, in_query] {
        match Presented::read(&request) {
            Ok(presented) => {
                accepted = true;
                if Presented::read(&request).as_ref() != Ok(&presented) {
                    return Err("it is read in two ways".to_owned());
                }
                let _scope = presented.check_scope(&["ecs"], Timestamp::from_millis(1_440_938_160_000));
                if presented.verify(&request, "nobody's secret").is_ok() {
                    return Err("it is signed with a secret that nobody has".to_owned());
                }
            }
            Err(fault) => {
                let known = [
                    FaultClass::MissingAuthenticationToken,
                    FaultClass::IncompleteSignature,
                    FaultClass::InvalidSignature,
                ];
                if !known.contains(&fault.class) {
                    return Err(format!("it is refused with {fault}"));
                }
            }
        }
    }
    Ok(accepted)
}

/// What is read is written as JSON that reads as the same, and says something of every call.
pub(crate) fn check_policy(text: &str) -> Result<bool, String> {
    let Ok(policy) = Policy::parse(text, &ACTIONS) else {
        return Ok(false);
    };
    let again =
        Policy::parse(&policy.to_json(), &ACTIONS).map_err(|fault| format!("written it is refused: {fault}"))?;
    if again != policy {
        return Err(format!("written it is {again:?} instead of {policy:?}"));
    }
    for action in ACTIONS {
        for resource in ["*", "arn:aws:ecs:us-east-1:000000000000:task/prod/ab"] {
            let context = Context::default()
                .with("ecs:cluster", "a")
                .with("aws:SourceIp", "10.0.0.1");
            let access = Access {
                action,
                resource,
                context: &context,
            };
            if let Verdict::Denied(statement) = policy.judge(&access)
                && !statement.starts_with("statement ")
            {
                return Err(format!("denied by {statement}"));
            }
        }
    }
    Ok(true)
}
