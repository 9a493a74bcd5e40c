//! A project from its first `up` to its `down`.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::load::Load;
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::project::Project;
use super::{FRONT, Hosts};

/// The port of the gateway that the shop is served at.
const PORT: u16 = 8080;

/// A page, and a database that it needs: it is there when a file is in its volume.
const SHOP: &str = r#"
services:
  web:
    image: busybox
    command:
      - sh
      - -c
      - |
        mkdir -p /www
        until wget -q -O /www/stock http://db:5432/stock; do sleep 0.2; done
        echo "$$GREETING" > /www/index.html
        trap 'kill $$!; exit 0' TERM
        httpd -f -p 8000 -h /www & wait
    ports: [{target: 8000, published: "8080", app_protocol: http}]
    environment: {GREETING: one}
    container_name: front
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, wget, -q, -O, "-", "http://127.0.0.1:8000/"], interval: 5s, timeout: 2s, retries: 2}
    deploy:
      replicas: 2
      resources: {limits: {memory: 64M}, reservations: {memory: 16M}}
      update_config: {parallelism: 1, order: start-first, failure_action: rollback, delay: 1s}
  db:
    image: busybox
    command: sh -c 'echo 7 > /data/stock; exec httpd -f -p 5432 -h /data'
    init: true
    expose: [5432]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, test, -e, /data/ready], interval: 5s, timeout: 2s, retries: 10, start_period: 5m}
    deploy: {placement: {constraints: [node.labels.host == a]}}
volumes: {data: }
"#;

pub(super) fn a_project_comes_up_in_order_serves_rolls_and_goes(hosts: &Hosts) -> Result<()> {
    let shop = Project::new(hosts, "shop", SHOP)?;
    let gateway = hosts.bed.host(FRONT)?.address();
    let gateway = gateway.to_string();
    let up = ["--gateway", &gateway, "up"];

    // The page waits for the database to be healthy; here Ctrl-C ends that.
    let mut begun = shop.start(&up)?;
    begun.wait_told("db: 1 of 1 running")?;
    ensure!(shop.service("web").is_err(), "it does not wait for its database");
    let interrupted = begun.interrupt()?;
    assert_eq!(interrupted.code, Some(130), "{interrupted:#?}");
    interrupted.said("interrupted: what is done stays; `berth compose up` goes on from there")?;
    ensure!(shop.service("web").is_err(), "{interrupted:#?}");
    let volume = hosts.bed.host(FRONT)?.docker_dir().join("volumes/shop_data/_data");
    fs::write(volume.join("ready"), "").with_context(|| volume.display().to_string())?;

    let ran = shop.compose(&up)?;
    ran.said("db: unchanged")?;
    ran.said("web: created")?;
    assert_eq!(
        ran.not_honoured(),
        [
            "services.web.container_name: containers are named after their task",
            "services.web.deploy.update_config.delay: a task is replaced when the last one is healthy",
        ]
    );
    shop.wait_answer(PORT, "/", "one")?;
    // By the other's name, through the gateway.
    shop.wait_answer(PORT, "/stock", "7")?;
    check_settings(&shop)?;

    let again = shop.compose(&up)?;
    again.said("web: unchanged")?;
    again.said("db: unchanged")?;
    check_config(hosts, &shop, &gateway)?;

    let address = SocketAddr::from((hosts.bed.host(FRONT)?.address(), PORT));
    let load = Load::start(&[address], "/", 4);
    shop.write("compose.yaml", &SHOP.replace("GREETING: one", "GREETING: two"))?;
    let changed = shop.compose(&up);
    let report = load.stop()?;
    changed?.said("web: changed")?;
    ensure!(
        report.failures.is_empty(),
        "{} requests failed: {:#?}",
        report.failures.len(),
        report.failures.first()
    );
    let bodies: Vec<&str> = report.bodies.keys().map(|body| body.trim_end()).collect();
    assert_eq!(bodies, ["one", "two"]);
    shop.wait_answer(PORT, "/", "two")?;

    let tasks = |arguments: &[&str]| -> Result<usize> {
        let ran = shop.compose(&[&["ps", "--output", "json"], arguments].concat())?;
        let told: Value = serde_json::from_str(&ran.stdout).context(ran.stdout)?;
        Ok(told["tasks"].as_array().map_or(0, Vec::len))
    };
    assert_eq!((tasks(&[])?, tasks(&["web"])?, tasks(&["db"])?), (3, 2, 1));
    ensure!(tasks(&["--all", "web"])? >= 4, "those that were replaced are not told");

    let down = shop.compose(&["--gateway", &gateway, "down"])?;
    let order = ["web: deleted", "db: deleted"].map(|line| down.stderr.find(line));
    ensure!(order[0].is_some() && order[0] < order[1], "{down:#?}");
    shop.check_gone()?;
    wait_until("the gateway listens no more", SOON, || {
        Ok(Seen::when(shop.ask(PORT, "/").is_err(), || "it answers".to_owned()))
    })?;
    ensure!(volume.join("ready").exists(), "named volumes stay");
    shop.compose(&["down"])?.said("shop: there is nothing of the project")
}

