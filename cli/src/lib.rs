//! `berth`, the operator's command line: a gRPC client of the scheduler.
//!
//! It holds no state, decides nothing that the scheduler decides, and reaches a cluster through the API alone; only
//! `berth dev` starts processes. Calls (`api`), what to do with them (`command`) and how it looks (`show`) are apart.

mod api;
mod args;
mod bundle;
mod command;
mod credentials;
mod dev;
mod doctor;
mod hint;
mod output;
mod screen;
mod select;
mod show;
mod terminal;
mod tls;
mod wait;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use berth_daemon::manual::{self, Section};
use clap::CommandFactory as _;

use crate::args::{Cli, Color};
use crate::output::Output;

/// How a command ended that printed all it had to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All that was asked for happened.
    Done,
    /// A part of it did not, and the command has said which.
    Incomplete,
    /// The user stopped waiting.
    Interrupted,
    /// A command that was run elsewhere ended with this code.
    Code(u8),
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Incomplete => Self::FAILURE,
            Ending::Interrupted => Self::from(130),
            Ending::Code(code) => Self::from(code),
        }
    }
}

/// Reads the command line, does what it says and reports how it went: 0 done, 1 failed, 2 wrong usage, 130 interrupted,
/// 141 where the reader of its output went away.
#[must_use]
pub fn main() -> ExitCode {
    match manual::asked(std::env::args_os(), Section::Commands, Cli::command) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = report(&error.into(), None, Color::Auto);
            return ExitCode::FAILURE;
        }
    }
    let cli = Cli::read();
    let color = cli.global.color;
    let cluster = cli.global.cluster.clone();
    match run(cli) {
        Ok(ending) => ending.into(),
        // What `kill -PIPE` would have left behind, as other Unix tools do.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            // Where standard error is gone, the exit status is all that is left to tell it with.
            let _unheard = report(&error, cluster.as_deref(), color);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let mut output = Output::new(cli.global.output, cli.global.color);
    let ending = runtime.block_on(command::run(cli, &mut output))?;
    output.flush()?;
    Ok(ending)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn report(error: &anyhow::Error, cluster: Option<&str>, color: Color) -> io::Result<()> {
    let mut stream = output::stderr(color);
    let (red, cyan) = (output::ERROR, output::HINT);
    writeln!(stream, "{red}error:{red:#} {error:#}")?;
    if let Some(hint) = hint::for_error(error, cluster) {
        writeln!(stream, "{cyan}hint:{cyan:#} {hint}")?;
    }
    stream.flush()
}
