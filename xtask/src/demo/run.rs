//! `make demo`, from top to bottom.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::place::{CLUSTER, FAMILY, IMAGE, LISTEN, Place, URL};
use super::{berth, build, docker, engine, page};
use crate::install;
use crate::steps::{Steps, until};

/// What makes a Docker Engine on Debian.
const DOCKER: [install::Need; 3] = [("dockerd", "docker.io"), ("iptables", "iptables"), ("ip", "iproute2")];
const READY_WITHIN: Duration = Duration::from_secs(30);
/// What `berth` is told for the wait for the task.
const RUNNING_WITHIN: &str = "60s";
const PAGE_WITHIN: Duration = Duration::from_secs(10);

/// Shows a cluster of this one machine at work.
///
/// # Errors
/// A step did not succeed; what runs by then goes on until `stop`.
pub(crate) fn start() -> anyhow::Result<()> {
    let place = Place::of_this_checkout()?;
    let missing = if engine::answers()? {
        Vec::new()
    } else {
        install::missing(&DOCKER)
    };
    announce(&place, &missing);
    fs::create_dir_all(place.root()).with_context(|| format!("cannot make {}", place.root().display()))?;

    let mut steps = Steps::begin(7);
    steps.next("Docker");
    if !missing.is_empty() {
        install::install(&missing, &steps)?;
    }
    docker::start(&place, &steps)?;
    steps.next("building berth, berth-scheduler and berth-agent (cargo build --release)");
    build::programs(&place, &steps)?;
    steps.next(&format!(
        "making the image {IMAGE} from a static web server, with no network"
    ));
    build::image(&place, &steps)?;
    steps.next(&format!("scheduler on {LISTEN}"));
    start_scheduler(&place, &steps)?;
    steps.next(&format!("agent, which joins the cluster {CLUSTER}"));
    start_agent(&place, &steps)?;
    steps.next(&format!("running a task of {FAMILY}"));
    let task = run_task(&place)?;
    steps.next(&format!("fetching http://127.0.0.1:{}/", task.port));
    let fetched = || Ok(page::fetch(task.port).ok());
    let page = match until(steps.deadline(PAGE_WITHIN), fetched)? {
        Some(page) => page,
        // Once more, for the reason.
        None => page::fetch(task.port)?,
    };
    println!("\n{page}");
    berth::show(&place, &["ps"])?;
    explain(&place, &task, &steps);
    Ok(())
}

fn announce(place: &Place, missing: &[&str]) {
    println!("This runs a Berth cluster on this one machine and a task in it.\n");
    if missing.is_empty() {
        println!("  It installs nothing: Docker is here.");
    } else {
        println!("  It installs with apt-get: {}", missing.join(" "));
    }
    println!("  It keeps all else in {}", place.root().display());
    println!("  `make demo-stop` ends it and removes that; packages stay.\n");
}

fn start_scheduler(place: &Place, steps: &Steps) -> anyhow::Result<()> {
    let daemon = Daemon::named("scheduler", place);
    if daemon.runs() {
        steps.note("it runs already, since an earlier `make demo`");
    } else {
        if let Err(error) = TcpListener::bind(LISTEN) {
            bail!("cannot listen on {LISTEN}: {error}; stop what listens there and try again");
        }
        let data = place.path("scheduler").display().to_string();
        let program = place.program("berth-scheduler");
        daemon.start(&program, &["--listen", LISTEN, "--data-dir", &data])?;
    }
    let answers = || {
        if !daemon.runs() {
            bail!(daemon.account("did not start"));
        }
        Ok(berth::json(place, &["clusters", "create", CLUSTER]).ok())
    };
    match until(steps.deadline(READY_WITHIN), answers)? {
        Some(_cluster) => Ok(()),
        None => bail!(daemon.account("does not answer")),
    }
}

