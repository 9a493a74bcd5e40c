//! The options of `berth-scheduler`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use berth_daemon::log::LogFormat;
use berth_otlp::Collector;
use clap::{Args, Parser, Subcommand, ValueEnum};
use http::uri::Authority;

use crate::auth::AuthMode;
use crate::drive::fleet::{Hook, HookCommand, HookUrl};
use crate::drive::history::History;
use crate::drive::scaling::prometheus::Prometheus;
use crate::events::Webhook;
use crate::journal::etcd::Address;
use crate::journals::JournalCommand;
use crate::trust;
use crate::trust::command::CaCommand;

/// Berth's scheduler: keeps the state of the clusters, places tasks, serves the ECS API and the agents.
///
/// One port serves gRPC, the ECS JSON protocol (the AWS CLI: `aws ecs --endpoint-url http://127.0.0.1:7700 ...`) and
/// the agents' streams. Everything it knows lies in the data directory; stopped at any moment, in any way, it goes on
/// from there.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "berth-scheduler",
    version,
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// What the scheduler is run with.
    #[command(flatten)]
    pub options: Options,
    /// What is done instead.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What is done instead of running the scheduler.
#[derive(Debug, Clone, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Command {
    /// Copy, back up, restore, verify and show journals
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Show, rotate and retire the authority that vouches for the cluster's schedulers and hosts
    #[command(subcommand)]
    Ca(CaCommand),
}

/// Where TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// Unless the scheduler serves on a loopback address
    Auto,
    /// Also there
    Always,
    /// Nowhere; on other than loopback addresses only with --allow-plaintext
    Never,
}

