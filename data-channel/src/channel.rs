//! The machine of one channel: what has come and what has to go, in what order, and what has to go again.
//!
//! The plugin acknowledges no output before it shows output at all, which is a while after the handshake: what it was sent before
//! is lost on it, on a connection that loses nothing, and has to be sent again. It sends its own again too, so that what there is no
//! room for may be left unacknowledged.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use thiserror::Error;

use crate::message::{Kind, Malformed, Message, MessageId};
use crate::payload::{self, kind};

/// Bytes of output in one message: what the agent of AWS sends at most, so that every client can take it.
const OUTPUT: usize = 1024;
/// Messages of output that may be unacknowledged before no more is taken.
const WINDOW: usize = 256;
/// Messages, and bytes of these, that have come and that nobody has taken out.
const HELD: usize = 4096;
const HELD_BYTES: usize = 1024 * 1024;
/// Messages that wait to be written, above which input is not taken.
const TO_WRITE: usize = 1024;
/// Flags of what is first of its direction, and of what is alone.
const FIRST: u64 = 1;
const ALONE: u64 = 3;
/// How long an acknowledgement is waited for before the message is sent again, until it is known how long they take.
const WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// After so long without any acknowledgement that is due nobody is there.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It shows a terminal: output can go, input may come.
    Ready,
    /// What was typed.
    Input(Vec<u8>),
    /// Its terminal has this size, in characters, and had none or another before.
    Size {
        /// Lines.
        rows: u32,
        /// Characters of a line.
        columns: u32,
    },
    /// The session is to end.
    Terminate,
}

/// Why a channel cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// The client speaks something else.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client says what it must not, or that it cannot do what it must.
    #[error("the client cannot be talked to: {0}")]
    Refused(String),
    /// The client acknowledges nothing.
    #[error("the client has acknowledged nothing for {} minutes", PATIENCE.as_secs() / 60)]
    Silent,
}

/// An agent's end of a channel. After whatever is done to it, what [`Channel::next_message`] gives is to be written, and
/// [`Channel::tick`] is to be called when [`Channel::wake_at`] says.
///
/// Times are those since the channel was made.
#[derive(Debug)]
pub struct Channel {
    session: String,
    made_ms: u64,
    /// Of all message ids, but their last eight bytes.
    seed: [u8; 16],
    ids: u64,
    is_ready: bool,
    is_closed: bool,

    to_write: VecDeque<Vec<u8>>,
    next_output: i64,
    sent: VecDeque<Sent>,
    /// When the last acknowledgement came, or was first waited for.
    heard_at: Duration,
    wait: Wait,

    next_input: i64,
    /// What came before its turn.
    early: BTreeMap<i64, Message>,
    size: Option<(u32, u32)>,
    events: VecDeque<Event>,
    held_bytes: usize,
}

/// A message that is not acknowledged yet.
#[derive(Debug)]
struct Sent {
    sequence: i64,
    bytes: Vec<u8>,
    at: Duration,
    is_repeated: bool,
}

impl Channel {
    /// A channel that was just opened, at `made_ms` after the epoch; message ids follow from the random `seed`. The client is asked
    /// for a terminal.
    #[must_use]
    pub fn new(session: String, seed: [u8; 16], made_ms: u64) -> Self {
        let mut channel = Self {
            session,
            made_ms,
            seed,
            ids: 0,
            is_ready: false,
            is_closed: false,
            to_write: VecDeque::new(),
            next_output: 0,
            sent: VecDeque::new(),
            heard_at: Duration::ZERO,
            wait: Wait::default(),
            next_input: 0,
            early: BTreeMap::new(),
            size: None,
            events: VecDeque::new(),
            held_bytes: 0,
        };
        channel.put(kind::HANDSHAKE_REQUEST, payload::handshake_request(), Duration::ZERO);
        channel
    }

