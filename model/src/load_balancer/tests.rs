use serde_json::json;

use super::*;
use crate::tag::Tag;

const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/";

fn namespace() -> Namespace {
    Namespace::new("eu-west-1", "111122223333").unwrap()
}

fn raw(listener: &str) -> RawLoadBalancer {
    RawLoadBalancer {
        target_group_arn: Some(format!("{ARN}{listener}")),
        load_balancer_name: None,
        container_name: Some("web".to_owned()),
        container_port: Some(8080),
    }
}

fn refused(raw: &[RawLoadBalancer]) -> String {
    parse(raw, &namespace()).unwrap_err().message
}

fn settings(tags: &[(&str, &str)]) -> Result<TargetSettings, Fault> {
    let tags: Vec<Tag> = tags
        .iter()
        .map(|(key, value)| Tag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    TargetSettings::parse(&tags)
}

#[test]
fn the_arn_of_a_target_group_says_protocol_and_port() {
    let parsed = parse(
        &[raw("web/http-80"), raw("a-b/http2-65535"), raw("db/tcp-1")],
        &namespace(),
    )
    .unwrap();
    let listeners: Vec<_> = parsed.iter().map(|one| (one.protocol, one.listener_port)).collect();
    assert_eq!(
        listeners,
        [
            (GatewayProtocol::Http, 80),
            (GatewayProtocol::Http2, 65535),
            (GatewayProtocol::Tcp, 1)
        ]
    );
    assert_eq!(parsed[0].container_port, 8080);
}

#[test]
fn what_is_no_target_group_of_ours_is_refused_with_the_form_that_it_must_have() {
    for listener in [
        "web",
        "web/http",
        "web/udp-80",
        "web/http-0",
        "web/http-080",
        "web/http-65536",
        "web/http-+80",
        "/http-80",
        "a_b/http-80",
        "web/73e2d6bc24d8a067",
    ] {
        let text = refused(&[raw(listener)]);
        assert!(
            text.contains(listener) && text.contains("targetgroup/NAME/PROTOCOL-PORT"),
            "{text}"
        );
    }
    let other = RawLoadBalancer {
        target_group_arn: Some(
            "arn:aws:elasticloadbalancing:eu-west-1:999999999999:targetgroup/web/http-80".to_owned(),
        ),
        ..raw("")
    };
    assert!(refused(&[other]).contains("loadBalancers[0].targetGroupArn"));
}

#[test]
fn members_that_are_missing_or_of_no_use_are_named() {
    let without = |edit: fn(&mut RawLoadBalancer)| {
        let mut one = raw("web/http-80");
        edit(&mut one);
        refused(&[raw("db/tcp-1"), one])
    };
    assert!(without(|one| one.target_group_arn = None).contains("loadBalancers[1].targetGroupArn"));
    assert!(without(|one| one.container_name = Some(String::new())).contains("containerName"));
    assert!(without(|one| one.container_port = None).contains("containerPort"));
    assert!(without(|one| one.container_port = Some(0)).contains("containerPort 0"));
    assert!(without(|one| one.load_balancer_name = Some("classic".to_owned())).contains("classic"));
    assert!(refused(&[raw("a/http-80"), raw("b/tcp-80")]).contains("port 80"));
    assert!(refused(&vec![raw("a/http-80"); 6]).contains("at most 5"));
}

#[test]
fn a_definition_must_have_the_container_and_the_port() {
    let definition: TaskDefinition = serde_json::from_value(json!({
        "family": "web",
        "containerDefinitions": [
            {"name": "web", "image": "web", "portMappings": [{"containerPort": 8080}, {"containerPort": 53, "protocol": "udp"}]},
            {"name": "db", "image": "db", "portMappings": [{"containerPortRange": "5000-5010"}]},
        ],
    }))
    .unwrap();
    let check = |container: &str, port: i32| {
        let one = RawLoadBalancer {
            container_name: Some(container.to_owned()),
            container_port: Some(port),
            ..raw("web/http-80")
        };
        let parsed = parse(&[one], &namespace()).unwrap();
        parsed[0].check(&definition).map_err(|fault| fault.message)
    };
    assert_eq!(check("web", 8080), Ok(()));
    assert_eq!(check("db", 5010), Ok(()));
    assert_eq!(
        check("web", 53),
        Err("The container web did not have a container port 53 defined.".to_owned())
    );
    assert_eq!(
        check("ghost", 80),
        Err("The container ghost does not exist in the task definition.".to_owned())
    );
}

#[test]
fn tags_say_how_targets_are_checked_and_how_long_they_may_end() {
    let read = settings(&[
        (
            HEALTH_CHECK_TAG,
            "http /healthz interval=10s timeout=3s healthy=4 unhealthy=5",
        ),
        (DEREGISTRATION_DELAY_TAG, "2m"),
        ("team", "a"),
    ])
    .unwrap();
    assert_eq!(read.deregistration_delay_seconds, 120);
    let check = HealthCheck {
        path: Some("/healthz".to_owned()),
        interval_seconds: 10,
        timeout_seconds: 3,
        healthy_threshold: 4,
        unhealthy_threshold: 5,
    };
    assert_eq!(read.health_check, Some(check));
    let short = settings(&[(HEALTH_CHECK_TAG, "tcp interval=1s")])
        .unwrap()
        .health_check
        .unwrap();
    assert_eq!(
        (short.path, short.interval_seconds, short.timeout_seconds),
        (None, 1, 1)
    );
}

#[test]
fn what_nothing_is_said_of_suits_the_protocol() {
    let parsed = parse(
        &[raw("web/http-80"), raw("rpc/http2-81"), raw("db/tcp-1")],
        &namespace(),
    )
    .unwrap();
    let default = TargetSettings::default();
    let paths: Vec<_> = parsed.iter().map(|one| default.check_of(one).path).collect();
    assert_eq!(paths, [Some("/".to_owned()), None, None]);
}

#[test]
fn tags_that_cannot_be_read_are_refused_with_their_value_and_the_rule() {
    for (key, value, rule) in [
        (HEALTH_CHECK_TAG, "", "http or tcp"),
        (HEALTH_CHECK_TAG, "udp", "udp"),
        (HEALTH_CHECK_TAG, "http healthz", "healthz"),
        (HEALTH_CHECK_TAG, "http / interval=0s", "interval=0s"),
        (HEALTH_CHECK_TAG, "http / interval=2s timeout=3s", "timeout of 3 s"),
        (HEALTH_CHECK_TAG, "http / healthy=11", "healthy=11"),
        (HEALTH_CHECK_TAG, "http / colour=red", "colour"),
        (HEALTH_CHECK_TAG, "tcp healthy=1 healthy=2", "twice"),
        (DEREGISTRATION_DELAY_TAG, "2h", "1h"),
        (DEREGISTRATION_DELAY_TAG, "soon", "whole number"),
    ] {
        let text = settings(&[(key, value)]).unwrap_err().message;
        assert!(text.contains(key) && text.contains(rule), "{text}");
    }
}

#[test]
fn what_has_no_targets_has_no_say_in_how_they_are_treated() {
    let tag = |key: &str| Tag {
        key: key.to_owned(),
        value: "tcp".to_owned(),
    };
    assert_eq!(refuse_settings(&[tag("team")]), Ok(()));
    let text = refuse_settings(&[tag("team"), tag(HEALTH_CHECK_TAG)])
        .unwrap_err()
        .message;
    assert!(
        text.contains(HEALTH_CHECK_TAG) && text.contains("loadBalancers"),
        "{text}"
    );
}