fn start_agent(place: &Place, steps: &Steps) -> anyhow::Result<()> {
    let daemon = Daemon::named("agent", place);
    if daemon.runs() {
        steps.note("it runs already, since an earlier `make demo`");
    } else {
        let state = place.path("agent").display().to_string();
        let docker = format!("unix://{}", engine::SOCKET);
        let arguments = [
            "--scheduler",
            URL,
            "--cluster",
            CLUSTER,
            "--state-dir",
            &state,
            "--docker",
            &docker,
            "--config",
            "/dev/null",
            "--ecs-config",
            "/dev/null",
            // The disk of a machine that people work on may be fuller than that of a host should be.
            "--disk-low-percent",
            "97",
            "--disk-clean-percent",
            "98",
            "--disk-refuse-percent",
            "99",
            // The machine's network is not the demo's to change.
            "--endpoint-address",
            "off",
            // Task definitions that were written for AWS are to run as they stand.
            "--ignore-task-roles",
        ];
        daemon.start(&place.program("berth-agent"), &arguments)?;
    }
    let joined = || {
        if !daemon.runs() {
            bail!(daemon.account("did not start"));
        }
        Ok(connected_instance(&berth::json(place, &["instances", "list"])?))
    };
    let Some(id) = until(steps.deadline(READY_WITHIN), joined)? else {
        bail!(daemon.account("did not join the cluster"));
    };
    fs::write(place.instance_id(), id).context("cannot keep the id of the container instance")
}

/// The id of the first container instance that can run tasks.
fn connected_instance(answer: &Value) -> Option<String> {
    let connected = answer["containerInstances"]
        .as_array()?
        .iter()
        .find(|instance| instance["status"] == "ACTIVE" && instance["agentConnected"] == true)?;
    let arn = connected["containerInstanceArn"].as_str()?;
    arn.rsplit('/').next().map(str::to_owned)
}

/// The task of the demonstration, and the port that it was given.
struct DemoTask {
    arn: String,
    port: u16,
}

fn run_task(place: &Place) -> anyhow::Result<DemoTask> {
    let document = place.path("task-definition.json");
    fs::write(&document, format!("{:#}\n", definition()))?;
    let document = document.display().to_string();
    // Each run of the demonstration starts one more task, of the same revision.
    if berth::json(place, &["task-definitions", "show", FAMILY]).is_err() {
        berth::json(place, &["task-definitions", "register", &document])?;
    }
    let run = [
        "run",
        FAMILY,
        "--started-by",
        "make demo",
        "--wait",
        "--wait-timeout",
        RUNNING_WITHIN,
    ];
    let answer =
        berth::json(place, &run).with_context(|| Daemon::named("agent", place).account("was to start a task"))?;
    let task = &answer["tasks"][0];
    let arn = task["taskArn"].as_str().context("the task has no ARN")?;
    let port = task["containers"][0]["networkBindings"][0]["hostPort"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok());
    Ok(DemoTask {
        arn: arn.to_owned(),
        port: port.with_context(|| format!("the task has no host port: {task:#}"))?,
    })
}

fn definition() -> Value {
    json!({
        "family": FAMILY,
        "containerDefinitions": [{
            "name": "web",
            "image": IMAGE,
            "cpu": 64,
            "memory": 32,
            "essential": true,
            "portMappings": [{"containerPort": 80}],
            "linuxParameters": {"initProcessEnabled": true},
        }],
    })
}

fn explain(place: &Place, task: &DemoTask, steps: &Steps) {
    let options = format!("--endpoint-url {URL} --region us-east-1");
    let document = place.path("task-definition.json");
    println!(
        "
Done in {} s. The page: http://127.0.0.1:{}/

The same by hand, with the AWS CLI:

  export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo
  aws ecs create-cluster --cluster-name {CLUSTER} {options}
  aws ecs register-task-definition --cli-input-json file://{} {options}
  aws ecs run-task --cluster {CLUSTER} --task-definition {FAMILY} {options}
  aws ecs describe-tasks --cluster {CLUSTER} --tasks {} {options}

or with berth ({}):

  berth run {FAMILY} --count 3 --wait
  berth ps

`make demo` again runs one more task; `make demo-stop` ends it all.",
        steps.elapsed().as_secs(),
        task.port,
        document.display(),
        task.arn,
        place.program("berth").display(),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::connected_instance;

    #[test]
    fn only_an_active_and_connected_instance_counts() {
        let instance = |id: &str, status: &str, connected: bool| {
            json!({"containerInstanceArn": format!("arn:x:container-instance/default/{id}"),
                   "status": status, "agentConnected": connected})
        };
        let drained = instance("a", "DRAINING", true);
        let lost = instance("b", "ACTIVE", false);
        let none = json!({"containerInstances": [drained, lost]});
        assert_eq!(connected_instance(&none), None);
        let one = json!({"containerInstances": [drained, lost, instance("c", "ACTIVE", true)]});
        assert_eq!(connected_instance(&one), Some("c".to_owned()));
    }
}
