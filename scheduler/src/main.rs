//! `berth-scheduler`: Berth's control plane. The exit codes are those that `--help` lists.

use std::process::ExitCode;

use berth_scheduler::config::{Arguments, Command};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "for whoever started it")]
async fn main() -> ExitCode {
    let Arguments { options, command } = Arguments::parse();
    let done = match command {
        None => berth_scheduler::run(options).await,
        Some(Command::Journal(command)) => berth_scheduler::journals::run(command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-scheduler: {error:#}");
            berth_scheduler::exit_code(&error)
        }
    }
}
