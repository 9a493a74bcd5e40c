//! The end of a session that the session-manager-plugin has, as `aws ecs execute-command` starts it: a websocket, on which
//! `berth-data-channel` says what is written when. The rest of the session is as any other's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use berth_data_channel::{Broken, Channel, Event, Opening};
use berth_model::fault::Fault;
use berth_proto::session::v1::{End, FromContainer, TerminalSize, ToContainer, from_container, to_container};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::relay::words;
use super::{Offer, Sessions, random_bytes, relay};
use crate::clock;

/// Bytes of one message of a client, which types and pastes.
pub(crate) const MOST_MESSAGE: usize = 128 * 1024;
/// How long a client may take to open the channel.
const OPENING: Duration = Duration::from_secs(10);
/// How long it may take to show a terminal, as the agent of AWS waits for it.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// The plugin tells the size of its terminal as soon as it shows one: the command is begun with it where it comes in this time.
const FIRST_SIZE: Duration = Duration::from_millis(500);
/// How long the last output may take to arrive, and then a connection to close.
const FAREWELL: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(2);
/// Messages that wait between here and the container, in each direction.
const WAITING: usize = 16;

/// Why a client is of no use any more.
#[derive(Debug)]
enum Left {
    /// Its connection is.
    Gone,
    /// It ends its session.
    Ended,
    /// It cannot be talked to.
    Broken(Broken),
    /// It does not say what is waited for.
    Late(&'static str),
}

impl Left {
    /// For the journal.
    fn words(&self) -> String {
        match self {
            Self::Gone => "the client went away".to_owned(),
            Self::Ended => "the client ended it".to_owned(),
            Self::Broken(broken) => broken.to_string(),
            Self::Late(what) => format!("the client {what}"),
        }
    }

    /// For the client's people, if there is something that they do not know.
    fn output(&self) -> String {
        match self {
            Self::Gone | Self::Ended => String::new(),
            Self::Broken(_) | Self::Late(_) => self.words(),
        }
    }
}

/// A client, and what goes to it.
struct Line {
    to: SplitSink<WebSocket, Message>,
    from: SplitStream<WebSocket>,
    channel: Channel,
    began: Instant,
    is_flushed: bool,
}

/// Lets a client into the session of this id that has its token, and serves it until one of both ends.
pub(crate) async fn serve(sessions: Arc<Sessions>, id: String, socket: WebSocket) {
    let mut line = match Line::new(&id, socket) {
        Ok(line) => line,
        Err(fault) => return tracing::warn!(session = id, error = %fault, "no data channel"),
    };
    let opened = tokio::time::timeout(OPENING, line.opening()).await;
    let opening = match opened {
        Ok(Ok(opening)) => opening,
        Ok(Err(text)) => return line.close(&text).await,
        Err(_elapsed) => return line.close("The data channel was not opened in time.").await,
    };
    let offer = match sessions.take_up(&id, &opening.token) {
        Ok(offer) => offer,
        Err(fault) => return line.close(&fault.message).await,
    };
    tracing::debug!(session = id, client = opening.client_version, "data channel opened");
    let (reason, output) = converse(&sessions, &offer, &mut line).await;
    sessions.ended(&offer, &reason).await;
    line.close(&output).await;
}

/// How the session ended: for the journal, and for the client.
async fn converse(sessions: &Sessions, offer: &Offer, line: &mut Line) -> (String, String) {
    let left = |left: Left| (left.words(), left.output());
    let size = match line.shake_hands().await {
        Ok(size) => size,
        Err(reason) => return left(reason),
    };
    let pipe = match sessions.run(offer, size).await {
        Ok(pipe) => pipe,
        Err(fault) => return (fault.message.clone(), fault.message),
    };
    let (to, inputs) = mpsc::channel(WAITING);
    let (out, outputs) = mpsc::channel(WAITING);
    let relayed = async move { relay(ReceiverStream::new(inputs), &out, pipe, sessions.shutdown()).await };
    let (reason, pumped) = tokio::join!(relayed, pump(line, to, outputs));
    match pumped {
        Err(reason) => left(reason),
        Ok(end) => {
            line.settle().await;
            (reason, told(end.as_ref()))
        }
    }
}

/// What people are told of an end: nothing where all went well.
fn told(end: Option<&End>) -> String {
    match end {
        Some(End { exit_code: Some(0), .. }) | None => String::new(),
        Some(end) => words(end),
    }
}

/// Carries what comes to where it belongs, until the command ends or the client does.
async fn pump(
    line: &mut Line,
    to: mpsc::Sender<ToContainer>,
    mut out: mpsc::Receiver<FromContainer>,
) -> Result<Option<End>, Left> {
    loop {
        tokio::select! {
            turned = line.turn() => turned?,
            room = to.reserve(), if line.channel.peek_event().is_some() => {
                let message = match line.channel.next_event() {
                    Some(Event::Terminate) => return Err(Left::Ended),
                    Some(Event::Input(bytes)) => to_container::Message::Input(bytes),
                    Some(Event::Size { rows, columns }) => to_container::Message::Size(TerminalSize { rows, columns }),
                    Some(Event::Ready) | None => continue,
                };
                // Where nobody takes it any more the end is about to come.
                if let Ok(room) = room {
                    room.send(ToContainer { message: Some(message) });
                }
            }
            message = out.recv(), if line.channel.has_room() => match message.map(|message| message.message) {
                Some(Some(from_container::Message::Output(output))) => line.output(&output.data),
                Some(Some(from_container::Message::End(end))) => return Ok(Some(end)),
                Some(Some(from_container::Message::Begin(_)) | None) => {}
                None => return Ok(None),
            },
        }
    }
}

impl Line {
    fn new(id: &str, socket: WebSocket) -> Result<Self, Fault> {
        let made_ms = u64::try_from(clock::now().as_millis()).unwrap_or_default();
        let (to, from) = socket.split();
        Ok(Self {
            to,
            from,
            channel: Channel::new(id.to_owned(), random_bytes()?, made_ms),
            began: Instant::now(),
            is_flushed: false,
        })
    }