/// The options of the scheduler.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to serve on. Unless it is a loopback address TLS is spoken, calls must be signed, and hosts must have joined
    #[arg(long, env = "BERTH_LISTEN", default_value = "127.0.0.1:7700", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Address and port on which to serve /metrics, for Prometheus, /healthz and /readyz without TLS, to whoever can reach it.
    /// They are on the port of --listen too, /metrics there as a call that somebody must be allowed to make
    #[arg(long, env = "BERTH_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,

    /// OpenTelemetry collector, http://HOST:PORT, to which the figures of /metrics are sent every 15 s, by OTLP over gRPC
    #[arg(long, env = "BERTH_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Collector>,

    /// Of which calls is asked who makes them
    #[arg(long, env = "BERTH_AUTH", default_value = "loopback", value_name = "WHEN")]
    pub auth: AuthMode,

    /// File of the master keys from which the secrets of access keys follow, the newest first: 64 hexadecimal digits a line
    /// [default: master.key in the data directory, made if it is missing; none with --journal]
    #[arg(long, env = "BERTH_MASTER_KEY_FILE", value_name = "PATH")]
    pub master_key_file: Option<PathBuf>,

    /// Where TLS is spoken on the port, with the cluster's own authority
    #[arg(long, env = "BERTH_TLS", default_value = "auto", value_name = "WHEN")]
    pub tls: TlsMode,

    /// Serve on other than loopback addresses without TLS: whoever can listen in reads everything, and whoever can reach the
    /// port may say that it is a host of yours
    #[arg(long, env = "BERTH_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,

    /// Where the cluster's authority is.
    #[command(flatten)]
    pub authority: trust::files::Named,

    /// Name or address by which clients that look at names call this scheduler, for its certificate; may be repeated. The
    /// address that it serves on and the one that others reach it at are in it anyway
    #[arg(long = "tls-name", env = "BERTH_TLS_NAME", value_name = "NAME", value_delimiter = ',', value_parser = tls_name)]
    pub tls_names: Vec<String>,

    /// Hours for which a certificate of a host is good; hosts renew at two thirds
    #[arg(long, env = "BERTH_CERTIFICATE_HOURS", default_value = "24", value_name = "HOURS", value_parser = certificate_hours)]
    pub certificate_hours: Duration,

    /// Journal that schedulers share: etcd://HOST:PORT,HOST:PORT/PREFIX?OPTION=VALUE&... with the options ca, cert, key,
    /// user, password-file and deadline. Without it this scheduler is alone with a file in its data directory
    #[arg(long, env = "BERTH_JOURNAL", value_name = "URL")]
    pub journal: Option<Address>,

    /// Where other schedulers on the same journal reach this one: HOST:PORT [default: what it listens on, unless that is
    /// every address]
    #[arg(long, env = "BERTH_ADVERTISE", value_name = "HOST:PORT", value_parser = advertised)]
    pub advertise: Option<Authority>,

    /// Directory of the journal, where it is a file; made if it is missing
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "/var/lib/berth-scheduler",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,

    /// Region in the ARNs
    #[arg(long, env = "BERTH_REGION", default_value = "us-east-1")]
    pub region: String,

    /// Account in the ARNs: twelve digits
    #[arg(long, env = "BERTH_ACCOUNT", default_value = "000000000000")]
    pub account: String,

    /// Seconds for which a stopped task, or a service that was deleted, can be described
    #[arg(long, env = "BERTH_STOPPED_TASK_RETENTION", default_value = "3600", value_name = "SECONDS", value_parser = seconds)]
    pub stopped_task_retention: Duration,

    /// Days after which a task definition that was deregistered is deleted, once nothing uses it [default: never]
    #[arg(long, env = "BERTH_INACTIVE_DEFINITION_RETENTION", value_name = "DAYS", value_parser = days)]
    pub inactive_definition_retention: Option<Duration>,

    /// Seconds for which an agent may be away before services replace its tasks
    #[arg(long, env = "BERTH_LOST_INSTANCE_GRACE", default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub lost_instance_grace: Duration,

    /// Seconds of a period of auto scaling: 3 above the target add tasks, 15 well below take some away
    #[arg(long, env = "BERTH_SCALING_PERIOD", default_value = "60", value_name = "SECONDS", value_parser = period)]
    pub scaling_period: Duration,

    /// Prometheus server that auto scaling asks for queries: http://HOST:PORT
    #[arg(long, env = "BERTH_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<Prometheus>,

    /// File to which all events are appended, one JSON object a line
    #[arg(long, env = "BERTH_EVENTS_FILE", value_name = "PATH")]
    pub events_file: Option<PathBuf>,

    /// URL to which all events are sent, in batches, by one of the schedulers: http://HOST:PORT/PATH or https://...
    #[arg(long, env = "BERTH_EVENTS_WEBHOOK", value_name = "URL", hide_env_values = true)]
    pub events_webhook: Option<Webhook>,

    /// PEM file of the authorities that vouch for an https:// receiver of events
    #[arg(
        long,
        env = "BERTH_EVENTS_WEBHOOK_CA",
        default_value = "/etc/ssl/certs/ca-certificates.crt",
        value_name = "PATH"
    )]
    pub events_webhook_ca: PathBuf,

    /// Program that is told how many instances the capacity providers with managed scaling should have: the JSON is on its
    /// standard input, the provider's name its argument
    #[arg(long, env = "BERTH_CAPACITY_COMMAND", value_name = "PATH")]
    pub capacity_command: Option<HookCommand>,

    /// URL that is told the same, by one of the schedulers: http://HOST:PORT/PATH or https://...
    #[arg(
        long,
        env = "BERTH_CAPACITY_WEBHOOK",
        value_name = "URL",
        hide_env_values = true,
        conflicts_with = "capacity_command"
    )]
    pub capacity_webhook: Option<HookUrl>,

    /// PEM file of the authorities that vouch for an https:// URL of that
    #[arg(
        long,
        env = "BERTH_CAPACITY_WEBHOOK_CA",
        default_value = "/etc/ssl/certs/ca-certificates.crt",
        value_name = "PATH"
    )]
    pub capacity_webhook_ca: PathBuf,

    /// Days for which the journal keeps what happened
    #[arg(long, env = "BERTH_HISTORY_DAYS", default_value = "7", value_name = "DAYS", value_parser = days)]
    pub history_days: Duration,

    /// Room that what happened may take in the journal, e.g. 500MiB or 20GiB: of what is more the oldest is dropped,
    /// however young it is [default: 4GiB in a file, 128MiB in etcd]
    #[arg(long, env = "BERTH_HISTORY_SIZE", value_name = "SIZE", value_parser = size)]
    pub history_size: Option<u64>,

    /// How log lines look
    #[arg(long, env = "BERTH_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Bytes of history that a file holds.
const IN_FILE: u64 = 4 << 30;
/// Bytes of history that etcd holds, which has 2 GiB for everything unless told otherwise.
const IN_ETCD: u64 = 128 << 20;

