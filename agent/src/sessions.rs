//! The agent's end of sessions: commands that are run in containers of its tasks, and logs of these that are read.
//!
//! Each session is a call of its own to the scheduler that asked for it, on a connection of its own, and a task of its own: the
//! driver starts it and hears no more of it. It ends with the command, the log, the call or the agent.

mod recorder;

use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::failure::Failure;
use berth_agent_core::stream::Source;
use berth_daemon::chain;
use berth_model::id::TaskId;
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::open_session::Wish;
use berth_proto::session::v1::{
    Begin, Command, End, FromContainer, Output, Stream, TerminalSize, ToContainer, from_container, to_container,
};
use berth_tls::{Membership, connect};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Endpoint;

use self::recorder::Recorder;
use crate::docker::{Docker, ExecInput, ExecOutput, LogWish};

/// Sessions at a time.
const MOST: usize = 128;
/// Messages that wait for the scheduler.
const TO_SCHEDULER: usize = 16;
const CONNECT: Duration = Duration::from_secs(5);
/// For the answer to the call.
const ANSWER: Duration = Duration::from_secs(10);
/// For the scheduler to take in the end of a session.
const FAREWELL: Duration = Duration::from_secs(5);

/// Who runs sessions.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    docker: Docker,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A session that is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Where to call.
    pub(crate) scheduler: Endpoint,
    /// Whose certificate is shown there, where it is spoken with over TLS.
    pub(crate) membership: Option<Arc<Membership>>,
    /// By what it is known there.
    pub(crate) id: String,
    pub(crate) wish: Option<Wish>,
    /// The container, or why there is none.
    pub(crate) target: Result<Target, String>,
}

/// A container that is there.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) task: TaskId,
    /// Its name in the definition.
    pub(crate) container: String,
    /// Docker's id of it.
    pub(crate) runtime_id: String,
}

/// A call that was answered.
struct Called {
    to: mpsc::Sender<FromContainer>,
    from: Streaming<ToContainer>,
}

impl Sessions {
    /// None yet; all end when `stop` is cancelled.
    pub(crate) fn new(docker: Docker, stop: CancellationToken) -> Self {
        Self {
            docker,
            turns: Arc::new(Semaphore::new(MOST)),
            stop,
        }
    }

