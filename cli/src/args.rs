//! What may be written on the command line, in common for all commands; each command's own words are beside it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use berth_model::time::Timestamp;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, ValueEnum};

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
  berth ps --at 2h                              how it was two hours ago

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
    /// PEM file of the authorities that vouch for an https:// scheduler [default: ~/.config/berth/ca.pem]
    #[arg(long, global = true, env = "BERTH_CA", value_name = "PATH")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file of a certificate to show to an https:// scheduler, which says who calls
    /// [default: ~/.config/berth/certificate.pem where there is one]
    #[arg(
        long,
        global = true,
        env = "BERTH_CERTIFICATE",
        value_name = "PATH",
        requires = "certificate_key"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key [default: ~/.config/berth/key.pem]
    #[arg(
        long,
        global = true,
        env = "BERTH_CERTIFICATE_KEY",
        value_name = "PATH",
        requires = "certificate"
    )]
    pub(crate) certificate_key: Option<PathBuf>,
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
    /// Sign with the operator's own key, which follows from this file of master keys
    #[arg(long, global = true, env = "BERTH_MASTER_KEY_FILE", value_name = "PATH")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Access key to sign with, where AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: a file as the AWS CLI's
    /// [default: ~/.config/berth/credentials where there is one]
    #[arg(long, global = true, env = "BERTH_CREDENTIALS", value_name = "PATH")]
    pub(crate) credentials: Option<PathBuf>,
    /// Show how it was then: a revision, a time such as 2026-11-21T06:30:00Z, or an age such as 2h
    #[arg(id = "at", long = "at", global = true, value_name = "REVISION|TIME|AGE")]
    pub(crate) at_text: Option<String>,
    /// The same, read.
    #[arg(skip)]
    pub(crate) at: Option<At>,
}

impl Cli {
    /// Reads the command line; one that is wrong ends the process.
    pub(crate) fn read() -> Self {
        Self::parse().with_moment().unwrap_or_else(|error| error.exit())
    }

    /// Reads `--at`, which is a schedule's own option where one is made or changed.
    fn with_moment(mut self) -> Result<Self, clap::Error> {
        let text = self.global.at_text.as_deref();
        if let Some(text) = text.filter(|_| !self.command.has_a_time_of_its_own()) {
            let wrong = |rule| format!("invalid value '{text}' for '--at <REVISION|TIME|AGE>': {rule}");
            let moment = at(text).map_err(|rule| Self::command().error(ErrorKind::ValueValidation, wrong(rule)))?;
            self.global.at = Some(moment);
        }
        Ok(self)
    }
}

/// A moment of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A revision, or a time as in RFC 3339, as it was written.
    Written(String),
    /// So long ago.
    Ago(Duration),
}

impl At {
    /// As the scheduler reads it.
    pub(crate) fn value(&self, now: SystemTime) -> String {
        match self {
            Self::Written(text) => text.clone(),
            Self::Ago(span) => {
                let then = now.checked_sub(*span).unwrap_or(SystemTime::UNIX_EPOCH);
                let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_epoch_seconds(since.as_secs_f64()).to_rfc3339()
            }
        }
    }
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
        (Some("http" | "https"), Some(_)) if matches!(uri.path(), "" | "/") => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        (Some("http" | "https"), Some(_)) => Err("it must have no path".to_owned()),
        _ => Err("it must begin with http:// or https:// and name a host".to_owned()),
    }
}

/// `1234`, `2026-11-21T06:30:00Z`, `90s`, `10m`, `2h` or `3d`, the latter also with `ago` behind.
fn at(text: &str) -> Result<At, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || Timestamp::from_rfc3339(text).is_some() {
        return Ok(At::Written(text.to_owned()));
    }
    let age = text.strip_suffix("ago").unwrap_or(text).trim_end();
    let span = age
        .char_indices()
        .next_back()
        .and_then(|(end, unit)| {
            let seconds: u64 = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return None,
            };
            age.get(..end)?.parse::<u64>().ok()?.checked_mul(seconds)
        })
        .map(Duration::from_secs);
    let wrong = || "it must be a revision such as 1234, a time such as 2026-11-21T06:30:00Z, or an age such as 2h";
    span.map(At::Ago).ok_or_else(|| wrong().to_owned())
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
    use std::time::{Duration, SystemTime};

    use clap::CommandFactory;

    use super::{At, Cli, at, duration, scheduler_url};

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
    fn moments_are_revisions_times_and_ages() {
        let ago = |seconds| At::Ago(Duration::from_secs(seconds));
        for (text, moment) in [
            ("1234", At::Written("1234".to_owned())),
            ("2026-11-21T06:30:00Z", At::Written("2026-11-21T06:30:00Z".to_owned())),
            ("90s", ago(90)),
            ("10m ago", ago(600)),
            ("2h", ago(7200)),
            ("3d", ago(259_200)),
        ] {
            assert_eq!(at(text), Ok(moment), "{text}");
        }
        for text in [
            "",
            "ago",
            "h",
            "-1",
            "1.5h",
            "2w",
            "yesterday",
            "2026-11-21",
            "99999999999999999999d",
        ] {
            assert!(at(text).is_err(), "{text}");
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(ago(90).value(now), "1970-01-01T00:00:10.000Z");
        assert_eq!(ago(1000).value(now), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_scheduler_is_named_by_an_http_url_without_a_path() {
        assert_eq!(
            scheduler_url("http://10.0.0.1:7700/"),
            Ok("http://10.0.0.1:7700".to_owned())
        );
        assert_eq!(scheduler_url("https://a:1"), Ok("https://a:1".to_owned()));
        for text in ["ftp://a:1", "a:7700", "http://", "http://a:1/api", "not a url"] {
            assert!(scheduler_url(text).is_err(), "{text}");
        }
    }
}
