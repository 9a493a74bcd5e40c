//! The command line: a flag a setting, and what is no setting.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::setting::{Default, Form, Setting, one};
use super::settings::SETTINGS;
use super::source::{ECS_FILE, ECS_FILE_VARIABLE, FILE, FILE_VARIABLE, Gathered};
use super::value::{DAY, duration, path};
use crate::drain::client::Drain;

/// Each paragraph is one line: the help wraps it to the width of the terminal.
const ABOUT: &str = concat!(
    "Runs the tasks of one Docker host for a Berth scheduler, the way the ECS agent does for Amazon ECS.\n\n",
    "It dials the scheduler, says what the host has, runs what it is assigned and reports every change. Containers ",
    "outlive it: stopped or killed at any moment, it finds its containers again and goes on.\n\n",
    "Each setting is a flag, a variable of the environment (BERTH_ and the flag: BERTH_STOP_TIMEOUT) and a key of ",
    "/etc/berth/agent.toml (stop-timeout = \"30s\"); they win in this order. Those that the ECS agent has too are read ",
    "under its names as well, from the environment and from /etc/ecs/ecs.config.",
);

const AFTER: &str = "\
Exit codes:
  0  told to stop by SIGTERM or SIGINT; containers keep running
  1  failed; starting it again may help
  2  a setting is wrong; all that are wrong are named
  5  the state directory belongs to another cluster or is in use; starting it again does not help

Example:
  berth-agent --scheduler http://10.0.0.5:7700 --cluster prod --attribute rack=r12";

const NETWORK_ABOUT: &str = concat!(
    "Let containers reach the endpoint of their tasks, or undo it.\n\n",
    "`up` puts 169.254.170.2 on the device `lo` and has the host lead port 80 of it to port 51679, where the agent ",
    "listens; `down` takes both away. Each needs root, `ip` and `nft`, and may be done any number of times. ",
    "berth-agent-network.service does it when the host starts.",
);

/// The subcommand that makes the way to the endpoint.
pub(super) const NETWORK: &str = "network";
/// The subcommand that tells the agent of the host's end.
pub(super) const DRAIN: &str = "drain";

const DRAIN_AFTER: &str = "\
It waits until nothing runs and the scheduler has recorded every end, and tells each change. Ended early, it takes
nothing back.

Exit codes:
  0  drained, or the host stays
  1  there is no agent, or it could not drain

Example:
  berth-agent drain --deadline 5m";

/// The command, to parse arguments with and to print the help of.
#[must_use]
pub fn command() -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!(
            "TOML file with settings [env: {FILE_VARIABLE}] [default: {FILE}, which may be absent]"
        ));
    let ecs_file = Arg::new("ecs-config")
        .long("ecs-config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!(
            "File with settings of the ECS agent [env: {ECS_FILE_VARIABLE}] [default: {ECS_FILE}, which may be absent]"
        ));
    let check = Arg::new("check-config")
        .long("check-config")
        .action(ArgAction::SetTrue)
        .help("Print what would be used and where each value comes from, and end");
    let network = Command::new(NETWORK)
        .about("Let containers reach the endpoint of their tasks, or undo it")
        .long_about(NETWORK_ABOUT)
        .arg(
            Arg::new("way")
                .required(true)
                .value_parser(PossibleValuesParser::new(["up", "down"])),
        );
    Command::new("berth-agent")
        .subcommand(network)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .args([file, ecs_file, check])
        .subcommand(drain_command())
        .args(SETTINGS.iter().filter(|setting| !setting.flagless).map(flag))
}

fn drain_command() -> Command {
    let deadline = Arg::new("deadline")
        .long("deadline")
        .value_name("DURATION")
        .default_value("2m")
        .help("In how long tasks that still run are told to stop");
    let cancel = Arg::new("cancel")
        .long("cancel")
        .action(ArgAction::SetTrue)
        .conflicts_with("deadline")
        .help("Take it back: the host stays");
    Command::new(DRAIN)
        .about("Tell the agent of this host that the host goes away: it takes no new tasks, and stops what is left at the deadline")
        .after_help(DRAIN_AFTER)
        .args([deadline, cancel])
}

/// What `drain` was given.
///
/// # Errors
/// A value that breaks a rule.
pub(super) fn drain(flags: &ArgMatches, gathered: &Gathered) -> Result<Drain, String> {
    let deadline = flags
        .get_one::<String>("deadline")
        .map(String::as_str)
        .unwrap_or_default();
    let within = duration(Duration::ZERO..=DAY)(deadline);
    let within = within.map_err(|rule| format!("--deadline is '{deadline}', it {rule}"))?;
    Ok(Drain {
        state_dir: gathered.read("state-dir", one(path))?,
        within: (!flags.get_flag("cancel")).then_some(within),
    })
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value)
        .help_heading(setting.group)
        .allow_hyphen_values(true)
        .help(format!("{} {}", setting.help.trim(), default(setting)));
    match setting.form {
        Form::One => arg.action(ArgAction::Set),
        Form::Many => arg.action(ArgAction::Append),
        Form::Switch => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(PossibleValuesParser::new(["true", "false"])),
    }
}

/// What holds otherwise, in brackets.
fn default(setting: &Setting) -> String {
    match setting.default {
        Default::Required(_) => "[required]".to_owned(),
        Default::Values(values) => format!("[default: {}]", values.join(",")),
        Default::None(meaning) => format!("[default: {meaning}]"),
    }
}
