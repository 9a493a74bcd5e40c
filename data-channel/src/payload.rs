//! What messages carry, and the text that opens a channel: JSON, and a few numbers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::message::{Message, MessageId};

/// What the version of the text that opens a channel begins with: 1.0 from the plugin, the number 1 from others.
const SCHEMA: &str = "1";
/// The agent that this end says to be of: clients look at its version to see what it can do, and nothing that came after this
/// concerns sessions of commands.
const AGENT_VERSION: &str = "3.1.1732.0";
/// A command with a terminal.
const SESSION_TYPE: &str = "InteractiveCommands";

/// What payloads are, as the number in the header says it.
pub(crate) mod kind {
    pub(crate) const OUTPUT: u32 = 1;
    pub(crate) const SIZE: u32 = 3;
    pub(crate) const HANDSHAKE_REQUEST: u32 = 5;
    pub(crate) const HANDSHAKE_RESPONSE: u32 = 6;
    pub(crate) const HANDSHAKE_COMPLETE: u32 = 7;
    pub(crate) const FLAG: u32 = 10;
}

/// The flag by which a client ends its session.
const TERMINATE: u32 = 2;

/// The first thing that a client sends, as text: who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What enters the session.
    pub token: String,
    /// Of the client; may be empty.
    pub client_version: String,
}

