//! `berth support-bundle`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use berth_model::time::Timestamp;
use clap::Args;
use serde_json::{Value, json};

use super::doctor::PlacesArgs;
use crate::Ending;
use crate::api::Api;
use crate::args::GlobalArgs;
use crate::bundle::Bundle;
use crate::bundle::keep::{self, AUTHORITY, DEFINITION, DOCKER, INSTANCE, JOIN_TOKEN, MEMBER, SERVICE, Shape, TASK};
use crate::dev::find_program;
use crate::doctor::gather::{self, Place, Scheduler, get, run_program};
use crate::doctor::{Report, cluster, host};
use crate::output::Output;

/// Task definitions that are told, of those that tasks use.
const DEFINITIONS: usize = 50;
/// Lines of the log of each unit.
const LINES: &str = "2000";
const UNITS: [&str; 4] = ["berth-scheduler", "berth-agent", "berth-gateway", "docker"];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth support-bundle
  berth support-bundle /tmp/berth.tar.gz --cluster prod

What is in it: what `berth doctor` finds, the instances, services, tasks and task definitions of the cluster, figures,
versions, settings, and the last lines of the logs in the journal of systemd. Of environments and secrets there are the
names alone; values, commands, options of log drivers and what containers said are left out. Look at it before you
give it away.")]
pub(crate) struct SupportBundleArgs {
    /// File to write, which must not be there [default: berth-support-TIME.tar.gz]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    places: PlacesArgs,
}

pub(super) async fn run(args: SupportBundleArgs, global: &GlobalArgs, output: &mut Output) -> anyhow::Result<Ending> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp::from_epoch_seconds(since.as_secs_f64()).to_rfc3339();
    let name = format!("berth-support-{}", time.replace(':', "-"));
    let path = args.file.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let mut bundle = Bundle::default();
    bundle.json("about.json", &json!({"made": time, "berth": env!("CARGO_PKG_VERSION")}));
    let mut findings = host::judge(&gather::host(&args.places.places()).await);
    findings.extend(cluster::judge(&gather::cluster(global).await));
    // Findings quote what others said.
    let report = serde_json::to_string_pretty(&Report::new(findings)).context("write the findings")?;
    bundle.text("doctor.json", &report);
    if let Err(error) = add_cluster(&mut bundle, global).await {
        bundle.missing("cluster", &format!("{error:#}"));
    }
    add_pages(&mut bundle, global, &args.places).await;
    add_host(&mut bundle).await;

    let (files, missing) = bundle.contents();
    let told = json!({"file": path, "files": files, "missing": missing});
    let archive = bundle.archive(&name, since.as_secs())?;
    write(&path, &archive)?;
    output.answer(&told, |_| {
        crate::output::Presentation::default()
            .line(format!("Wrote {}: {} bytes.", path.display(), archive.len()))
            .line("Secrets are left out as far as they can be told. Look at it before you give it away.")
    })?;
    Ok(Ending::Done)
}

/// Writes the file for its owner alone.
fn write(path: &Path, archive: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(archive)
        .with_context(|| format!("cannot write {}", path.display()))
}

async fn add_cluster(bundle: &mut Bundle, global: &GlobalArgs) -> anyhow::Result<()> {
    let api = Api::connect(global).await?;
    let instances = api.describe_instances(&api.list_instances().await?).await?;
    bundle.json(
        "cluster/instances.json",
        &kept(&instances.container_instances, INSTANCE)?,
    );
    let services = api.all_services().await?;
    bundle.json("cluster/services.json", &kept(&services.services, SERVICE)?);
    let mut names = api.list_tasks(None, "RUNNING").await?;
    names.extend(api.list_tasks(None, "STOPPED").await?);
    let tasks = api.describe_tasks(&names).await?.tasks;
    bundle.json("cluster/tasks.json", &kept(&tasks, TASK)?);
    let mut used: Vec<&str> = tasks.iter().map(|task| task.task_definition_arn()).collect();
    used.sort_unstable();
    used.dedup();
    let mut definitions = Vec::new();
    for arn in used.into_iter().take(DEFINITIONS) {
        let answer = api.describe_task_definition(arn.to_owned()).await?;
        definitions.extend(answer.task_definition);
    }
    bundle.json("cluster/task-definitions.json", &kept(&definitions, DEFINITION)?);
    if global.scheduler.starts_with("https://") {
        add_trust(bundle, &api).await?;
    }
    Ok(())
}

