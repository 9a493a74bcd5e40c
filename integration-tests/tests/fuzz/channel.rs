//! What clients of data channels send: the text that opens one, and messages, here as lines of `NUMBER TYPE PAYLOAD`, or of
//! `acknowledge PAYLOAD`.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_data_channel::{Channel, Event, Kind, Message, MessageId, Opening};

pub(crate) const TOKENS: &[&str] = &[
    "\n0 6 {\"ProcessedClientActions\":[{\"ActionType\":\"SessionType\",\"ActionStatus\":1}]}\n",
    "\n1 1 ls\n",
    "\n2 1 \u{3}\n",
    "\n3 3 {\"cols\":80,\"rows\":24}\n",
    "\n4 10 \0\0\0\u{2}\n",
    "\nacknowledge {\"AcknowledgedMessageType\":\"\",\"AcknowledgedMessageId\":\"\",\"AcknowledgedMessageSequenceNumber\":0}\n",
    "{\"MessageSchemaVersion\":\"1.0\",\"TokenValue\":\"t\"}",
    "4294967296",
    "-1",
    "9223372036854775807",
    "null",
    " ",
    "\n",
];

const NOW: Duration = Duration::from_millis(1);

/// What comes out follows from the numbers and not from the order in which messages come, and no client makes it panic.
pub(crate) fn check(text: &str) -> Result<bool, String> {
    drop((Opening::read(text), Message::decode(text.as_bytes())));
    let messages: Vec<Message> = text.lines().filter_map(message).collect();
    let mut first: BTreeMap<i64, &Message> = BTreeMap::new();
    for message in messages.iter().filter(|message| message.kind == Kind::Input) {
        first.entry(message.sequence).or_insert(message);
    }
    let (came, sorted) = (events(messages.iter()), events(first.into_values()));
    match (came, sorted) {
        (Some(came), Some(sorted)) if came != sorted => Err(format!("{came:?} came, {sorted:?} in order")),
        (came, _) => Ok(came.is_some_and(|came| !came.is_empty())),
    }
}

/// What these messages make a channel tell; nothing where it cannot go on.
fn events<'m>(messages: impl Iterator<Item = &'m Message>) -> Option<Vec<Event>> {
    let mut channel = Channel::new("fuzz".to_owned(), [1; 16], 1);
    for message in messages {
        channel.receive(&message.encode(), NOW).ok()?;
        channel.tick(NOW).ok()?;
        while channel.next_message().is_some() {}
    }
    Some(std::iter::from_fn(|| channel.next_event()).collect())
}

fn message(line: &str) -> Option<Message> {
    let (first, rest) = line.split_once(' ')?;
    let (kind, sequence, payload_type, payload) = match first {
        "acknowledge" => (Kind::Acknowledge, 0, 0, rest),
        number => {
            let (payload_type, payload) = rest.split_once(' ')?;
            (Kind::Input, number.parse().ok()?, payload_type.parse().ok()?, payload)
        }
    };
    Some(Message {
        kind,
        created_ms: 1,
        sequence,
        flags: 0,
        id: MessageId([2; 16]),
        payload_type,
        payload: payload.as_bytes().to_vec(),
    })
}
