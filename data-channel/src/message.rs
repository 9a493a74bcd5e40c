//! One message as bytes: a header of 116 bytes, the length of the payload, and the payload. Numbers are big-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of the header, 116 |
//! | 32 | kind, filled up with spaces |
//! | 4 | version of this form, 1 |
//! | 8 | when it was made, in milliseconds since the epoch |
//! | 8 | number in its direction |
//! | 8 | flags: 1 on the first of a direction, 2 on the last |
//! | 16 | id, a UUID, its last eight bytes first |
//! | 32 | SHA-256 of the payload |
//! | 4 | what the payload is |
//! | 4 | length of the payload |

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes of the header.
const HEADER: u32 = 116;
/// Bytes before the payload.
const BEFORE_PAYLOAD: usize = 120;
/// Bytes of the kind's name.
const KIND: usize = 32;
/// Of this form.
const VERSION: u32 = 1;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a client sends.
    Input,
    /// What an agent sends.
    Output,
    /// That one of the other direction has come.
    Acknowledge,
    /// That the session has ended; to a client.
    Closed,
    /// That the other side sends nothing for a while.
    Pause,
    /// That it sends again.
    Start,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Input,
        Self::Output,
        Self::Acknowledge,
        Self::Closed,
        Self::Pause,
        Self::Start,
    ];

    /// As messages name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input_stream_data",
            Self::Output => "output_stream_data",
            Self::Acknowledge => "acknowledge",
            Self::Closed => "channel_closed",
            Self::Pause => "pause_publication",
            Self::Start => "start_publication",
        }
    }
}

/// Names a message: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(
    /// In the order of its text.
    pub [u8; 16],
);

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is for.
    pub kind: Kind,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// Its number among those of its direction that carry data; they begin with 0.
    pub sequence: i64,
    /// 1 on the first of a direction, 2 on the last.
    pub flags: u64,
    /// Its name.
    pub id: MessageId,
    /// What the payload is; see `payload`.
    pub payload_type: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Fewer than are before every payload.
    #[error("a message has {0} bytes, at least {BEFORE_PAYLOAD} are needed")]
    Short(usize),
    /// Of another form.
    #[error("the header of a message says that it has {0} bytes, it should have {HEADER}")]
    Header(u32),
    /// Of no kind that there is.
    #[error("the kind of a message is '{0}', which there is not")]
    Kind(String),
    /// Cut, or more than one.
    #[error("a message says that its payload has {said} bytes, it has {has}")]
    Length {
        /// As its header says.
        said: u32,
        /// As they came.
        has: usize,
    },
    /// Changed on its way.
    #[error("the payload of a message is not the one that its digest is of")]
    Digest,
}