/// Who vouches for whom, and with what hosts join: of tokens their ids.
async fn add_trust(bundle: &mut Bundle, api: &Api) -> anyhow::Result<()> {
    match api.authorities().await {
        Ok(told) => bundle.json("trust/authorities.json", &kept(&told.authorities, AUTHORITY)?),
        Err(error) => bundle.missing("trust/authorities.json", &error.to_string()),
    }
    match api.all_members().await {
        Ok(told) => bundle.json("trust/members.json", &kept(&told.members, MEMBER)?),
        Err(error) => bundle.missing("trust/members.json", &error.to_string()),
    }
    match api.all_join_tokens().await {
        Ok(told) => bundle.json("trust/join-tokens.json", &kept(&told.join_tokens, JOIN_TOKEN)?),
        Err(error) => bundle.missing("trust/join-tokens.json", &error.to_string()),
    }
    Ok(())
}

fn kept(shapes: &impl serde::Serialize, shape: Shape) -> anyhow::Result<Value> {
    let all = serde_json::to_value(shapes).context("write what the scheduler said")?;
    Ok(keep::keep(&all, shape))
}

/// Figures of the daemons, and what Docker says of itself.
async fn add_pages(bundle: &mut Bundle, global: &GlobalArgs, places: &PlacesArgs) {
    let scheduler = Scheduler::of(global);
    if let Err(error) = &scheduler {
        bundle.missing("metrics/scheduler.txt", &error.to_string());
    }
    let scheduler = scheduler
        .iter()
        .map(|it| ("metrics/scheduler.txt", Place::Scheduler(it)));
    let agent = ("metrics/agent.txt", Place::Address(&places.agent));
    for (name, place) in scheduler.chain([agent]) {
        match get(place, "/metrics").await {
            Ok(answer) if answer.status == 200 => bundle.figures(name, &answer.text()),
            Ok(answer) => bundle.missing(name, &format!("status {}: {}", answer.status, answer.text().trim())),
            Err(error) => bundle.missing(name, &format!("{error:#}")),
        }
    }
    let docker = places.places().docker;
    match get(Place::Socket(&docker), "/info").await {
        Ok(answer) => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(info) => bundle.json("host/docker.json", &keep::keep(&info, DOCKER)),
            Err(error) => bundle.missing("host/docker.json", &error.to_string()),
        },
        Err(error) => bundle.missing("host/docker.json", &format!("{error:#}")),
    }
}

/// Settings and logs of this host.
async fn add_host(bundle: &mut Bundle) {
    match std::fs::read_to_string("/proc/version") {
        Ok(version) => bundle.text("host/kernel.txt", &version),
        Err(error) => bundle.missing("host/kernel.txt", &error.to_string()),
    }
    if let Ok(agent) = find_program("berth-agent") {
        match run_program(agent, &["--check-config"]).await {
            Ok(said) => {
                let settings = keep::agent_settings(&String::from_utf8_lossy(&said.stdout));
                // What is wrong with a setting names its value.
                bundle.text("host/agent-settings.txt", &settings);
            }
            Err(error) => bundle.missing("host/agent-settings.txt", &format!("{error:#}")),
        }
    }
    for file in ["scheduler.env", "gateway.env"] {
        let name = format!("host/{file}");
        match std::fs::read_to_string(Path::new("/etc/berth").join(file)) {
            Ok(text) => bundle.text(&name, &keep::variables(&text)),
            Err(error) => bundle.missing(&name, &error.to_string()),
        }
    }
    for unit in UNITS {
        let name = format!("log/{unit}.txt");
        let arguments = ["--unit", unit, "--lines", LINES, "--no-pager", "--output", "short-iso"];
        match run_program("journalctl", &arguments).await {
            Ok(said) if said.status.success() => bundle.text(&name, &String::from_utf8_lossy(&said.stdout)),
            Ok(said) => bundle.missing(&name, String::from_utf8_lossy(&said.stderr).trim()),
            Err(error) => bundle.missing(&name, &format!("{error:#}")),
        }
    }
}
