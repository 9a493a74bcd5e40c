//! `berth exec`.

use std::io;

use anyhow::{Context, bail, ensure};
use berth_proto::session::v1::{
    Begin, End, FromContainer, InputEnd, Stream, TerminalSize, ToContainer, from_container, to_container,
};
use berth_proto::v1::ExecuteCommandRequest;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::ps;
use crate::Ending;
use crate::api::{Api, Entered};
use crate::output::Output;
use crate::terminal::{self, Raw};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth exec 3f2a -- ls -l /data
  berth exec -it 3f2a -- sh
  berth exec -i 3f2a --container db -- psql shop < dump.sql

The task must have been started with enableExecuteCommand (`berth run --enable-execute-command`, or its service's setting).
The command is run as the container's user; no shell reads it. When this command ends before the other one, that one is sent
SIGHUP where the container has a shell.

Exit status: the command's own; 1 where it was not run, or its end is not known.")]
pub(crate) struct ExecArgs {
    /// ARN, id, or the beginning of an id with at least four characters
    task: String,
    /// Its name in the task definition; may be left out where the task has one container
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Hand standard input on to the command
    #[arg(long, short)]
    interactive: bool,
    /// Give the command a terminal: this one
    #[arg(long, short)]
    tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "WORD")]
    words: Vec<String>,
}

pub(super) async fn run(args: ExecArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    ensure!(
        !(args.tty && args.interactive) || terminal::is_there(),
        "--tty: standard input is no terminal; leave it out"
    );
    let task = ps::named(api, &[args.task]).await?.pop();
    let size = terminal::size().filter(|_| args.tty);
    let (rows, columns) = size.map_or((0, 0), |(rows, columns)| (rows.into(), columns.into()));
    let opened = api
        .execute_command(ExecuteCommandRequest {
            cluster: None,
            task,
            container: args.container,
            command: args.words,
            terminal: args.tty,
            input: args.interactive,
            rows,
            columns,
        })
        .await?;
    let begin = Begin {
        session_id: opened.session_id,
        token: opened.token_value,
    };
    let entered = api.attach(begin).await?;
    let raw = (args.tty && args.interactive).then(Raw::enter).transpose();
    let raw = raw.context("cannot use the terminal")?;
    let ended = attend(api, entered, args.interactive, args.tty).await;
    drop(raw);
    match ended? {
        Ended::Itself(End {
            exit_code: Some(code), ..
        }) => Ok(Ending::Code(u8::try_from(code).unwrap_or(1))),
        Ended::Itself(End { reason, .. }) => bail!("the command's end is not known: {reason}"),
        Ended::Interrupted => {
            output.progress("interrupted")?;
            Ok(Ending::Interrupted)
        }
    }
}

enum Ended {
    Itself(End),
    Interrupted,
}

/// Hands on what is typed and what is written, until the command ends or a signal says so.
async fn attend(api: &Api, entered: Entered, interactive: bool, tty: bool) -> anyhow::Result<Ended> {
    let Entered { to, from } = entered;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::select! {
        end = print(api, from) => end.map(Ended::Itself),
        never = hand_on(to, interactive, tty) => never.map(|()| Ended::Interrupted),
        _ = interrupt.recv() => Ok(Ended::Interrupted),
        _ = terminate.recv() => Ok(Ended::Interrupted),
        _ = hang_up.recv() => Ok(Ended::Interrupted),
    }
}

/// Prints what the command writes, until it ends.
async fn print(api: &Api, mut from: tonic::Streaming<FromContainer>) -> anyhow::Result<End> {
    while let Some(FromContainer { message }) = api.next_of_session(&mut from).await? {
        match message {
            Some(from_container::Message::Output(written)) => match written.stream() {
                Stream::Stderr => put(&mut io::stderr().lock(), &written.data)?,
                Stream::Stdout | Stream::Unspecified => put(&mut io::stdout().lock(), &written.data)?,
            },
            Some(from_container::Message::End(end)) => return Ok(end),
            Some(from_container::Message::Begin(_)) | None => {}
        }
    }
    bail!("the scheduler ended the session without saying why")
}

fn put(stream: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Hands on standard input and the terminal's size. Comes to no end by itself.
async fn hand_on(to: mpsc::Sender<ToContainer>, interactive: bool, tty: bool) -> anyhow::Result<()> {
    use to_container::Message;
    let mut resized = signal(SignalKind::window_change()).context("cannot listen for SIGWINCH")?;
    let mut input = interactive.then(terminal::input);
    loop {
        let message = tokio::select! {
            bytes = next(&mut input) => match bytes {
                Some(bytes) => Message::Input(bytes),
                None => {
                    input = None;
                    Message::InputEnd(InputEnd {})
                }
            },
            Some(()) = resized.recv(), if tty => match terminal::size() {
                Some((rows, columns)) => Message::Size(TerminalSize {
                    rows: rows.into(),
                    columns: columns.into(),
                }),
                None => continue,
            },
        };
        if to.send(ToContainer { message: Some(message) }).await.is_err() {
            // The session is over, as whoever prints is told.
            std::future::pending::<()>().await;
        }
    }
}

/// The next input; never where there is none to wait for.
async fn next(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}
