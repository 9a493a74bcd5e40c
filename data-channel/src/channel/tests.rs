use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The plugin's end, by the rules of its source.
struct Plugin {
    next_output: i64,
    early: BTreeMap<i64, Message>,
    next_input: i64,
    sent: VecDeque<(i64, Vec<u8>)>,
    /// Messages of output that it does not take because it shows nothing yet.
    deaf_for: usize,
    shown: Vec<u8>,
    is_complete: bool,
    closed: Option<Value>,
    to_write: Vec<Vec<u8>>,
}

impl Plugin {
    fn new(deaf_for: usize) -> Self {
        Self {
            next_output: 0,
            early: BTreeMap::new(),
            next_input: 0,
            sent: VecDeque::new(),
            deaf_for,
            shown: Vec::new(),
            is_complete: false,
            closed: None,
            to_write: Vec::new(),
        }
    }

    fn send(&mut self, payload_type: u32, payload: &[u8]) {
        let bytes = typed(self.next_input, payload_type, payload).encode();
        self.sent.push_back((self.next_input, bytes.clone()));
        self.to_write.push(bytes);
        self.next_input += 1;
    }

    fn receive(&mut self, bytes: &[u8]) {
        let message = Message::decode(bytes).unwrap();
        match message.kind {
            Kind::Output if message.sequence == self.next_output => self.take(&message),
            Kind::Output if message.sequence > self.next_output => {
                self.to_write.push(acknowledging(&message));
                self.early.insert(message.sequence, message);
            }
            Kind::Acknowledge => {
                let content: Value = serde_json::from_slice(&message.payload).unwrap();
                let sequence = content["AcknowledgedMessageSequenceNumber"].as_i64().unwrap();
                self.sent.retain(|(sent, _)| *sent != sequence);
            }
            Kind::Closed => self.closed = Some(serde_json::from_slice(&message.payload).unwrap()),
            Kind::Output => {}
            other @ (Kind::Input | Kind::Pause | Kind::Start) => panic!("{other:?} for a client"),
        }
    }

    fn take(&mut self, message: &Message) {
        match message.payload_type {
            kind::OUTPUT if self.deaf_for > 0 => {
                self.deaf_for -= 1;
                return;
            }
            kind::OUTPUT => self.shown.extend(&message.payload),
            kind::HANDSHAKE_REQUEST => self.send(kind::HANDSHAKE_RESPONSE, &done()),
            kind::HANDSHAKE_COMPLETE => self.is_complete = true,
            other => panic!("payload type {other}"),
        }
        self.to_write.push(acknowledging(message));
        self.next_output += 1;
        // What came early was acknowledged then, ready or not.
        while let Some(early) = self.early.remove(&self.next_output) {
            match early.payload_type {
                kind::OUTPUT => self.shown.extend(&early.payload),
                _ => self.is_complete = true,
            }
            self.next_output += 1;
        }
    }

    fn resend(&mut self) {
        self.to_write.extend(self.sent.front().map(|(_, bytes)| bytes.clone()));
    }
}

fn typed(sequence: i64, payload_type: u32, payload: &[u8]) -> Message {
    Message {
        kind: Kind::Input,
        created_ms: 1,
        sequence,
        flags: 0,
        id: MessageId([9; 16]),
        payload_type,
        payload: payload.to_vec(),
    }
}

fn acknowledging(message: &Message) -> Vec<u8> {
    let acknowledgement = Message {
        kind: Kind::Acknowledge,
        payload: payload::acknowledgement(message),
        ..typed(0, 0, b"")
    };
    acknowledgement.encode()
}