/// Sees that Docker and the service have what the file says.
fn check_settings(shop: &Project<'_>) -> Result<()> {
    let web = shop.containers("web")?;
    assert_eq!(web.len(), 2);
    for (_, container) in &web {
        assert_eq!(container.host_config("Memory"), &json!(64 << 20));
        assert_eq!(container.host_config("MemoryReservation"), &json!(16 << 20));
        let environment = &container.inspect["Config"]["Env"];
        ensure!(environment.to_string().contains(r#""GREETING=one""#), "{environment}");
    }
    let [(host, database)] = &shop.containers("db")?[..] else {
        anyhow::bail!("not one database");
    };
    assert_eq!(*host, FRONT);
    let mount = &database.inspect["Mounts"][0];
    assert_eq!(
        (&mount["Name"], &mount["Destination"]),
        (&json!("shop_data"), &json!("/data"))
    );
    let service = shop.service("web")?;
    let configuration = &service["deploymentConfiguration"];
    assert_eq!(configuration["minimumHealthyPercent"], 100, "{configuration}");
    assert_eq!(configuration["maximumPercent"], 150, "{configuration}");
    let breaker = &configuration["deploymentCircuitBreaker"];
    ensure!(breaker["enable"] == true && breaker["rollback"] == true, "{breaker}");
    Ok(())
}

/// Sees that `config` shows what was registered.
fn check_config(hosts: &Hosts, shop: &Project<'_>, gateway: &str) -> Result<()> {
    let shown = shop.compose(&["--gateway", gateway, "config"])?.stdout;
    let shown: Value = serde_json::from_str(&shown).context(shown)?;
    for (at, name) in [(0, "shop-db"), (1, "shop-web")] {
        let shown = &shown["services"][at];
        assert_eq!(shown["serviceName"], name, "{shown}");
        let input = json!({"taskDefinition": name});
        let registered = hosts.cluster.ecs().call("DescribeTaskDefinition", &input)?;
        let registered = &registered["taskDefinition"];
        // Nothing was registered a second time.
        assert_eq!(registered["revision"], 1);
        let members = shown["taskDefinition"]["containerDefinitions"][0].as_object();
        for (member, value) in members.context("no container")? {
            let is = &registered["containerDefinitions"][0][member];
            ensure!(has(is, value), "{member} of {name}: {value} became {is}");
        }
    }
    Ok(())
}

/// Whether all that is shown is there; what was left to defaults is there besides.
fn has(is: &Value, shown: &Value) -> bool {
    match (is, shown) {
        (Value::Object(is), Value::Object(shown)) => {
            let mut members = shown.iter();
            members.all(|(name, shown)| is.get(name).is_some_and(|is| has(is, shown)))
        }
        (Value::Array(is), Value::Array(shown)) => {
            is.len() == shown.len() && is.iter().zip(shown).all(|(is, shown)| has(is, shown))
        }
        (is, shown) => is == shown,
    }
}

/// A service that takes its time to stop.
const SLOW: &str = r#"
services:
  slow:
    image: busybox
    command: sh -c "trap '' TERM; while true; do sleep 0.2; done"
    environment: {RELEASE: "1"}
    stop_grace_period: 10s
"#;

pub(super) fn a_change_and_a_down_that_are_interrupted_go_on(hosts: &Hosts) -> Result<()> {
    let slow = Project::new(hosts, "slow", SLOW)?;
    // As scripts call Docker's.
    slow.compose(&["up", "-d", "--wait"])?;
    assert_eq!(slow.containers("slow")?.len(), 1, "--wait waits, although -d is given");
    slow.write("compose.yaml", &SLOW.replace(r#""1""#, r#""2""#))?;
    let mut changing = slow.start(&["up"])?;
    changing.wait_told("slow: changed")?;
    assert_eq!(changing.interrupt()?.code, Some(130));
    slow.compose(&["up"])?.said("slow: unchanged")?;
    let [(_, container)] = &slow.containers("slow")?[..] else {
        anyhow::bail!("it does not run once");
    };
    let environment = container.inspect["Config"]["Env"].to_string();
    ensure!(environment.contains("RELEASE=2"), "{environment}");

    let leaving = slow.start(&["down"])?;
    wait_until("the service is on its way out", SOON, || {
        let service = slow.service("slow")?;
        Ok(Seen::when(service["status"] == "DRAINING", || {
            service["status"].to_string()
        }))
    })?;
    let interrupted = leaving.interrupt()?;
    assert_eq!(interrupted.code, Some(130), "{interrupted:#?}");
    interrupted.said("interrupted: what is done stays; `berth compose down` goes on from there")?;
    // The service may be gone by now; its task takes its time.
    slow.compose(&["down"])?.said("slow-slow: 2 revision(s) deregistered")?;
    slow.check_gone()
}

/// A service that a change breaks.
const FRAGILE: &str = r#"
services:
  app:
    image: busybox
    command: sh -c "exec sleep 600"
    init: true
    healthcheck: {test: "true", interval: 5s, timeout: 2s}
    deploy: {update_config: {failure_action: rollback}}
"#;

pub(super) fn a_change_that_fails_is_rolled_back_and_up_says_so(hosts: &Hosts) -> Result<()> {
    let fragile = Project::new(hosts, "fragile", FRAGILE)?;
    // Until it is healthy: there is nothing else to go back to.
    fragile.compose(&["up"])?;
    let before = fragile.service("app")?["taskDefinition"].clone();
    fragile.write("compose.yaml", &FRAGILE.replace("exec sleep 600", "exit 7"))?;
    let ran = fragile.berth(&["compose", "up"])?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.said("app: its deployment failed")?;
    ran.said("tasks failed to start")?;
    let is_back = |service: &Value| service["taskDefinition"] == before && service["runningCount"] == 1;
    hosts.cluster.wait_service("fragile-app", "what it was", is_back)?;
    fragile.compose(&["down"])?;
    fragile.check_gone()
}