impl Options {
    /// How much of what happened is kept.
    #[must_use]
    pub fn history(&self) -> History {
        let default = if self.journal.is_some() { IN_ETCD } else { IN_FILE };
        History {
            age: self.history_days,
            bytes: self.history_size.unwrap_or(default),
        }
    }

    /// Who is told how many instances there should be; nobody where nobody is named.
    ///
    /// # Errors
    /// The authorities of an `https` URL cannot be read.
    pub fn capacity_hook(&self) -> anyhow::Result<Option<Hook>> {
        match (&self.capacity_command, &self.capacity_webhook) {
            (Some(command), _) => Ok(Some(Hook::command(command.clone()))),
            (None, Some(url)) => Hook::url(url.clone(), &self.capacity_webhook_ca).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Whether TLS is spoken.
    ///
    /// # Errors
    /// It would not be where others can listen in, and nothing says that this is meant.
    pub fn speaks_tls(&self) -> anyhow::Result<bool> {
        let is_loopback = self.listen.ip().to_canonical().is_loopback();
        let speaks = match self.tls {
            TlsMode::Auto => !is_loopback && !self.allow_plaintext,
            TlsMode::Always => true,
            TlsMode::Never => false,
        };
        anyhow::ensure!(
            speaks || is_loopback || self.allow_plaintext,
            "--listen {} is no loopback address and --tls is never: everybody on the way could read and forge what is said; \
             leave --tls out, or give --allow-plaintext if this is meant",
            self.listen
        );
        Ok(speaks)
    }

    /// Under which names the scheduler is called.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![
            berth_trust::SCHEDULER_NAME.to_owned(),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
        ];
        let listen = self.listen.ip().to_canonical();
        if !listen.is_unspecified() {
            names.push(listen.to_string());
        }
        let advertised = self.advertise.as_ref().map(Authority::host);
        names.extend(advertised.map(|host| host.trim_matches(['[', ']']).to_owned()));
        names.extend(self.tls_names.iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Where other schedulers reach this one.
    ///
    /// # Errors
    /// When it is not said, and what is listened on does not say it either.
    pub fn reached_at(&self) -> anyhow::Result<String> {
        if let Some(authority) = &self.advertise {
            return Ok(authority.to_string());
        }
        let listen = self.listen;
        anyhow::ensure!(
            !listen.ip().is_unspecified() && listen.port() != 0,
            "--advertise HOST:PORT must be given with --journal: --listen {listen} does not say where other schedulers reach this one"
        );
        Ok(listen.to_string())
    }
}

const EXIT_CODES: &str = "\
Log level: BERTH_LOG, e.g. BERTH_LOG=berth_scheduler=debug (default: info).

Exit codes: 0 stopped as asked, 1 could not start, 2 wrong options, 4 the journal failed (start it again: it goes on
from what is on disk), 5 the journal is damaged (it says where; put a backup in its place).";

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("'{text}' is no number of seconds"))
}

fn advertised(text: &str) -> Result<Authority, String> {
    let authority = text.parse::<Authority>().ok();
    let usable = |authority: &Authority| {
        authority.port_u16().is_some_and(|port| port != 0)
            && !authority.host().is_empty()
            && !text.contains('@')
            && authority
                .host()
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .map_or(true, |ip| !ip.is_unspecified())
    };
    authority.filter(usable).ok_or_else(|| {
        format!("'{text}' is no HOST:PORT under which others reach this scheduler, such as 10.0.0.5:7700")
    })
}

fn period(text: &str) -> Result<Duration, String> {
    let period = seconds(text)?;
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    if !range.contains(&period) {
        return Err(format!("'{text}' must be between 1 and 3600 seconds"));
    }
    Ok(period)
}

/// Bytes, of a number with a binary unit.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1_u64 << 40),
        _ => None,
    };
    let size = digits
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    size.ok_or_else(|| format!("'{text}' is no size: a whole number with KiB, MiB, GiB or TiB is meant"))
}

/// A name that a certificate can have: an IP address, or a DNS name, of which the first label may be `*`.
fn tls_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_name = text.len() <= 253 && name.split('.').all(label);
    match text.parse::<IpAddr>().is_ok() || is_name {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is neither a DNS name nor an IP address")),
    }
}