/// Why a text opens no channel.
#[derive(Debug, Error)]
pub enum OpeningError {
    /// It is something else.
    #[error("the first message of a data channel should open it: {0}")]
    Unreadable(serde_json::Error),
    /// It is of another form.
    #[error("MessageSchemaVersion is {0}, it should be {SCHEMA}.0")]
    Schema(Value),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OpenDataChannelInput {
    message_schema_version: Value,
    token_value: String,
    client_version: Option<String>,
}

impl Opening {
    /// Reads the text.
    ///
    /// # Errors
    /// It is no such text.
    pub fn read(text: &str) -> Result<Self, OpeningError> {
        let input: OpenDataChannelInput = serde_json::from_str(text).map_err(OpeningError::Unreadable)?;
        let version = input.message_schema_version;
        let text = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        if text.split('.').next() != Some(SCHEMA) {
            return Err(OpeningError::Schema(version));
        }
        Ok(Self {
            token: input.token_value,
            client_version: input.client_version.unwrap_or_default(),
        })
    }
}

/// Asks a client to show a terminal.
pub(crate) fn handshake_request() -> Vec<u8> {
    let action = json!({
        "ActionType": "SessionType",
        "ActionParameters": {"SessionType": SESSION_TYPE, "Properties": {}},
    });
    bytes(&json!({"AgentVersion": AGENT_VERSION, "RequestedClientActions": [action]}))
}

/// Says that what was asked for was done, so long after it was asked.
pub(crate) fn handshake_complete(took: std::time::Duration) -> Vec<u8> {
    let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    bytes(&json!({"HandshakeTimeToComplete": took, "CustomerMessage": ""}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HandshakeResponse {
    processed_client_actions: Option<Vec<ProcessedAction>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessedAction {
    action_type: String,
    /// 1 done, 2 failed, 3 unknown to the client.
    action_status: i64,
    #[serde(default)]
    error: Option<String>,
}

/// Whether the client has done what it was asked; why not otherwise.
pub(crate) fn handshake_response(payload: &[u8]) -> Result<(), String> {
    let response: HandshakeResponse = serde_json::from_slice(payload)
        .map_err(|error| format!("its answer to the handshake cannot be read: {error}"))?;
    let actions = response.processed_client_actions.unwrap_or_default();
    match actions.into_iter().find(|action| action.action_type == "SessionType") {
        None => Err("its answer to the handshake does not say whether it shows a terminal".to_owned()),
        Some(action) if action.action_status == 1 => Ok(()),
        Some(action) => Err(format!(
            "it does not show a terminal: {}",
            action.error.unwrap_or_default()
        )),
    }
}

#[derive(Serialize, Deserialize)]
struct Acknowledgement {
    #[serde(rename = "AcknowledgedMessageType")]
    kind: String,
    #[serde(rename = "AcknowledgedMessageId")]
    id: String,
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    sequence: i64,
    #[serde(rename = "IsSequentialMessage", default)]
    is_sequential: bool,
}

/// That a message has come.
pub(crate) fn acknowledgement(message: &Message) -> Vec<u8> {
    bytes(&Acknowledgement {
        kind: message.kind.name().to_owned(),
        id: message.id.to_string(),
        sequence: message.sequence,
        is_sequential: true,
    })
}

/// The number of the message that has come to the client.
pub(crate) fn acknowledged(payload: &[u8]) -> Result<i64, String> {
    let read: Result<Acknowledgement, _> = serde_json::from_slice(payload);
    read.map(|read| read.sequence)
        .map_err(|error| format!("an acknowledgement cannot be read: {error}"))
}

#[derive(Deserialize)]
struct Size {
    cols: u32,
    rows: u32,
}

/// Rows and columns of the client's terminal, where they are told.
pub(crate) fn size(payload: &[u8]) -> Option<(u32, u32)> {
    let size: Size = serde_json::from_slice(payload).ok()?;
    (size.rows > 0 && size.cols > 0).then_some((size.rows, size.cols))
}

/// Whether a flag ends the session.
pub(crate) fn is_termination(payload: &[u8]) -> bool {
    payload == TERMINATE.to_be_bytes()
}

/// That the session has ended; `output` is shown to people where it is not empty.
pub(crate) fn closed(session: &str, id: MessageId, created_ms: u64, output: &str) -> Vec<u8> {
    bytes(&json!({
        "MessageType": crate::Kind::Closed.name(),
        "MessageId": id.to_string(),
        "CreatedDate": created_ms.to_string(),
        "DestinationId": session,
        "SessionId": session,
        "SchemaVersion": 1,
        "Output": output,
    }))
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_opened_with_a_token() {
        let text = r#"{"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": "t", "ClientId": "c", "ClientVersion": "1.2.3"}"#;
        let opening = Opening::read(text).unwrap();
        assert_eq!((&*opening.token, &*opening.client_version), ("t", "1.2.3"));
        let other = Opening::read(r#"{"MessageSchemaVersion": 1, "TokenValue": "t"}"#).unwrap();
        assert_eq!((&*other.token, &*other.client_version), ("t", ""));
        for (text, says) in [
            ("", "should open it: EOF"),
            ("[]", "should open it: invalid"),
            (r#"{"MessageSchemaVersion": "1.0"}"#, "missing field `TokenValue`"),
            (
                r#"{"MessageSchemaVersion": "2.0", "TokenValue": "t"}"#,
                "MessageSchemaVersion is \"2.0\", it should be 1.0",
            ),
        ] {
            let error = Opening::read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_handshake_is_done_only_if_the_client_says_so() {
        let said = |action: &str| {
            handshake_response(
                format!(r#"{{"ClientVersion":"1","ProcessedClientActions":{action},"Errors":null}}"#).as_bytes(),
            )
        };
        assert_eq!(
            said(r#"[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}]"#),
            Ok(())
        );
        let failed = said(
            r#"[{"ActionType":"SessionType","ActionStatus":2,"ActionResult":null,"Error":"Unknown session type"}]"#,
        );
        assert_eq!(
            failed,
            Err("it does not show a terminal: Unknown session type".to_owned())
        );
        assert!(said("[]").is_err() && said("null").is_err() && said("{").is_err());
    }

    #[test]
    fn what_is_no_size_is_none() {
        assert_eq!(size(br#"{"cols": 80, "rows": 24}"#), Some((24, 80)));
        for payload in [
            &b"{}"[..],
            b"",
            br#"{"cols": 0, "rows": 24}"#,
            br#"{"cols": -1, "rows": 24}"#,
        ] {
            assert_eq!(size(payload), None);
        }
    }
}
