//! The options of `berth-gateway`: each a flag and a variable of the environment.

use std::path::PathBuf;

use berth_daemon::log::LogFormat;
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use tonic::transport::Endpoint;

/// Berth's gateway: is told by the scheduler where the tasks of a cluster's services are reached.
///
/// It keeps what it was told while the scheduler is away. It does not listen for services or forward to them yet.
#[derive(Debug, Clone, Parser)]
#[command(name = "berth-gateway", version, after_help = EXIT_CODES)]
pub struct Options {
    /// Scheduler to connect to, such as http://10.0.0.5:7700; several, separated by commas, are tried in turn
    #[arg(long = "scheduler", env = "BERTH_SCHEDULER", value_name = "URL", required = true, value_delimiter = ',', value_parser = scheduler)]
    pub schedulers: Vec<Endpoint>,

    /// Name or ARN of the cluster whose services it is told; there is no default to fall into
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

    /// How log lines look
    #[arg(long, env = "BERTH_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

const EXIT_CODES: &str = "\
Log level: BERTH_LOG, e.g. BERTH_LOG=berth_gateway=debug (default: info).

Exit codes: 0 stopped as asked, 1 could not start or go on, 2 wrong options.";

fn scheduler(url: &str) -> Result<Endpoint, String> {
    let rule = || format!("'{url}' is no URL of a scheduler, such as http://10.0.0.5:7700");
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| rule())?;
    let uri = endpoint.uri();
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
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
