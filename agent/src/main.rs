//! The binary `berth-agent`. The exit codes are those that `--help` lists.

use std::process::ExitCode;
use std::time::Duration;

use berth_agent::{ConfigError, Invocation, NotOurs};
use berth_daemon::manual::{self, Section};

/// For effects that are on their way; the rest of the five seconds that stopping may take went to the stream.
const LAST_EFFECTS: Duration = Duration::from_secs(1);
/// For files and names that may keep a thread waiting; each that does is waited for with a deadline. Records have a thread
/// of their own.
const BLOCKING_THREADS: usize = 16;

#[expect(clippy::print_stderr, reason = "logging begins when the settings are known")]
#[expect(clippy::print_stdout, reason = "what was asked for goes there")]
fn main() -> ExitCode {
    match manual::asked(std::env::args_os(), Section::Administration, berth_agent::command) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth-agent: {error}");
            return ExitCode::from(1);
        }
    }
    let config = match Invocation::read(std::env::args_os()) {
        Ok(Invocation::Run(config)) => *config,
        Ok(Invocation::Network(network)) => return finish(|| berth_agent::set_network(network)),
        Ok(Invocation::Check(report)) => {
            print!("{report}");
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Drain(drain)) => {
            return match drain.run(std::io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("berth-agent: {error:#}");
                    ExitCode::from(1)
                }
            };
        }
        Err(ConfigError::Arguments(error)) => error.exit(),
        Err(error) => {
            eprintln!("berth-agent: {error}");
            return ExitCode::from(2);
        }
    };
    finish(|| berth_agent::run(config))
}

#[expect(clippy::print_stderr, reason = "the last words are for whoever started it")]
fn finish<F: Future<Output = anyhow::Result<()>>>(work: impl FnOnce() -> F) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("berth-agent: the runtime cannot be built: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(work());
    runtime.shutdown_timeout(LAST_EFFECTS);
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("berth-agent: {error:#}");
    ExitCode::from(if error.is::<NotOurs>() { 5 } else { 1 })
}