    /// Takes in a message of the client.
    ///
    /// # Errors
    /// It is none, or the client does not do what it must: the channel is of no use any more.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<(), Broken> {
        let message = Message::decode(bytes)?;
        match message.kind {
            Kind::Acknowledge => self.acknowledged(&message.payload, now),
            Kind::Input => self.input(message, now),
            Kind::Closed => {
                if self.events.len() < HELD {
                    self.events.push_back(Event::Terminate);
                }
                Ok(())
            }
            Kind::Pause | Kind::Start => Ok(()),
            Kind::Output => Err(Broken::Refused("it sends output_stream_data".to_owned())),
        }
    }

    /// What the client wants next.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Input(bytes) = &event {
            self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
        }
        Some(event)
    }

    /// What [`Channel::next_event`] gives next.
    #[must_use]
    pub fn peek_event(&self) -> Option<&Event> {
        self.events.front()
    }

    /// Whether more of the client should be read. Where not, it is made to wait, which costs less than what is not acknowledged: some
    /// clients send one message a second again. As long as acknowledgements are waited for there is no other way.
    #[must_use]
    pub fn takes_more(&self) -> bool {
        let is_filling = self.held_bytes > HELD_BYTES / 2 || self.events.len() + self.early.len() > HELD / 2;
        !is_filling || !self.sent.is_empty()
    }

    /// Whether [`Channel::output`] may be given more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.is_ready && !self.is_closed && self.sent.len() < WINDOW
    }

    /// Whether all that was given has arrived.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.sent.is_empty()
    }

    /// Shows this to the client. More than there is room for is kept all the same.
    pub fn output(&mut self, bytes: &[u8], now: Duration) {
        if self.is_closed {
            return;
        }
        for part in bytes.chunks(OUTPUT) {
            self.put(kind::OUTPUT, part.to_vec(), now);
        }
    }

    /// Tells the client that the session has ended, and people why unless `output` is empty. Nothing more goes or comes.
    pub fn close(&mut self, output: &str, now: Duration) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.sent.clear();
        self.to_write.clear();
        let id = self.id();
        let created_ms = self.created_ms(now);
        let message = Message {
            kind: Kind::Closed,
            created_ms,
            sequence: 0,
            flags: ALONE,
            id,
            payload_type: 0,
            payload: payload::closed(&self.session, id, created_ms, output),
        };
        self.to_write.push_back(message.encode());
    }

    /// What is to be written next.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        self.to_write.pop_front()
    }

    /// Whether something is to be written.
    #[must_use]
    pub fn has_message(&self) -> bool {
        !self.to_write.is_empty()
    }

    /// When [`Channel::tick`] is to be called; never, as long as there is none.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let first = self.sent.front()?;
        Some((first.at + self.wait.timeout()).min(self.heard_at + PATIENCE))
    }

    /// Sends again what should have been acknowledged by now.
    ///
    /// # Errors
    /// The client seems to be gone.
    pub fn tick(&mut self, now: Duration) -> Result<(), Broken> {
        let timeout = self.wait.timeout();
        let Some(first) = self.sent.front_mut() else {
            return Ok(());
        };
        if now >= self.heard_at + PATIENCE {
            return Err(Broken::Silent);
        }
        if now < first.at + timeout {
            return Ok(());
        }
        first.at = now;
        first.is_repeated = true;
        // Of what is not even written the client cannot have seen anything.
        if self.to_write.is_empty() {
            self.to_write.push_back(first.bytes.clone());
        }
        Ok(())
    }

    fn input(&mut self, message: Message, now: Duration) -> Result<(), Broken> {
        if message.sequence < self.next_input {
            // The acknowledgement crossed it.
            self.acknowledge(&message, now);
            return Ok(());
        }
        let bytes = self.held_bytes.saturating_add(message.payload.len());
        let is_full = self.events.len() + self.early.len() >= HELD || bytes > HELD_BYTES;
        if is_full || self.is_closed || !self.acknowledge(&message, now) {
            return Ok(());
        }
        if message.sequence > self.next_input {
            if let std::collections::btree_map::Entry::Vacant(place) = self.early.entry(message.sequence) {
                place.insert(message);
                self.held_bytes = bytes;
            }
            return Ok(());
        }
        self.held_bytes = bytes;
        let mut in_turn = Some(message);
        while let Some(message) = in_turn {
            self.next_input = self.next_input.saturating_add(1);
            self.held_bytes = self.held_bytes.saturating_sub(message.payload.len());
            self.take(message, now)?;
            in_turn = self.early.remove(&self.next_input);
        }
        Ok(())
    }

    /// What a message says whose turn it is.
    fn take(&mut self, message: Message, now: Duration) -> Result<(), Broken> {
        match message.payload_type {
            kind::HANDSHAKE_RESPONSE if !self.is_ready => {
                payload::handshake_response(&message.payload).map_err(Broken::Refused)?;
                self.put(kind::HANDSHAKE_COMPLETE, payload::handshake_complete(now), now);
                self.is_ready = true;
                self.events.push_back(Event::Ready);
            }
            kind::OUTPUT if self.is_ready => {
                self.held_bytes = self.held_bytes.saturating_add(message.payload.len());
                self.events.push_back(Event::Input(message.payload));
            }
            kind::SIZE => {
                // Some clients tell it twice a second.
                if let Some((rows, columns)) = payload::size(&message.payload).filter(|size| self.size != Some(*size)) {
                    self.size = Some((rows, columns));
                    self.events.push_back(Event::Size { rows, columns });
                }
            }
            kind::FLAG if payload::is_termination(&message.payload) => self.events.push_back(Event::Terminate),
            // Nothing that concerns a terminal.
            _ => {}
        }
        Ok(())
    }

    /// Says that a message has come, if there is room to say it.
    fn acknowledge(&mut self, message: &Message, now: Duration) -> bool {
        if self.to_write.len() >= TO_WRITE {
            return false;
        }
        let acknowledgement = Message {
            kind: Kind::Acknowledge,
            created_ms: self.created_ms(now),
            sequence: 0,
            flags: ALONE,
            id: self.id(),
            payload_type: 0,
            payload: payload::acknowledgement(message),
        };
        self.to_write.push_back(acknowledgement.encode());
        true
    }

    fn acknowledged(&mut self, payload: &[u8], now: Duration) -> Result<(), Broken> {
        let sequence = payload::acknowledged(payload).map_err(Broken::Refused)?;
        let place = self.sent.iter().position(|sent| sent.sequence == sequence);
        if let Some(sent) = place.and_then(|place| self.sent.remove(place)) {
            self.heard_at = now;
            // Of what was sent twice nobody knows which was acknowledged.
            if !sent.is_repeated {
                self.wait.took(now.saturating_sub(sent.at));
            }
        }
        Ok(())
    }

    /// Sends a numbered message, and again until it is acknowledged.
    fn put(&mut self, payload_type: u32, payload: Vec<u8>, now: Duration) {
        let message = Message {
            kind: Kind::Output,
            created_ms: self.created_ms(now),
            sequence: self.next_output,
            flags: if self.next_output == 0 { FIRST } else { 0 },
            id: self.id(),
            payload_type,
            payload,
        };
        let bytes = message.encode();
        self.to_write.push_back(bytes.clone());
        if self.sent.is_empty() {
            self.heard_at = now;
        }
        self.sent.push_back(Sent {
            sequence: self.next_output,
            bytes,
            at: now,
            is_repeated: false,
        });
        self.next_output = self.next_output.saturating_add(1);
    }

    /// A name for another message: a UUID of version 4 in its form.
    fn id(&mut self) -> MessageId {
        self.ids = self.ids.wrapping_add(1);
        let mut id = self.seed;
        for (place, byte) in id.iter_mut().rev().zip(self.ids.to_le_bytes()).take(7) {
            *place ^= byte;
        }
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        MessageId(id)
    }

    fn created_ms(&self, now: Duration) -> u64 {
        let since = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.made_ms.saturating_add(since)
    }
}

/// How long acknowledgements take (RFC 6298, with limits that suit people who type).
#[derive(Debug, Default)]
struct Wait {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl Wait {
    fn took(&mut self, took: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(took);
                self.variation = took / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                self.smoothed = Some((smoothed * 7 + took) / 8);
            }
        }
    }

    fn timeout(&self) -> Duration {
        let known = self.smoothed.map(|smoothed| smoothed + self.variation * 4);
        known.unwrap_or(WAIT).clamp(WAIT, LONGEST_WAIT)
    }
}
