//! Elastic Beanstalk's `Dockerrun.aws.json` as services.

use std::fs;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::files::example_path;
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::project::{Project, get};
use super::{HOSTS, Hosts};

const PORT: u16 = 8181;
/// The port of the example.
const HTTP: u16 = 80;

/// What the one host answers that has the port.
fn ask(hosts: &Hosts, port: u16, path: &str) -> Result<String> {
    let mut last = None;
    for host in HOSTS {
        match get(hosts, host, port, path) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = Some(error),
        }
    }
    last.map_or_else(|| Err(anyhow::anyhow!("no host")), Err)
}

fn wait_answer(hosts: &Hosts, port: u16, path: &str, expected: &str) -> Result<()> {
    wait_until(&format!("{path} answers {expected:?}"), SOON, || {
        let answer = ask(hosts, port, path)?;
        Ok(Seen::when(answer.trim_end() == expected, || answer))
    })
}

pub(super) fn version_1_runs_changes_and_is_told_what_is_not_honoured(hosts: &Hosts) -> Result<()> {
    let site = Project::empty(hosts, "site")?;
    let shared = site.directory().join("shared");
    let file = json!({
        "AWSEBDockerrunVersion": "1",
        "Image": {"Name": "busybox", "Update": "true"},
        "Ports": [{"ContainerPort": "8000", "HostPort": PORT}],
        "Volumes": [{"HostDirectory": shared, "ContainerDirectory": "/shared"}],
        "Entrypoint": "sh -c",
        "Command": "'mkdir -p /www; ln -s /shared /www/shared; echo $STAGE > /www/index.html; exec httpd -f -p 8000 -h /www'",
    });
    site.write("Dockerrun.aws.json", &file.to_string())?;
    fs::create_dir_all(&shared).context("make a directory")?;
    fs::write(shared.join("file"), "shared").context("write a file")?;
    let deploy = |stage: &str| site.berth(&["deploy", "Dockerrun.aws.json", "--env", stage]);
    let ran = deploy("STAGE=first")?;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let told = "Image.Update: `image-pull-behavior` of the agent says when images are pulled";
    assert_eq!(ran.not_honoured(), [told]);
    wait_answer(hosts, PORT, "/", "first")?;
    wait_answer(hosts, PORT, "/shared/file", "shared")?;
    let again = deploy("STAGE=first")?;
    assert_eq!(again.code, Some(0), "{again:#?}");
    again.said("site: unchanged")?;
    let changed = deploy("STAGE=second")?;
    assert_eq!(changed.code, Some(0), "{changed:#?}");
    wait_answer(hosts, PORT, "/", "second")?;
    hosts.cluster.delete_service("site").map(drop)
}

pub(super) fn version_2_of_an_ecs_example_runs_as_it_is(hosts: &Hosts) -> Result<()> {
    let demo = Project::empty(hosts, "eb-demo")?;
    let example = fs::read_to_string(example_path("simple-demo.json")).context("read the example")?;
    let mut file: Value = serde_json::from_str(&example)?;
    file["AWSEBDockerrunVersion"] = json!(2);
    demo.write("Dockerrun.aws.json", &file.to_string())?;
    let ran = demo.berth(&["deploy", "Dockerrun.aws.json"])?;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    // The example is a definition of ECS: its name is no member here.
    ensure!(
        ran.not_honoured().len() == 1 && ran.stderr.contains("not honoured: family: "),
        "{ran:#?}"
    );
    wait_answer(hosts, HTTP, "/", "It works!")?;
    wait_until("the other container's date moves", SOON, || {
        let page = ask(hosts, HTTP, "/my-vol/date")?;
        Ok(Seen::when(page.split_whitespace().count() == 6, || page))
    })?;
    let service = hosts.cluster.delete_service("eb-demo")?;
    ensure!(
        service["taskDefinition"].to_string().contains("/eb-demo:1"),
        "{service}"
    );
    Ok(())
}

pub(super) fn a_source_bundle_is_refused_by_name(hosts: &Hosts) -> Result<()> {
    let bundle = Project::empty(hosts, "bundle")?;
    bundle.write("site.zip", "PK\u{3}\u{4}")?;
    let ran = bundle.berth(&["deploy", "site.zip"])?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.said("site.zip: source bundles are not read: unpack it, and deploy the Dockerrun.aws.json in it")
}