fn certificate_hours(text: &str) -> Result<Duration, String> {
    const MOST: u64 = 365 * 24;
    let hours = text.parse::<u64>().ok().filter(|hours| (1..=MOST).contains(hours));
    let hours = hours.ok_or_else(|| format!("'{text}' is no whole number of hours from 1 to {MOST}"))?;
    Ok(Duration::from_secs(hours * 60 * 60))
}

fn days(text: &str) -> Result<Duration, String> {
    let days: u32 = text.parse().map_err(|_| format!("'{text}' is no number of days"))?;
    Ok(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options, clap::Error> {
        let read = Arguments::try_parse_from(std::iter::once("berth-scheduler").chain(arguments.iter().copied()));
        read.map(|arguments| arguments.options)
    }

    #[test]
    fn sizes_are_whole_numbers_of_binary_units() {
        assert_eq!(size("128MiB"), Ok(134_217_728));
        assert_eq!(size("17"), Ok(17));
        assert_eq!(size("2TiB"), Ok(2_199_023_255_552));
        for wrong in ["", "MiB", "1.5GiB", "1GB", "-1KiB", "99999999999TiB", "1 MiB"] {
            let refused = size(wrong).unwrap_err();
            assert!(refused.contains(wrong) && refused.contains("whole number"), "{refused}");
        }
    }

    #[test]
    fn others_reach_a_scheduler_where_it_says_or_listens() {
        let at = |arguments| read(arguments).unwrap().reached_at().ok();
        for (arguments, expected) in [
            (&["--listen=10.0.0.5:7700"][..], Some("10.0.0.5:7700")),
            (&["--listen=[2001:db8::1]:7700"], Some("[2001:db8::1]:7700")),
            (&["--listen=0.0.0.0:7700"], None),
            (&["--listen=[::]:7700"], None),
            (&["--listen=10.0.0.5:0"], None),
            (
                &["--listen=0.0.0.0:7700", "--advertise=a.example:80"],
                Some("a.example:80"),
            ),
        ] {
            assert_eq!(at(arguments).as_deref(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn what_others_could_listen_to_is_encrypted_unless_the_operator_says_otherwise() {
        let speaks = |arguments: &[&str]| read(arguments).unwrap().speaks_tls().map_err(|error| error.to_string());
        for (arguments, expected) in [
            (&["--listen=127.0.0.1:7700"][..], false),
            (&["--listen=[::1]:7700"], false),
            (&["--listen=127.0.0.1:7700", "--tls=always"], true),
            (&["--listen=10.0.0.5:7700"], true),
            (&["--listen=0.0.0.0:7700"], true),
            (&["--listen=[::]:7700"], true),
            (&["--listen=10.0.0.5:7700", "--allow-plaintext"], false),
            (&["--listen=10.0.0.5:7700", "--tls=never", "--allow-plaintext"], false),
        ] {
            assert_eq!(speaks(arguments), Ok(expected), "{arguments:?}");
        }
        let refused = speaks(&["--listen=10.0.0.5:7700", "--tls=never"]).unwrap_err();
        assert!(
            refused.contains("10.0.0.5:7700") && refused.contains("--allow-plaintext"),
            "{refused}"
        );
    }

    #[test]
    fn a_certificate_has_the_names_by_which_the_scheduler_is_called() {
        let names = |arguments: &[&str]| read(arguments).unwrap().names();
        let named = names(&[
            "--listen=10.0.0.5:7700",
            "--advertise=[2001:db8::1]:7700",
            "--tls-name=a.example,*.b.example",
        ]);
        for name in ["berth-scheduler", "10.0.0.5", "2001:db8::1", "a.example", "*.b.example"] {
            assert!(named.iter().any(|known| known == name), "{name}: {named:?}");
        }
        assert!(!names(&["--listen=0.0.0.0:7700"]).contains(&"0.0.0.0".to_owned()));
        for wrong in ["", "a b", "https://a", "-a", "a..b"] {
            assert!(read(&[&format!("--tls-name={wrong}")]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_nobody_can_dial_is_refused_by_its_value() {
        for value in [
            "a.example",
            "a.example:0",
            ":7700",
            "0.0.0.0:7700",
            "[::]:7700",
            "me@a:7700",
            "a b:1",
        ] {
            let error = read(&[&format!("--advertise={value}")]).unwrap_err().to_string();
            assert!(error.contains(value), "{error}");
        }
    }
}
