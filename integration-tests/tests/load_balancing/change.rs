//! What a service is told of its load balancers after it was created.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{Hosts, get, wait_served};

pub(super) fn other_load_balancers_move_a_service_to_another_port_and_none_take_it_away(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "moved", "moved", "")?;
    cluster.create_service("moved", &definition, &behind("http-8091", 2, CHECK, "30s"))?;
    cluster.wait_completed("moved")?;
    let (old, new) = (hosts.listener("a", 8091)?, hosts.listener("c", 8092)?);
    wait_served(&[old])?;
    let open = thread::spawn(move || get(old, "/cgi-bin/sleep?8"));
    thread::sleep(Duration::from_millis(500));

    let elsewhere = &behind("http-8092", 2, CHECK, "30s")["loadBalancers"];
    let updated = cluster.update_service("moved", &json!({"loadBalancers": elsewhere}))?;
    assert_eq!(updated["deployments"].as_array().map(Vec::len), Some(2), "{updated}");
    assert_eq!(&updated["loadBalancers"], elsewhere, "{updated}");
    wait_served(&[new])?;
    let answer = open.join().map_err(|_| anyhow!("the request's thread panicked"))??;
    assert_eq!(answer, "slept\n", "it was under way on the old port");
    cluster.wait_completed("moved")?;
    wait_closed("the old port is closed", || get(old, "/"))?;
    let moved = cluster.service("moved")?;
    let said = events(&moved);
    for (what, group) in [("registered", "http-8092"), ("deregistered", "http-8091")] {
        let says = |event: &&String| event.contains(&format!(" {what} ")) && event.contains(group);
        ensure!(said.iter().any(|event| says(&event)), "{what} {group}: {said:#?}");
    }

    cluster.update_service("moved", &json!({"loadBalancers": []}))?;
    wait_closed("nothing listens for it", || get(new, "/"))?;
    let alone = cluster.wait_stable("moved")?;
    assert_eq!(alone["loadBalancers"], json!([]), "{alone}");
    cluster.delete_service("moved").map(drop)
}

pub(super) fn tags_that_are_set_later_say_how_targets_are_checked(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "tagged", "tagged", "")?;
    let created = cluster.create_service("tagged", &definition, &behind("http-8093", 2, CHECK, "1s"))?;
    cluster.wait_completed("tagged")?;
    wait_served(&[hosts.listener("b", 8093)?])?;
    let arn = &created["serviceArn"];
    let tag = |check: &str| {
        let tags = json!([{"key": "berth:health-check", "value": check}, {"key": "team", "value": "a"}]);
        cluster
            .ecs()
            .call("TagResource", &json!({"resourceArn": arn, "tags": tags}))
    };
    tag(&CHECK.replace("/healthz", "/nothing"))?;
    cluster.wait_service("tagged", "said to fail its checks", |service| {
        let failed = |event: &String| event.contains("is unhealthy in (target-group") && event.contains("404");
        events(service).iter().any(failed)
    })?;
    tag(CHECK)?;
    cluster.wait_service("tagged", "well again", |service| {
        service["runningCount"] == json!(2) && service["deployments"].as_array().map(Vec::len) == Some(1)
    })?;
    let untag = json!({"resourceArn": arn, "tagKeys": ["team"]});
    cluster.ecs().call("UntagResource", &untag)?;
    let listed = cluster
        .ecs()
        .call("ListTagsForResource", &json!({"resourceArn": arn}))?;
    assert_eq!(
        listed["tags"],
        json!([
            {"key": "berth:health-check", "value": CHECK},
            {"key": "berth:deregistration-delay", "value": "1s"}
        ])
    );
    cluster.delete_service("tagged").map(drop)
}

fn wait_closed(what: &str, ask: impl Fn() -> Result<String>) -> Result<()> {
    wait_until(what, SOON, || {
        Ok(match ask() {
            Err(error) if format!("{error:#}").contains("Connection refused") => Seen::Done(()),
            answered => Seen::NotYet(format!("{answered:?}")),
        })
    })
}
