//! `berth dev`: a scheduler, an agent and a gateway on this machine, in the foreground, until Ctrl-C.
//!
//! It starts the programs that production runs, with the flags that production uses; it must never reach into them.

mod daemon;
mod preflight;
mod stop;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use self::daemon::Daemon;
use self::preflight::Programs;
pub(crate) use self::preflight::{docker_socket, find_program};
use self::stop::StopRequests;
use crate::Ending;
use crate::api::Api;
use crate::args::GlobalArgs;
use crate::output::Output;

/// How long each daemon may take until it does its work.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at whether it does.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth dev
  berth dev --ephemeral --attribute zone=a

Finds berth-scheduler, berth-agent and berth-gateway beside berth itself, else in PATH; goes without a gateway where there
is none. Ctrl-C stops the tasks, then all three; a second Ctrl-C stops waiting for them. Services go on with the next
`berth dev`.")]
pub(crate) struct DevArgs {
    /// Where the scheduler is to listen; the gateway does on the same address
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// The Docker Engine that runs the tasks
    #[arg(
        long,
        value_name = "URL",
        default_value = "unix:///var/run/docker.sock",
        value_parser = preflight::docker_socket
    )]
    docker: PathBuf,
    /// Where the state is kept [default: berth/dev under $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the state in a temporary directory that is removed at the end
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// An attribute of the container instance, for placement constraints; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Vec<String>,
    /// Run no gateway: services with load balancers are not listened for
    #[arg(long)]
    no_gateway: bool,
    /// Leave the tasks running at the end; the next `berth dev` finds them again
    #[arg(long, conflicts_with = "ephemeral")]
    keep: bool,
}

/// What runs, and how to reach it.
#[derive(Debug)]
struct Dev {
    scheduler: Daemon,
    agent: Option<Daemon>,
    gateway: Option<Daemon>,
    api: Option<Api>,
}

/// Runs the daemons until the user or one of them ends it.
///
/// # Errors
/// Something is missing on the machine, a daemon does not start, or one ends by itself.
pub(crate) async fn run(args: &DevArgs, global: &GlobalArgs, output: &mut Output) -> anyhow::Result<Ending> {
    let mut requests = StopRequests::listen()?;
    let programs = preflight::find_programs(!args.no_gateway)?;
    preflight::docker_answers(&args.docker).await?;
    preflight::address_is_free(args.listen)?;
    // Removed when it goes out of scope, after the daemons have ended.
    let ephemeral = args.ephemeral.then(tempfile::tempdir).transpose();
    let ephemeral = ephemeral.context("cannot make a temporary directory")?;
    let directory = match (&ephemeral, &args.data_dir) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(given)) => std::path::absolute(given)?,
        (None, None) => preflight::default_directory()?,
    };
    let _lock = preflight::lock(&directory)?;

    let begun = Instant::now();
    let mut global = reaching(args.listen, global);
    if !args.listen.ip().to_canonical().is_loopback() {
        // There the scheduler asks who calls, and whoever starts it may do everything.
        global.master_key_file = Some(directory.join("scheduler/master.key"));
    }
    let mut dev = Dev {
        scheduler: start_scheduler(&programs.scheduler, args, &directory, output)?,
        agent: None,
        gateway: None,
        api: None,
    };
    let started = tokio::select! {
        started = dev.start(&programs, args, &global, &directory, output) => Some(started),
        () = requests.next() => None,
    };
    let ended = match started {
        Some(Ok(())) => {
            say_ready(output, &global, begun.elapsed(), dev.gateway.is_some())?;
            tokio::select! {
                ended = dev.a_daemon_ends() => ended,
                () = requests.next() => Ok(Ending::Done),
            }
        }
        Some(Err(error)) => Err(error),
        None => Ok(Ending::Interrupted),
    };
    if ended.is_err() && dev.agent.is_some() {
        output
            .line("containers of tasks may go on: `docker ps --filter label=com.amazonaws.ecs.cluster` lists them")?;
    }
    let tasks_go_on = args.keep || ended.is_err();
    stop::all(dev, tasks_go_on, &mut requests, output).await?;
    ended
}