    /// The first text; or why there is none.
    async fn opening(&mut self) -> Result<Opening, String> {
        loop {
            return match self.from.next().await {
                Some(Ok(Message::Text(text))) => Opening::read(text.as_str()).map_err(|error| error.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => {
                    Err("A data channel should be opened by a text with its token.".to_owned())
                }
            };
        }
    }

    /// Waits until the client shows a terminal; gives its size, where it tells it at once.
    async fn shake_hands(&mut self) -> Result<Option<TerminalSize>, Left> {
        let mut size = None;
        let shaken = tokio::time::timeout(HANDSHAKE, async {
            loop {
                match self.channel.next_event() {
                    Some(Event::Ready) => return Ok(()),
                    Some(Event::Terminate) => return Err(Left::Ended),
                    Some(Event::Size { rows, columns }) => size = Some(TerminalSize { rows, columns }),
                    Some(Event::Input(_)) => {}
                    None => self.turn().await?,
                }
            }
        });
        shaken
            .await
            .unwrap_or(Err(Left::Late("did not answer the handshake")))?;
        if size.is_some() {
            return Ok(size);
        }
        let first = tokio::time::timeout(FIRST_SIZE, async {
            while self.channel.peek_event().is_none() {
                self.turn().await?;
            }
            Ok(())
        });
        first.await.unwrap_or(Ok(()))?;
        let Some(&Event::Size { rows, columns }) = self.channel.peek_event() else {
            return Ok(None);
        };
        self.channel.next_event();
        Ok(Some(TerminalSize { rows, columns }))
    }

    fn output(&mut self, bytes: &[u8]) {
        self.channel.output(bytes, self.began.elapsed());
        self.is_flushed = false;
    }

    /// One thing that happens: something is written, comes, or is due again. Cancelling it loses nothing.
    async fn turn(&mut self) -> Result<(), Left> {
        let wake_at = self.channel.wake_at().map(|at| self.began + at);
        let due = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            written = std::future::poll_fn(|context| write(&mut self.to, &mut self.channel, context)), if !self.is_flushed => {
                self.is_flushed = true;
                return written.map_err(|_gone| Left::Gone);
            }
            message = self.from.next(), if self.channel.takes_more() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let taken = self.channel.receive(&bytes, self.began.elapsed());
                    taken.map_err(Left::Broken)?;
                }
                // Pings are answered by the library, when something is written.
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Left::Gone),
            },
            () = due => self.channel.tick(self.began.elapsed()).map_err(Left::Broken)?,
        }
        self.is_flushed = false;
        Ok(())
    }

    /// Waits for all output to arrive, if not for long.
    async fn settle(&mut self) {
        let settled = async { while !self.channel.is_settled() && self.turn().await.is_ok() {} };
        if tokio::time::timeout(FAREWELL, settled).await.is_err() {
            tracing::debug!("the last output of a session was not acknowledged");
        }
    }

    /// Tells the client that the session has ended, and closes the connection.
    async fn close(mut self, output: &str) {
        self.channel.close(output, self.began.elapsed());
        let closed = async {
            while let Some(bytes) = self.channel.next_message() {
                self.to.send(Message::Binary(bytes.into())).await?;
            }
            self.to.send(Message::Close(None)).await?;
            while let Some(Ok(_)) = self.from.next().await {}
            Ok::<_, axum::Error>(())
        };
        match tokio::time::timeout(CLOSING, closed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a data channel was not closed: its client is gone"),
            Err(_elapsed) => tracing::debug!("a data channel was cut: its client does not close it"),
        }
    }
}

/// Writes all that is to be written.
fn write(
    to: &mut SplitSink<WebSocket, Message>,
    channel: &mut Channel,
    context: &mut Context<'_>,
) -> Poll<Result<(), axum::Error>> {
    let mut to = Pin::new(to);
    while channel.has_message() {
        ready!(to.as_mut().poll_ready(context))?;
        if let Some(bytes) = channel.next_message() {
            to.as_mut().start_send(Message::Binary(bytes.into()))?;
        }
    }
    to.poll_flush(context)
}
