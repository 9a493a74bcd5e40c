//! The options of `berth-gateway`: each a flag and a variable of the environment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use berth_daemon::log::LogFormat;
use berth_otlp::Collector;
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use tonic::transport::Endpoint;

/// Berth's gateway: listens for a cluster's services and forwards to their healthy tasks.
///
/// The scheduler tells it which ports to listen on and where tasks are reached; it goes on with what it was told while
/// the scheduler is away. On SIGTERM it takes nothing new and lets what is open end.
#[derive(Debug, Clone, Parser)]
#[command(name = "berth-gateway", version, after_help = EXIT_CODES)]
pub struct Options {
    /// Scheduler to connect to, such as https://10.0.0.5:7700; several, separated by commas, are tried one after the other, beginning with any
    #[arg(long = "scheduler", env = "BERTH_SCHEDULER", value_name = "URL", required = true, value_delimiter = ',', value_parser = scheduler)]
    pub schedulers: Vec<Endpoint>,

    /// File with the join token, for a scheduler with https://; used once, the gateway renews its certificate from then on
    /// [default: /etc/berth/join-token, or the credential berth-gateway.join-token of systemd, where there is one]
    #[arg(long, env = "BERTH_JOIN_TOKEN_FILE", value_name = "PATH")]
    pub join_token_file: Option<PathBuf>,

    /// Name or ARN of the cluster whose services it serves; there is no default to fall into
    #[arg(long, env = "BERTH_CLUSTER", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub cluster: String,

    /// Directory of the gateway's identity; made if it is missing
    #[arg(
        long,
        env = "BERTH_STATE_DIR",
        default_value = "/var/lib/berth-gateway",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,

    /// Address on which to listen for services; :: means every address of IPv6 and IPv4
    #[arg(long, env = "BERTH_LISTEN_ADDRESS", default_value = "::", value_name = "IP")]
    pub listen_address: IpAddr,

    /// Seconds after which a connection of HTTP ends on which nothing is sent: between requests, while a task has not
    /// answered, and of a WebSocket
    #[arg(long, env = "BERTH_IDLE_TIMEOUT", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub idle_timeout: u32,

    /// Seconds that open requests and connections get to end after SIGTERM
    #[arg(long, env = "BERTH_DRAIN_TIMEOUT", default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub drain_timeout: u32,

    /// Most connections of clients at a time, over all ports; more wait to be accepted [default: what fits under the limit of open
    /// files]
    #[arg(long, env = "BERTH_MAX_CONNECTIONS", value_name = "COUNT", value_parser = max_connections)]
    pub max_connections: Option<usize>,

    /// Address and port on which to answer DNS for SERVICE.CLUSTER.berth, over UDP and TCP; not at all unless given
    #[arg(long, env = "BERTH_DNS_LISTEN", value_name = "IP:PORT")]
    pub dns_listen: Option<SocketAddr>,

    /// Address and port on which to serve /sd and /metrics, for Prometheus, and /healthz; not at all unless given
    #[arg(long, env = "BERTH_HTTP_LISTEN", value_name = "IP:PORT")]
    pub http_listen: Option<SocketAddr>,

    /// OpenTelemetry collector, http://HOST:PORT, to which the figures of /metrics are sent every 15 s, by OTLP over gRPC
    #[arg(long, env = "BERTH_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Collector>,

    /// How log lines look
    #[arg(long, env = "BERTH_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// The variable of the environment that has the join token itself. It has no flag: everybody on the host can read those.
pub(crate) const JOIN_TOKEN: &str = "BERTH_JOIN_TOKEN";

const EXIT_CODES: &str = "\
BERTH_JOIN_TOKEN may have the join token itself.

Log level: BERTH_LOG, e.g. BERTH_LOG=berth_gateway=debug (default: info).

Exit codes: 0 stopped as asked, 1 could not start or go on, 2 wrong options.";

fn max_connections(count: &str) -> Result<usize, String> {
    match count.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        Ok(_) | Err(_) => Err(format!("'{count}' is no number from 1 to 1000000")),
    }
}

fn scheduler(url: &str) -> Result<Endpoint, String> {
    let rule = || format!("'{url}' is no URL of a scheduler, such as https://10.0.0.5:7700");
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| rule())?;
    let uri = endpoint.uri();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(rule());
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("berth-gateway").chain(arguments.iter().copied()))
    }

    #[test]
    fn every_scheduler_of_a_list_is_taken() {
        let options = read(&["--scheduler=http://a:7700,http://b:7700", "--cluster=prod"]).unwrap();
        let hosts: Vec<_> = options.schedulers.iter().map(|one| one.uri().host()).collect();
        assert_eq!(hosts, [Some("a"), Some("b")]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value() {
        let cases: [(&[&str], &str); 3] = [
            (&["--cluster=prod"], "--scheduler"),
            (&["--scheduler=http://a:7700", "--cluster="], "--cluster"),
            (&["--scheduler=ftp://a", "--cluster=prod"], "ftp://a"),
        ];
        for (arguments, named) in cases {
            let error = read(arguments).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