impl Dev {
    /// Waits for the scheduler, makes the cluster, starts the others and waits for the host to be part of the cluster.
    async fn start(
        &mut self,
        programs: &Programs,
        args: &DevArgs,
        global: &GlobalArgs,
        directory: &Path,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let api = self.scheduler_answers(global).await?;
        let cluster = global.cluster.clone().unwrap_or_default();
        api.create_cluster(cluster.clone()).await?;
        self.api = Some(api.clone());
        output.line(&format!("starting the agent in cluster {cluster}"))?;
        let arguments = agent_arguments(args, global, directory);
        let agent = self
            .agent
            .insert(Daemon::start("agent", &programs.agent, arguments, directory)?);
        match &programs.gateway {
            Some(program) => {
                output.line("starting the gateway")?;
                let arguments = gateway_arguments(args, global, directory);
                self.gateway = Some(Daemon::start("gateway", program, arguments, directory)?);
            }
            None if args.no_gateway => {}
            None => output.line("no gateway: berth-gateway is neither beside berth nor in PATH")?,
        }
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = agent.ended()? {
                bail!(agent.account(&format!("did not start: it ended with {status}")));
            }
            let arns = api.list_instances().await?;
            let described = api.describe_instances(&arns).await?;
            let here = described.container_instances.iter().find(|it| it.agent_connected());
            match here.map(|here| (here.status(), here.container_instance_arn())) {
                Some(("ACTIVE", _)) => return Ok(()),
                // The end of the last `berth dev` left it so.
                Some(("DRAINING", arn)) => drop(api.set_instance_status(arn.to_owned(), "ACTIVE").await?),
                _ => {}
            }
            if Instant::now() >= deadline {
                let within = READY_WITHIN.as_secs();
                bail!(agent.account(&format!("did not join the cluster within {within} s")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn scheduler_answers(&mut self, global: &GlobalArgs) -> anyhow::Result<Api> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.scheduler.ended()? {
                let what = format!("did not start: it ended with {status}");
                bail!(self.scheduler.account(&what));
            }
            match Api::connect(global).await {
                Ok(api) => return Ok(api),
                Err(error) if Instant::now() >= deadline => {
                    let within = READY_WITHIN.as_secs();
                    let what = format!("did not answer within {within} s: {error}");
                    bail!(self.scheduler.account(&what));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Returns only when a daemon has ended, with the account of it.
    async fn a_daemon_ends(&mut self) -> anyhow::Result<Ending> {
        let account = tokio::select! {
            account = end_of(Some(&mut self.scheduler)) => account,
            account = end_of(self.agent.as_mut()) => account,
            account = end_of(self.gateway.as_mut()) => account,
        };
        bail!(account?)
    }
}

/// Waits for the end of a daemon, and gives the account of it; of one that is not there there is none.
async fn end_of(daemon: Option<&mut Daemon>) -> anyhow::Result<String> {
    let Some(daemon) = daemon else {
        return std::future::pending().await;
    };
    let status = daemon.wait().await?;
    Ok(daemon.account(&format!("ended with {status} while it was needed")))
}

fn start_scheduler(program: &Path, args: &DevArgs, directory: &Path, output: &mut Output) -> anyhow::Result<Daemon> {
    output.line(&format!(
        "starting the scheduler on {}, state in {}",
        args.listen,
        directory.display()
    ))?;
    let arguments = [
        "--listen".into(),
        args.listen.to_string().into(),
        // What is tried is tried without certificates, wherever it listens.
        "--allow-plaintext".into(),
        "--data-dir".into(),
        directory.join("scheduler").into(),
    ];
    Daemon::start("scheduler", program, arguments, directory)
}

fn agent_arguments(args: &DevArgs, global: &GlobalArgs, directory: &Path) -> Vec<std::ffi::OsString> {
    let mut docker = std::ffi::OsString::from(preflight::SOCKET_SCHEME);
    docker.push(&args.docker);
    let mut arguments = vec![
        "--scheduler".into(),
        global.scheduler.clone().into(),
        "--cluster".into(),
        global.cluster.clone().unwrap_or_default().into(),
        "--state-dir".into(),
        directory.join("agent").into(),
        "--docker".into(),
        docker,
        // The settings of an agent that this machine may have besides are not for this one.
        "--config".into(),
        "/dev/null".into(),
        "--ecs-config".into(),
        "/dev/null".into(),
        // Nor is the machine's network to be changed for a trial.
        "--endpoint-address".into(),
        "off".into(),
    ];
    // A trial on one's own machine: task definitions are to run as they stand, as whoever starts this could run them.
    let open = [
        ("--disable-privileged", "false"),
        ("--allow-host-namespace", "network,pid,ipc"),
        ("--allow-host-path", "/,/var/run/docker.sock"),
        ("--allow-device", "/dev"),
        ("--allow-capability", "ALL"),
        ("--ignore-task-roles", "true"),
    ];
    arguments.extend(open.map(|(flag, value)| format!("{flag}={value}").into()));
    // The disk of a machine that people work on may be fuller than that of a host should be.
    for (limit, percent) in [("low", "97"), ("clean", "98"), ("refuse", "99")] {
        arguments.extend([format!("--disk-{limit}-percent").into(), percent.into()]);
    }
    if args.ephemeral {
        // Nobody will be there to remove them later.
        arguments.extend(["--stopped-container-retention".into(), "0".into()]);
    }
    for attribute in &args.attribute {
        arguments.extend(["--attribute".into(), attribute.into()]);
    }
    arguments
}

fn gateway_arguments(args: &DevArgs, global: &GlobalArgs, directory: &Path) -> Vec<std::ffi::OsString> {
    vec![
        "--scheduler".into(),
        global.scheduler.clone().into(),
        "--cluster".into(),
        global.cluster.clone().unwrap_or_default().into(),
        "--state-dir".into(),
        directory.join("gateway").into(),
        // A trial is for this machine, unless its scheduler is not.
        "--listen-address".into(),
        args.listen.ip().to_string().into(),
    ]
}

/// The global options as they reach the scheduler that listens at `listen`.
fn reaching(listen: SocketAddr, global: &GlobalArgs) -> GlobalArgs {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    GlobalArgs {
        scheduler: format!("http://{address}"),
        cluster: Some(global.cluster.clone().unwrap_or_else(|| "default".to_owned())),
        ..global.clone()
    }
}

fn say_ready(output: &mut Output, global: &GlobalArgs, after: Duration, has_gateway: bool) -> std::io::Result<()> {
    let url = &global.scheduler;
    let cluster = global.cluster.as_deref().unwrap_or_default();
    let mut options = String::new();
    if url != "http://127.0.0.1:7700" {
        options.push_str(&format!(" --scheduler {url}"));
    }
    if cluster != "default" {
        options.push_str(&format!(" --cluster {cluster}"));
    }
    let balanced = match has_gateway {
        true => format!("\n  berth services create web FAMILY --load-balancer http:8080=CONTAINER:PORT{options}"),
        false => String::new(),
    };
    output.line(&format!(
        "\
ready in {:.1} s: Ctrl-C stops it. In another terminal:

  berth instances{options}
  berth task-definitions register FILE{options}
  berth run FAMILY --wait{options}{balanced}

or, with the AWS CLI:

  export AWS_ACCESS_KEY_ID=berth AWS_SECRET_ACCESS_KEY=berth
  aws ecs list-container-instances --cluster {cluster} --endpoint-url {url} --region us-east-1
",
        after.as_secs_f64()
    ))?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::reaching;
    use crate::args::{Color, Format, GlobalArgs};

    #[test]
    fn a_scheduler_that_listens_everywhere_is_reached_on_loopback() -> anyhow::Result<()> {
        let global = GlobalArgs {
            ca: None,
            certificate: None,
            certificate_key: None,
            master_key_file: None,
            credentials: None,
            scheduler: "http://elsewhere:1".to_owned(),
            cluster: None,
            output: Format::Table,
            color: Color::Never,
            timeout: Duration::from_secs(1),
            at_text: None,
            at: None,
        };
        for (listen, url) in [
            ("127.0.0.1:7700", "http://127.0.0.1:7700"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
        ] {
            let reached = reaching(listen.parse()?, &global);
            assert_eq!(reached.scheduler, url);
            assert_eq!(reached.cluster.as_deref(), Some("default"));
        }
        Ok(())
    }
}
