//! Services that are asked for by name, and jobs.

use anyhow::{Result, ensure};

use super::Hosts;
use super::project::Project;

const LAYERS: &str = r#"
x-base: &base {image: busybox, command: sh -c "echo up; exec sleep 600", init: true}
services:
  web: {<<: *base, depends_on: [api]}
  api:
    <<: *base
    depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_started}}
  migrate: {image: busybox, command: sh -c "echo migrating; test $$DONE = yes", environment: {DONE: "yes"}, depends_on: [db]}
  db: *base
  aside: {<<: *base, container_name: unseen}
  tools: {<<: *base, profiles: [tools]}
"#;

pub(super) fn a_service_comes_up_with_its_dependencies_and_no_others(hosts: &Hosts) -> Result<()> {
    let layers = Project::new(hosts, "layers", LAYERS)?;
    let ran = layers.compose(&["up", "api", "--remove-orphans"])?;
    let order = ["db: created", "migrate: runs", "api: created"].map(|line| ran.stderr.find(line));
    ensure!(order.iter().all(Option::is_some) && order.is_sorted(), "{ran:#?}");
    ensure!(
        !ran.stderr.contains("unseen") && ran.not_honoured().len() == 1,
        "{ran:#?}"
    );
    for absent in ["web", "aside", "tools", "migrate"] {
        ensure!(layers.service(absent).is_err(), "{absent} is there");
    }
    layers.compose(&["up", "--no-deps", "tools", "web", "--scale", "web=2"])?;
    assert_eq!(layers.containers("web")?.len(), 2);
    assert_eq!(layers.containers("tools")?.len(), 1);
    // The rest comes with all; what has an inactive profile is no orphan.
    let ran = layers.compose(&["up", "--remove-orphans"])?;
    ran.said("aside: created")?;
    ran.said("web: changed")?;
    ran.said("migrate: unchanged")?;
    assert_eq!(layers.containers("web")?.len(), 1);
    assert_eq!(layers.containers("tools")?.len(), 1);
    let written = layers
        .compose(&["logs", "--no-prefix", "web", "tools", "migrate"])?
        .stdout;
    let mut lines: Vec<&str> = written.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["migrating", "up", "up"]);
    let ran = layers.berth(&["compose", "logs", "wbe"])?;
    assert_eq!(ran.code, Some(1));
    ran.said("the project \"layers\" has no service \"wbe\"")?;
    let ran = layers.berth(&["compose", "up", "wbe"])?;
    assert_eq!(ran.code, Some(1));
    ran.said("services.wbe: there is no such service")?;
    layers.compose(&["down"])?;
    layers.check_gone()
}

pub(super) fn a_job_that_fails_keeps_what_waits_for_it_from_starting(hosts: &Hosts) -> Result<()> {
    let text = LAYERS.replace(r#"DONE: "yes""#, r#"DONE: "no""#);
    let jobs = Project::new(hosts, "jobs", &text)?;
    let ran = jobs.berth(&["compose", "up", "api"])?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.said("migrate has failed")?;
    ran.said("(exit code 1)")?;
    ensure!(jobs.service("api").is_err(), "{ran:#?}");
    assert_eq!(jobs.compose(&["logs", "--no-prefix", "migrate"])?.stdout, "migrating\n");
    jobs.write("compose.yaml", LAYERS)?;
    let ran = jobs.compose(&["up", "api"])?;
    ran.said("db: unchanged")?;
    ran.said("migrate: runs")?;
    ran.said("api: created")?;
    jobs.compose(&["down"])?;
    jobs.check_gone()
}
