//! `make replicas`: three schedulers on an etcd of three members under load for five minutes, while schedulers and members
//! are killed, stopped in their tracks and cut off, and disks slow or full. Prints what became of the calls, and fails where
//! something that was promised did not hold.
//!
//! Arguments: for how many seconds, and the seed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use berth_integration_tests::replicas::{Rates, Report, Settings, run};

const SECONDS: u64 = 300;

fn main() -> ExitCode {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    match replicas() {
        Ok(report) => {
            println!("{report}");
            match report.problems.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn replicas() -> Result<Report> {
    let given = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let given: Vec<u64> = given
        .map(|number| number.parse().with_context(|| format!("'{number}' is no number")))
        .collect::<Result<_>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seconds = given.first().copied().unwrap_or(SECONDS);
    let seed = given.get(1).copied().unwrap_or(now);
    eprintln!("seed {seed}, {seconds} seconds");
    run(&Settings {
        name: "replicas",
        seed,
        schedulers: 3,
        members: 3,
        agents: 100,
        room: 32,
        task: Duration::from_secs(8),
        rates: Rates {
            runs: 200,
            stops: 40,
            reads: 100,
        },
        span: Duration::from_secs(seconds),
    })
}
