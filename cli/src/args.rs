//! What may be written on the command line, in common for all commands; each command's own words are beside it.

use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, ValueEnum};

use crate::command::Command;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Run containers on your own Docker hosts, the way Amazon ECS does.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    styles = STYLES,
    max_term_width = 100,
    after_help = "\
Examples:
  berth dev                                     a scheduler and an agent on this machine
  berth task-definitions register web.json
  berth run web --count 3 --wait
  berth ps

The AWS CLI speaks to the same address: aws ecs list-tasks --endpoint-url http://127.0.0.1:7700

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted while waiting."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Where the scheduler listens
    #[arg(
        long,
        global = true,
        env = "BERTH_SCHEDULER",
        value_name = "URL",
        default_value = "http://127.0.0.1:7700",
        value_parser = scheduler_url
    )]
    pub(crate) scheduler: String,
    /// Name or ARN of the cluster [default: the API's, `default`]
    #[arg(long, global = true, env = "BERTH_CLUSTER", value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Tables for people, or the ECS API's JSON for programs
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    /// When to colour; `auto` means on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// How long one call to the scheduler may take
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration
    )]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

fn scheduler_url(text: &str) -> Result<String, String> {
    let uri: http::Uri = text
        .parse()
        .map_err(|error| format!("it must be a URL such as http://127.0.0.1:7700: {error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) if matches!(uri.path(), "" | "/") => Ok(text.trim_end_matches('/').to_owned()),
        (Some("http"), Some(_)) => Err("it must have no path".to_owned()),
        _ => Err("it must begin with http:// and name a host".to_owned()),
    }
}

/// `90`, `90s`, `10m` or `1h`; at least one second.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = digits.parse::<u64>().ok().zip(unit);
    match seconds.and_then(|(number, unit)| number.checked_mul(unit)) {
        Some(seconds @ 1..=604_800) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 1 second and 7 days".to_owned()),
        None => Err("it must be a whole number and a unit, such as 30s, 10m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::{Cli, duration, scheduler_url};

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, seconds) in [("90", 90), ("1s", 1), ("10m", 600), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "0", "-1", "1.5s", "5d", "8000h", "1 s", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scheduler_is_named_by_an_http_url_without_a_path() {
        assert_eq!(
            scheduler_url("http://10.0.0.1:7700/"),
            Ok("http://10.0.0.1:7700".to_owned())
        );
        for text in ["https://a:1", "a:7700", "http://", "http://a:1/api", "not a url"] {
            assert!(scheduler_url(text).is_err(), "{text}");
        }
    }
}
