//! Who reaches the endpoint, how, and how often.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::command::run;
use berth_integration_tests::daemon::in_namespace;
use berth_integration_tests::{Seen, binaries, http, network, wait_until};
use serde_json::json;

use super::{ENDPOINT, Hosts, asking, ensure_status, read, wait_status};

const DEADLINE: Duration = Duration::from_secs(60);

/// A task that has port 80 of the host keeps nobody from the endpoint, nor the other way round.
pub(super) fn port_80_of_the_host_is_for_tasks(hosts: &Hosts) -> Result<()> {
    let web = json!({"family": "web80", "containerDefinitions": [{"name": "app", "image": "my-demo", "memory": 32,
        "portMappings": [{"containerPort": 80, "hostPort": 80}], "stopTimeout": 5}]});
    let arn = hosts.run("a", &web, &json!({}))?;
    hosts.cluster.wait_running(std::slice::from_ref(&arn))?;
    let at = SocketAddr::from((hosts.host("a")?.address(), 80));
    let page = wait_until("the page is served", SOON, || {
        let answer = http::tcp(at, &http::request("GET", "/", &[], &[]));
        Ok(match answer {
            Ok(answer) if answer.status == 200 => Seen::Done(answer.text()),
            Ok(answer) => Seen::NotYet(answer.text()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })?;
    ensure!(page == "It works!\n", "{page}");
    for mode in ["bridge", "host"] {
        let ask = r#"wget -qO- "$ECS_CONTAINER_METADATA_URI_V4""#;
        let lines = hosts.script(&format!("beside80-{mode}"), ask, &json!({"networkMode": mode}))?;
        ensure!(read(lines.first())?["Name"] == "app", "{mode}: {lines:?}");
    }
    hosts.cluster.stop(&[arn])
}

/// A neighbour on the host's network can send packets to the address, and is not heard.
pub(super) fn nobody_is_heard_who_is_not_on_the_host(hosts: &Hosts) -> Result<()> {
    let neighbour = hosts.bed.lane().namespace(None);
    let via = hosts.host("a")?.address().to_string();
    let route = ["-n", &neighbour, "route", "replace", "169.254.170.2/32", "via", &via];
    run(Command::new("ip").args(route), DEADLINE)?;
    let request = http::request("GET", "/v4/guess", &[], &[]);
    let answer = network::inside(&neighbour, || http::tcp(ENDPOINT, &request));
    ensure!(answer.is_err(), "a neighbour was answered: {answer:?}");
    ensure_status(&hosts.ask("a", ENDPOINT, "GET", "/v4/guess")?, 404)
}

pub(super) fn the_network_is_taken_down_and_put_up_again(hosts: &Hosts) -> Result<()> {
    let _b = hosts.b.lock().unwrap_or_else(PoisonError::into_inner);
    let host = hosts.host("b")?;
    let set = |way: &str| -> Result<String> {
        let mut command = in_namespace(host.link().namespace(), &binaries::path("berth-agent")?);
        run(command.args(["network", way]), DEADLINE)
    };
    let shown = || -> Result<String> {
        let mut nft = in_namespace(host.link().namespace(), "nft".as_ref());
        let rules = run(nft.args(["list", "ruleset"]), DEADLINE)?;
        let mut ip = in_namespace(host.link().namespace(), "ip".as_ref());
        Ok(rules + &run(ip.args(["address", "show", "dev", "lo"]), DEADLINE)?)
    };
    set("up")?;
    set("up")?;
    let up = shown()?;
    ensure!(
        up.matches("51679").count() == 2 && up.contains("169.254.170.2/32 scope"),
        "{up}"
    );
    set("down")?;
    set("down")?;
    // The agent is root here and would put it up again by itself, within its next look.
    set("up")?;
    wait_status(hosts, "b", "/v4/guess", 404)
}

pub(super) fn too_many_requests_are_refused(hosts: &Hosts) -> Result<()> {
    let _b = hosts.b.lock().unwrap_or_else(PoisonError::into_inner);
    let flood = "seq 200 | xargs -P 20 -I x wget -qO- http://169.254.170.2/v4/guess 2>&1 | sort | uniq -c";
    let arn = hosts.run("b", &asking("flood", flood), &json!({}))?;
    let said = hosts.printed("b", &arn)?.join("\n");
    ensure!(
        said.contains("429 Too Many Requests") && said.contains("404 Not Found"),
        "{said}"
    );
    // Soon there is room again.
    wait_status(hosts, "b", "/v4/guess", 404)
}