impl Message {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // More than 4 GiB are never given.
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut kind = [b' '; KIND];
        for (place, byte) in kind.iter_mut().zip(self.kind.name().bytes()) {
            *place = byte;
        }
        let (most, least) = self.id.0.split_at(8);
        let mut bytes = Vec::with_capacity(BEFORE_PAYLOAD + self.payload.len());
        bytes.extend_from_slice(&HEADER.to_be_bytes());
        bytes.extend_from_slice(&kind);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.created_ms.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        bytes.extend_from_slice(least);
        bytes.extend_from_slice(most);
        bytes.extend_from_slice(&Sha256::digest(&self.payload));
        bytes.extend_from_slice(&self.payload_type.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The message that bytes are.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let short = || Malformed::Short(bytes.len());
        let mut rest = bytes;
        let header = u32::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        if header != HEADER {
            return Err(Malformed::Header(header));
        }
        let kind = kind(&take::<KIND>(&mut rest).ok_or_else(short)?)?;
        let _version: [u8; 4] = take(&mut rest).ok_or_else(short)?;
        let created_ms = u64::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        let sequence = i64::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        let flags = u64::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        let least: [u8; 8] = take(&mut rest).ok_or_else(short)?;
        let most: [u8; 8] = take(&mut rest).ok_or_else(short)?;
        let digest: [u8; 32] = take(&mut rest).ok_or_else(short)?;
        let payload_type = u32::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        let said = u32::from_be_bytes(take(&mut rest).ok_or_else(short)?);
        let has = rest.len();
        if usize::try_from(said) != Ok(has) {
            return Err(Malformed::Length { said, has });
        }
        // What is empty has none, from some clients.
        if has != 0 && Sha256::digest(rest)[..] != digest {
            return Err(Malformed::Digest);
        }
        let mut id = [0; 16];
        for (place, byte) in id.iter_mut().zip(most.into_iter().chain(least)) {
            *place = byte;
        }
        Ok(Self {
            kind,
            created_ms,
            sequence,
            flags,
            id: MessageId(id),
            payload_type,
            payload: rest.to_vec(),
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn kind(name: &[u8; KIND]) -> Result<Kind, Malformed> {
    let name = String::from_utf8_lossy(name);
    let name = name.trim_matches(['\0', ' ']);
    let mut all = Kind::ALL.into_iter();
    all.find(|kind| kind.name() == name)
        .ok_or_else(|| Malformed::Kind(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_message() -> impl Strategy<Value = Message> {
        let kind = prop::sample::select(&Kind::ALL);
        let head = (kind, any::<u64>(), any::<i64>(), any::<u64>());
        let rest = (
            any::<[u8; 16]>(),
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 0..200),
        );
        (head, rest).prop_map(
            |((kind, created_ms, sequence, flags), (id, payload_type, payload))| Message {
                kind,
                created_ms,
                sequence,
                flags,
                id: MessageId(id),
                payload_type,
                payload,
            },
        )
    }

    #[test]
    fn a_message_is_laid_out_as_the_plugin_reads_it() {
        let message = Message {
            kind: Kind::Output,
            created_ms: 0x0102_0304_0506_0708,
            sequence: 1,
            flags: 1,
            id: MessageId(*b"mostsignLEASTSIG"),
            payload_type: 1,
            payload: b"payload".to_vec(),
        };
        let bytes = message.encode();
        assert_eq!(bytes[..4], [0, 0, 0, 116]);
        assert_eq!(&bytes[4..36], b"output_stream_data              ");
        assert_eq!(bytes[36..40], [0, 0, 0, 1]);
        assert_eq!(bytes[40..48], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[48..56], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[56..64], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&bytes[64..80], b"LEASTSIGmostsign");
        // `printf payload | sha256sum`.
        assert_eq!(bytes[80..84], [0x23, 0x9f, 0x59, 0xed]);
        assert_eq!(bytes[112..116], [0, 0, 0, 1]);
        assert_eq!(bytes[116..120], [0, 0, 0, 7]);
        assert_eq!(&bytes[120..], b"payload");
    }

    #[test]
    fn an_id_is_told_as_uuids_are() {
        let id = MessageId(std::array::from_fn(|at| u8::try_from(at).unwrap() * 17));
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_reason() {
        let good = Message {
            kind: Kind::Input,
            created_ms: 1,
            sequence: 0,
            flags: 0,
            id: MessageId([7; 16]),
            payload_type: 1,
            payload: b"ls\n".to_vec(),
        };
        let with = |at: usize, byte: u8| {
            let mut bytes = good.encode();
            bytes[at] = byte;
            Message::decode(&bytes).unwrap_err()
        };
        assert_eq!(Message::decode(&good.encode()[..119]), Err(Malformed::Short(119)));
        assert_eq!(with(3, 115), Malformed::Header(115));
        assert_eq!(with(4, b'I'), Malformed::Kind("Input_stream_data".to_owned()));
        assert_eq!(with(119, 4), Malformed::Length { said: 4, has: 3 });
        assert_eq!(with(120, b'L'), Malformed::Digest);
        assert_eq!(with(80, 0), Malformed::Digest);
        let nul: Vec<u8> = good
            .encode()
            .iter()
            .map(|byte| if *byte == b' ' { 0 } else { *byte })
            .collect();
        assert_eq!(
            Message::decode(&nul).unwrap(),
            good,
            "kinds are filled up with NULs by some"
        );
    }

    proptest! {
        #[test]
        fn a_message_comes_back_as_it_went(message in any_message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _decoded = Message::decode(&bytes);
        }

        #[test]
        fn a_message_that_is_cut_or_changed_is_not_taken_for_another_payload(
            message in any_message(), cut in 0_usize..320, at in 0_usize..320, bit in 0_u8..8
        ) {
            let bytes = message.encode();
            prop_assert!(cut >= bytes.len() || Message::decode(&bytes[..cut]).is_err());
            let mut changed = bytes;
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << bit;
            }
            if let Ok(decoded) = Message::decode(&changed) {
                prop_assert_eq!(decoded.payload, message.payload);
            }
        }
    }
}