    /// Begins a session. What goes wrong is told to whoever is at its other end.
    pub(crate) fn begin(&self, asked: Asked) {
        let sessions = self.clone();
        tokio::spawn(async move {
            let stop = sessions.stop.clone();
            tokio::select! {
                () = sessions.run(asked) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn run(self, asked: Asked) {
        let Ok(_turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            tracing::warn!(most = MOST, "a session was not begun: there are too many");
            return;
        };
        let Called { to, mut from } = match call(&asked).await {
            Ok(called) => called,
            Err(error) => {
                tracing::warn!(error, "a session was not begun");
                return;
            }
        };
        let end = match (asked.target, asked.wish) {
            (Err(reason), _) => because(&reason),
            (Ok(target), Some(Wish::Command(command))) => {
                Box::pin(self.command(&target, command, &to, &mut from)).await
            }
            (Ok(target), Some(Wish::Log(log))) => {
                let wish = LogWish {
                    follow: log.follow,
                    tail: log.tail,
                    after_ns: log.after_ns,
                };
                Box::pin(self.log(&target.runtime_id, wish, &to, &mut from)).await
            }
            (Ok(_), None) => because("this agent does not know what is asked for: it is older than the scheduler"),
        };
        if to.send(message(from_container::Message::End(end))).await.is_err() {
            tracing::debug!("the end of a session was not told: its other end is gone");
        }
        drop(to);
        // Until the end has arrived: a call whose answer nobody waits for may be broken off before.
        let closed = async { while let Ok(Some(_)) = from.message().await {} };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::debug!("the scheduler does not end a session that has ended");
        }
    }

    /// Runs a command until it ends or the call does.
    async fn command(
        &self,
        target: &Target,
        command: Command,
        to: &mpsc::Sender<FromContainer>,
        from: &mut Streaming<ToContainer>,
    ) -> End {
        let Command {
            words,
            terminal,
            input,
            size,
            recording,
        } = command;
        let container = &target.runtime_id;
        let mut recorder = recording.map(|recording| Recorder::new(recording, target));
        let mut exec = match self.docker.exec(container, words, terminal, input).await {
            Ok(exec) => exec,
            Err(failure) => return because(&failure.message),
        };
        let id = exec.id.clone();
        if let Some(TerminalSize { rows, columns }) = size.filter(|_| terminal) {
            self.resize(&id, rows, columns).await;
        }
        let ended = tokio::select! {
            told = tell(&mut exec.output, recorder.as_mut(), to) => Some(told),
            () = self.take(exec.input, from, &id) => None,
        };
        match ended {
            Some(Ok(())) => match self.docker.exec_ending(&id).await {
                Ok(code) => End {
                    exit_code: Some(code),
                    reason: String::new(),
                },
                Err(failure) => because(&failure.message),
            },
            Some(Err(failure)) => because(&failure.message),
            None => {
                if let Err(failure) = self.docker.hang_up(container, &id).await {
                    tracing::warn!(container, error = %failure, "a command goes on whose session has ended");
                }
                because("the other end went away")
            }
        }
    }

    /// Gives the command what comes for it; ends when the call does.
    async fn take(&self, mut input: ExecInput, from: &mut Streaming<ToContainer>, id: &str) {
        use to_container::Message;
        // A command that reads no more may go on all the same.
        let mut is_read = true;
        while let Ok(Some(ToContainer { message })) = from.message().await {
            match message {
                Some(Message::Input(bytes)) if is_read => is_read = input.write(&bytes).await.is_ok(),
                Some(Message::InputEnd(_)) if is_read => {
                    is_read = false;
                    if let Err(error) = input.end().await {
                        tracing::debug!(%error, "the end of a command's input was not told");
                    }
                }
                Some(Message::Size(TerminalSize { rows, columns })) => self.resize(id, rows, columns).await,
                Some(Message::Input(_) | Message::InputEnd(_) | Message::Begin(_)) | None => {}
            }
        }
    }

    async fn resize(&self, id: &str, rows: u32, columns: u32) {
        if rows == 0 || columns == 0 {
            return;
        }
        // It can be used as it is.
        if let Err(failure) = self.docker.resize_exec(id, rows, columns).await {
            tracing::debug!(error = %failure, "a terminal was not resized");
        }
    }

    /// Reads a log until it ends or the call does.
    async fn log(
        &self,
        container: &str,
        wish: LogWish,
        to: &mpsc::Sender<FromContainer>,
        from: &mut Streaming<ToContainer>,
    ) -> End {
        let read = async {
            let mut log = self.docker.log(container, wish).await?;
            while let Some(line) = log.next().await? {
                let output = Output {
                    stream: stream(line.source).into(),
                    data: line.text,
                    time_ns: Some(line.time_ns),
                    goes_on: line.goes_on,
                };
                if to.send(message(from_container::Message::Output(output))).await.is_err() {
                    break;
                }
            }
            Ok::<(), Failure>(())
        };
        let gone = async { while let Ok(Some(_)) = from.message().await {} };
        tokio::select! {
            read = read => read.map_or_else(|failure| because(&failure.message), |()| End::default()),
            () = gone => End::default(),
        }
    }
}

/// Tells what the command writes, until it has ended.
async fn tell(
    output: &mut ExecOutput,
    mut recorder: Option<&mut Recorder>,
    to: &mpsc::Sender<FromContainer>,
) -> Result<(), Failure> {
    while let Some((source, data)) = next(output, &mut recorder).await? {
        let output = Output {
            stream: stream(source).into(),
            data,
            ..Output::default()
        };
        if to.send(message(from_container::Message::Output(output))).await.is_err() {
            // The call has ended, which whoever gives it input hears too.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// What the command writes next, which is recorded where it is to be.
async fn next(
    output: &mut ExecOutput,
    recorder: &mut Option<&mut Recorder>,
) -> Result<Option<(Source, Vec<u8>)>, Failure> {
    let Some(recorder) = recorder else {
        return output.next().await;
    };
    let written = loop {
        match tokio::time::timeout_at(recorder.due(), output.next()).await {
            Ok(written) => break written?,
            Err(_elapsed) => recorder.record(),
        }
    };
    if let Some((_, data)) = &written {
        recorder.take(data);
    }
    Ok(written)
}

/// Calls the scheduler; whoever waits there is waited for.
async fn call(asked: &Asked) -> Result<Called, String> {
    let channel = match &asked.membership {
        Some(membership) => membership
            .connect(&asked.scheduler, CONNECT)
            .await
            .map_err(|error| chain(&error))?,
        None => connect(&asked.scheduler, None, CONNECT)
            .await
            .map_err(|error| chain(&error))?,
    };
    let (to, messages) = mpsc::channel(TO_SCHEDULER);
    let begin = Begin {
        session_id: asked.id.clone(),
        token: String::new(),
    };
    let begun = to.send(message(from_container::Message::Begin(begin))).await;
    begun.map_err(|error| error.to_string())?;
    let mut client = AgentLinkClient::new(channel);
    let answer = tokio::time::timeout(ANSWER, client.session(ReceiverStream::new(messages))).await;
    let answer = answer.map_err(|_elapsed| format!("the scheduler did not answer within {} s", ANSWER.as_secs()))?;
    let from = answer.map_err(|status| status.to_string())?.into_inner();
    Ok(Called { to, from })
}

fn message(message: from_container::Message) -> FromContainer {
    FromContainer { message: Some(message) }
}

fn because(reason: &str) -> End {
    End {
        exit_code: None,
        reason: reason.to_owned(),
    }
}

fn stream(source: Source) -> Stream {
    match source {
        Source::Stdout => Stream::Stdout,
        Source::Stderr => Stream::Stderr,
    }
}
