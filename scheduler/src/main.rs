//! `berth-scheduler`: Berth's control plane. The exit codes are those that `--help` lists.

use std::process::ExitCode;

use berth_daemon::manual::{self, Section};
use berth_scheduler::config::{Arguments, Command};
use clap::{CommandFactory, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "for whoever started it")]
async fn main() -> ExitCode {
    match manual::asked(std::env::args_os(), Section::Administration, Arguments::command) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-scheduler: {error}");
            return ExitCode::from(1);
        }
    }
    let Arguments { options, command } = Arguments::parse();
    let done = match command {
        None => berth_scheduler::run(options).await,
        Some(Command::Journal(command)) => berth_scheduler::journals::run(command).await,
        Some(Command::Ca(command)) => berth_scheduler::trust::command::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-scheduler: {error:#}");
            berth_scheduler::exit_code(&error)
        }
    }
}