fn done() -> Vec<u8> {
    json!({
        "ClientVersion": "1.2.707.0",
        "ProcessedClientActions": [{"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null, "Error": ""}],
        "Errors": null,
    })
    .to_string()
    .into_bytes()
}

fn channel() -> Channel {
    Channel::new("ecs-execute-command-1".to_owned(), [5; 16], 1_000)
}

fn ready() -> Channel {
    let mut channel = channel();
    let request = channel.next_message().unwrap();
    channel
        .receive(&acknowledging(&Message::decode(&request).unwrap()), MS)
        .unwrap();
    channel
        .receive(&typed(0, kind::HANDSHAKE_RESPONSE, &done()).encode(), MS)
        .unwrap();
    assert_eq!(channel.next_event(), Some(Event::Ready));
    while let Some(bytes) = channel.next_message() {
        let message = Message::decode(&bytes).unwrap();
        if message.kind == Kind::Output {
            channel.receive(&acknowledging(&message), MS).unwrap();
        }
    }
    assert!(channel.is_settled());
    channel
}

fn written(channel: &mut Channel) -> Vec<Message> {
    std::iter::from_fn(|| channel.next_message())
        .map(|bytes| Message::decode(&bytes).unwrap())
        .collect()
}

#[test]
fn a_terminal_is_asked_for_and_nothing_goes_before_it_is_there() {
    let mut channel = channel();
    assert!(!channel.has_room());
    let request = written(&mut channel).remove(0);
    assert_eq!((request.sequence, request.flags, request.payload_type), (0, 1, 5));
    let payload: Value = serde_json::from_slice(&request.payload).unwrap();
    let action = &payload["RequestedClientActions"][0];
    assert_eq!(action["ActionType"], "SessionType");
    assert_eq!(action["ActionParameters"]["SessionType"], "InteractiveCommands");
    let response = typed(0, kind::HANDSHAKE_RESPONSE, &done());
    channel.receive(&response.encode(), 40 * MS).unwrap();
    assert_eq!(channel.next_event(), Some(Event::Ready));
    assert!(channel.has_room());
    let [acknowledgement, complete] = &written(&mut channel)[..] else {
        panic!("an acknowledgement, and that the handshake is complete")
    };
    let content: Value = serde_json::from_slice(&acknowledgement.payload).unwrap();
    assert_eq!(
        content,
        json!({
            "AcknowledgedMessageType": "input_stream_data",
            "AcknowledgedMessageId": "09090909-0909-0909-0909-090909090909",
            "AcknowledgedMessageSequenceNumber": 0,
            "IsSequentialMessage": true,
        })
    );
    assert_eq!(
        (complete.sequence, complete.payload_type, complete.created_ms),
        (1, 7, 1_040)
    );
    let payload: Value = serde_json::from_slice(&complete.payload).unwrap();
    assert_eq!(payload["HandshakeTimeToComplete"], 40_000_000);
}

#[test]
fn a_client_that_shows_no_terminal_is_refused() {
    let refusal = String::from_utf8(done())
        .unwrap()
        .replace(r#""ActionStatus":1"#, r#""ActionStatus":3"#);
    let response = typed(0, kind::HANDSHAKE_RESPONSE, refusal.as_bytes());
    let broken = channel().receive(&response.encode(), MS).unwrap_err().to_string();
    assert!(broken.contains("does not show a terminal"), "{broken}");
}

#[test]
fn what_is_typed_comes_in_its_order_and_once() {
    let mut channel = ready();
    for sequence in [3, 2, 2, 1, 3, 1] {
        let text = format!("{sequence}");
        channel
            .receive(&typed(sequence, kind::OUTPUT, text.as_bytes()).encode(), MS)
            .unwrap();
    }
    for sequence in [4, 5] {
        channel
            .receive(&typed(sequence, kind::SIZE, br#"{"cols":80,"rows":24}"#).encode(), MS)
            .unwrap();
    }
    channel
        .receive(&typed(6, kind::FLAG, &[0, 0, 0, 2]).encode(), MS)
        .unwrap();
    let events: Vec<Event> = std::iter::from_fn(|| channel.next_event()).collect();
    let input = |text: &str| Event::Input(text.as_bytes().to_vec());
    assert_eq!(
        events,
        [
            input("1"),
            input("2"),
            input("3"),
            Event::Size { rows: 24, columns: 80 },
            Event::Terminate
        ]
    );
    assert_eq!(
        written(&mut channel).len(),
        9,
        "each is acknowledged, as often as it comes"
    );
    assert_eq!(channel.held_bytes, 0);
}

#[test]
fn what_there_is_no_room_for_is_not_acknowledged_and_taken_later() {
    let mut channel = ready();
    let block = vec![b'x'; 64 * 1024];
    for sequence in 1..=17 {
        assert_eq!(channel.takes_more(), sequence <= 9);
        channel
            .receive(&typed(sequence, kind::OUTPUT, &block).encode(), MS)
            .unwrap();
    }
    assert_eq!(written(&mut channel).len(), 16);
    assert_eq!(channel.held_bytes, HELD_BYTES);
    assert!(matches!(channel.next_event(), Some(Event::Input(_))));
    channel.receive(&typed(17, kind::OUTPUT, &block).encode(), MS).unwrap();
    assert_eq!(written(&mut channel).len(), 1);
    assert_eq!(std::iter::from_fn(|| channel.next_event()).count(), 16);
}

#[test]
fn output_is_sent_again_until_it_is_acknowledged_and_no_longer() {
    let mut channel = ready();
    channel.output(b"$ ", 10 * MS);
    let first = written(&mut channel);
    assert_eq!(channel.wake_at(), Some(10 * MS + WAIT));
    channel.tick(10 * MS + WAIT - MS).unwrap();
    assert!(!channel.has_message());
    channel.tick(10 * MS + WAIT).unwrap();
    assert_eq!(written(&mut channel), first);
    channel.receive(&acknowledging(&first[0]), 300 * MS).unwrap();
    assert_eq!(channel.wake_at(), None);
    channel.tick(10 * PATIENCE).unwrap();
    assert!(channel.is_settled() && !channel.has_message());
}

#[test]
fn a_client_that_acknowledges_nothing_is_given_up() {
    let mut channel = ready();
    channel.output(b"$ ", Duration::ZERO);
    let given_up = loop {
        let now = channel.wake_at().unwrap();
        if let Err(broken) = channel.tick(now) {
            break (broken, now);
        }
    };
    assert_eq!(given_up, (Broken::Silent, PATIENCE));
}

#[test]
fn output_waits_for_acknowledgements() {
    let mut channel = ready();
    channel.output(&vec![b'x'; OUTPUT * WINDOW], MS);
    assert!(!channel.has_room());
    let sent = written(&mut channel);
    assert_eq!(sent.len(), WINDOW);
    channel.receive(&acknowledging(&sent[7]), 2 * MS).unwrap();
    assert!(channel.has_room());
}

#[test]
fn a_closed_channel_says_why_and_nothing_more() {
    let mut channel = ready();
    channel.output(b"left", MS);
    written(&mut channel);
    channel.close("exit code 3", MS);
    channel.close("twice", MS);
    channel.output(b"late", MS);
    channel.receive(&typed(1, kind::OUTPUT, b"late").encode(), MS).unwrap();
    let [closed] = &written(&mut channel)[..] else {
        panic!("one message")
    };
    let payload: Value = serde_json::from_slice(&closed.payload).unwrap();
    assert_eq!(closed.kind, Kind::Closed);
    assert_eq!(
        (&payload["Output"], &payload["SessionId"]),
        (&json!("exit code 3"), &json!("ecs-execute-command-1"))
    );
    assert_eq!(payload["MessageId"], closed.id.to_string());
    assert!(channel.is_settled() && channel.peek_event().is_none() && channel.wake_at().is_none());
}

#[test]
fn message_ids_are_uuids_that_differ() {
    let mut channel = channel();
    let ids: Vec<String> = (0..1000).map(|_| channel.id().to_string()).collect();
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
    assert!(
        ids.iter().all(|id| &id[14..15] == "4" && "89ab".contains(&id[19..20])),
        "{ids:?}"
    );
}

/// What happens to messages on their way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Overtaken,
    Lost,
    Twice,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Arrives),
        1 => Just(Fate::Overtaken),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
    ];
    prop::collection::vec(fate, 40)
}

fn carry(messages: Vec<Vec<u8>>, fates: &mut impl Iterator<Item = Fate>) -> Vec<Vec<u8>> {
    let mut carried: VecDeque<Vec<u8>> = VecDeque::new();
    for message in messages {
        match fates.next().unwrap_or(Fate::Arrives) {
            Fate::Arrives => carried.push_back(message),
            Fate::Overtaken => carried.push_front(message),
            // The plugin acknowledges nothing twice: it counts on a connection that loses nothing.
            Fate::Lost if Message::decode(&message).unwrap().kind == Kind::Acknowledge => carried.push_back(message),
            Fate::Lost => {}
            Fate::Twice => carried.extend([message.clone(), message]),
        }
    }
    carried.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_streams_arrive_whole_whatever_happens_on_the_way(
        there in fates(),
        back in fates(),
        output in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..12),
        typed in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..12),
        deaf_for in 0_usize..4,
    ) {
        let (mut channel, mut plugin) = (channel(), Plugin::new(deaf_for));
        let (mut there, mut back) = (there.into_iter(), back.into_iter());
        let (mut to_show, mut to_type) = (output.iter(), typed.iter());
        let mut received = Vec::new();
        let mut now = Duration::ZERO;
        for _ in 0..400 {
            for bytes in carry(std::iter::from_fn(|| channel.next_message()).collect(), &mut there) {
                plugin.receive(&bytes);
            }
            for bytes in carry(std::mem::take(&mut plugin.to_write), &mut back) {
                channel.receive(&bytes, now).unwrap();
            }
            while let Some(event) = channel.next_event() {
                if let Event::Input(bytes) = event {
                    received.extend(bytes);
                }
            }
            if channel.has_room() && let Some(bytes) = to_show.next() {
                channel.output(bytes, now);
            }
            if plugin.is_complete && let Some(bytes) = to_type.next() {
                plugin.send(kind::OUTPUT, bytes);
            }
            now += 50 * MS;
            channel.tick(now).unwrap();
            plugin.resend();
            let is_over = to_show.len() + to_type.len() == 0 && channel.is_settled() && plugin.sent.is_empty();
            if is_over && !channel.has_message() && plugin.to_write.is_empty() {
                break;
            }
        }
        prop_assert_eq!(plugin.shown, output.concat());
        prop_assert_eq!(received, typed.concat());
        prop_assert!(channel.is_settled() && plugin.sent.is_empty());
    }

    #[test]
    fn no_client_can_make_it_hold_much(
        messages in prop::collection::vec(
            (-3_i64..8000, 0_u32..13, prop::collection::vec(any::<u8>(), 0..64), 1_usize..1000), 0..60
        )
    ) {
        let mut channel = ready();
        for (sequence, payload_type, payload, times) in messages {
            let message = typed(sequence, payload_type, &payload.repeat(times));
            prop_assert!(channel.receive(&message.encode(), MS).is_ok());
            prop_assert!(channel.held_bytes <= HELD_BYTES);
            prop_assert!(channel.to_write.len() <= TO_WRITE);
            prop_assert!(channel.early.len() + channel.events.len() <= HELD + 1);
            let held: usize = channel.early.values().map(|early| early.payload.len()).sum();
            let waiting: usize = channel.events.iter().map(|event| match event {
                Event::Input(bytes) => bytes.len(),
                Event::Ready | Event::Size { .. } | Event::Terminate => 0,
            }).sum();
            prop_assert_eq!(held + waiting, channel.held_bytes);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut channel = channel();
        for bytes in messages {
            let _taken = channel.receive(&bytes, MS);
        }
    }
}
