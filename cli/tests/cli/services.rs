//! `berth services` and `berth deploy`.

use berth_proto::ecs::v1::{LoadBalancer, Service, ServiceEvent};
use berth_proto::v1::TargetDescription;

use crate::berth::berth;
use crate::fake::{Fake, deployment, deployment_brief, service};

/// `web` runs `web:1`, whole.
fn with_web() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    fake.state().services = vec![service("web", vec![deployment(1, 3, "COMPLETED")])];
    Ok(fake)
}

fn with_event(mut service: Service, id: &str, message: &str) -> Service {
    let event = ServiceEvent {
        id: Some(id.to_owned()),
        message: Some(message.to_owned()),
        ..Default::default()
    };
    service.events.insert(0, event);
    service
}

#[test]
fn services_are_listed_from_all_pages() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let whole = |name: &str| service(name, vec![deployment(4, 3, "COMPLETED")]);
    fake.state().services = ["a", "b", "c"].map(whole).to_vec();
    let ran = berth(&fake.url, &["services", "list"])?;
    assert_eq!(
        ran.stdout,
        "SERVICE  STATUS  DEFINITION  STRATEGY  DESIRED  RUNNING  PENDING  ROLLOUT\n\
         a        ACTIVE  web:4       REPLICA         3        3        0  COMPLETED\n\
         b        ACTIVE  web:4       REPLICA         3        3        0  COMPLETED\n\
         c        ACTIVE  web:4       REPLICA         3        3        0  COMPLETED\n"
    );
    assert_eq!(ran.code, Some(0));
    Ok(())
}

#[test]
fn what_is_said_of_a_new_service_is_what_is_asked_for() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(
        &fake.url,
        &[
            "services",
            "create",
            "web",
            "nginx:4",
            "--count",
            "3",
            "--min-healthy",
            "50",
            "--max",
            "150",
            "--circuit-breaker",
            "rollback",
            "--health-check-grace",
            "1m",
            "--constraint",
            "distinctInstance",
            "--strategy",
            "binpack=memory",
        ],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let [asked] = state.creations.as_slice() else {
        panic!("not one creation: {:?}", state.creations);
    };
    assert_eq!((asked.service_name(), asked.task_definition()), ("web", "nginx:4"));
    assert_eq!((asked.desired_count, asked.scheduling_strategy()), (Some(3), "REPLICA"));
    assert_eq!(asked.health_check_grace_period_seconds, Some(60));
    let configuration = asked.deployment_configuration.clone().unwrap_or_default();
    assert_eq!(
        (configuration.minimum_healthy_percent(), configuration.maximum_percent()),
        (50, 150)
    );
    let breaker = configuration.deployment_circuit_breaker.unwrap_or_default();
    assert_eq!((breaker.enable, breaker.rollback), (Some(true), Some(true)));
    assert_eq!(asked.placement_constraints[0].r#type(), "distinctInstance");
    let strategy = &asked.placement_strategy[0];
    assert_eq!((strategy.r#type(), strategy.field()), ("binpack", "memory"));
    Ok(())
}

#[test]
fn a_daemon_has_no_count() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(&fake.url, &["services", "create", "logs", "fluentd", "--daemon"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let asked = state.creations.first().cloned().unwrap_or_default();
    assert_eq!((asked.desired_count, asked.scheduling_strategy()), (None, "DAEMON"));
    drop(state);
    let both = berth(
        &fake.url,
        &["services", "create", "logs", "x", "--daemon", "--count", "2"],
    )?;
    assert_eq!(both.code, Some(2), "{both:?}");
    Ok(())
}

const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80";

#[test]
fn listeners_become_target_groups_of_the_clusters_region_and_account() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let words = [
        "services",
        "create",
        "web",
        "nginx",
        "--load-balancer",
        "http:80=nginx:8080",
    ];
    let check = [
        "--target-check",
        "http /healthz interval=2s",
        "--deregistration-delay",
        "10s",
    ];
    let ran = berth(&fake.url, &[&words[..], &check].concat())?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let asked = &state.creations[0];
    let [one] = asked.load_balancers.as_slice() else {
        panic!("not one load balancer: {asked:?}");
    };
    assert_eq!(one.target_group_arn(), GROUP);
    assert_eq!((one.container_name(), one.container_port()), ("nginx", 8080));
    let tags: Vec<_> = asked.tags.iter().map(|tag| (tag.key(), tag.value())).collect();
    assert_eq!(
        tags,
        [
            ("berth:health-check", "http /healthz interval=2s"),
            ("berth:deregistration-delay", "10s")
        ]
    );
    drop(state);
    let refused = berth(
        &fake.url,
        &["services", "create", "web", "nginx", "--target-check", "tcp"],
    )?;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    Ok(())
}

#[test]
fn the_targets_of_a_service_are_shown_with_it() -> anyhow::Result<()> {
    let fake = with_web()?;
    let balanced = LoadBalancer {
        target_group_arn: Some(GROUP.to_owned()),
        container_name: Some("nginx".to_owned()),
        container_port: Some(8080),
        ..LoadBalancer::default()
    };
    fake.state().services[0].load_balancers = vec![balanced];
    fake.state().targets = vec![TargetDescription {
        task_arn: "arn:aws:ecs:us-east-1:000000000000:task/default/0af1".to_owned(),
        container_instance_arn: "arn:aws:ecs:us-east-1:000000000000:container-instance/default/0b".to_owned(),
        target_group_arn: GROUP.to_owned(),
        address: "10.0.0.5:32768".to_owned(),
        state: "unhealthy".to_owned(),
        reason: "status 500".to_owned(),
        ..TargetDescription::default()
    }];
    let ran = berth(&fake.url, &["services", "show", "web"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("http-80 to nginx:8080"), "{}", ran.stdout);
    let shown = ran.stdout.lines().find(|line| line.contains("10.0.0.5:32768"));
    let words: Vec<_> = shown.unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        words,
        ["0af1", "0b", "http-80", "10.0.0.5:32768", "unhealthy", "status", "500"]
    );
    Ok(())
}

#[test]
fn a_service_that_does_not_exist_is_an_error() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    for words in [["services", "show", "ghost"], ["services", "events", "ghost"]] {
        let ran = berth(&fake.url, &words)?;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert_eq!(ran.stderr, "error: service \"ghost\": MISSING\n");
    }
    Ok(())
}

#[test]
fn scaling_asks_for_the_count_alone() -> anyhow::Result<()> {
    let fake = with_web()?;
    let ran = berth(&fake.url, &["services", "scale", "web", "5"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let asked = &state.updates[0];
    assert_eq!((asked.desired_count, asked.task_definition.as_deref()), (Some(5), None));
    Ok(())
}

#[test]
fn an_update_says_where_gateways_listen_from_now_on_or_that_they_listen_no_more() -> anyhow::Result<()> {
    let fake = with_web()?;
    let update = |words: &[&str]| berth(&fake.url, &[&["services", "update", "web"], words].concat());
    let listed = |nth: usize| {
        let list = fake.state().updates[nth].load_balancers.clone();
        list.map(|list| {
            list.load_balancers
                .iter()
                .map(|one| one.target_group_arn().to_owned())
                .collect()
        })
    };
    for words in [
        ["--load-balancer", "http:80=nginx:8080"].as_slice(),
        &["--no-load-balancer"],
        &["--count", "2"],
    ] {
        let ran = update(words)?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let lists: [Option<Vec<String>>; 3] = [0, 1, 2].map(listed);
    assert_eq!(lists, [Some(vec![GROUP.to_owned()]), Some(Vec::new()), None]);
    let both = update(&["--no-load-balancer", "--load-balancer", "http:80=nginx:8080"])?;
    assert_eq!(both.code, Some(2), "{both:?}");
    Ok(())
}

#[test]
fn an_update_says_by_what_is_placed_from_now_on_or_that_nothing_is_asked() -> anyhow::Result<()> {
    let fake = with_web()?;
    let update = |words: &[&str]| berth(&fake.url, &[&["services", "update", "web"], words].concat());
    let calls: [&[&str]; 3] = [
        &["--constraint", "distinctInstance", "--strategy", "random"],
        &["--no-constraint", "--no-strategy"],
        &["--count", "2"],
    ];
    for words in calls {
        let ran = update(words)?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let state = fake.state();
    let numbers = state.updates.iter().map(|update| {
        let constraints = update.placement_constraints.as_ref().map(|list| list.items.len());
        let strategy = update.placement_strategy.as_ref().map(|list| list.items.len());
        (constraints, strategy)
    });
    let numbers: Vec<_> = numbers.collect();
    drop(state);
    assert_eq!(numbers, [(Some(1), Some(1)), (Some(0), Some(0)), (None, None)]);
    for both in [
        ["--no-constraint", "--constraint", "distinctInstance"],
        ["--no-strategy", "--strategy", "random"],
    ] {
        let ran = update(&both)?;
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    Ok(())
}

#[test]
fn what_ecs_has_no_members_for_is_said_in_tags_of_the_service() -> anyhow::Result<()> {
    let fake = with_web()?;
    let ran = berth(
        &fake.url,
        &[
            "services",
            "update",
            "web",
            "--target-check",
            "tcp",
            "--deregistration-delay",
            "1m",
            "--lost-grace",
            "5m",
        ],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let [asked] = state.tagged.as_slice() else {
        panic!("not tagged once: {:?}", state.tagged);
    };
    assert!(asked.resource_arn().ends_with("/web"), "{asked:?}");
    let tags: Vec<_> = asked.tags.iter().map(|tag| (tag.key(), tag.value())).collect();
    assert_eq!(
        tags,
        [
            ("berth:health-check", "tcp"),
            ("berth:deregistration-delay", "1m"),
            ("berth:lost-grace", "5m")
        ]
    );
    Ok(())
}

#[test]
fn a_service_is_deleted_once_it_is_inactive() -> anyhow::Result<()> {
    let fake = with_web()?;
    let refused = berth(&fake.url, &["services", "delete", "web"])?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("scaled above 0"), "{refused:?}");
    let status = |status: &str| Service {
        status: Some(status.to_owned()),
        ..service("web", Vec::new())
    };
    fake.state().next = [status("DRAINING"), status("INACTIVE")].into();
    let ran = berth(&fake.url, &["services", "delete", "web", "--force", "--wait"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("INACTIVE"), "{ran:?}");
    assert!(fake.state().next.is_empty(), "it did not look until then");
    Ok(())
}

#[test]
fn a_deployment_is_told_as_it_goes() -> anyhow::Result<()> {
    let fake = with_web()?;
    let step = |running, old| {
        let mut begun = deployment(0, running, "IN_PROGRESS");
        begun.task_definition = Some("arn:aws:ecs:x:0:task-definition/web:2".to_owned());
        service("web", vec![begun, deployment(1, old, "COMPLETED")])
    };
    let mut end = step(3, 0);
    end.deployments.pop();
    end.deployments[0].rollout_state = Some("COMPLETED".to_owned());
    fake.state().next = [
        with_event(step(1, 3), "1", "(service web) has started 1 tasks: (task a)."),
        step(2, 1),
        with_event(end, "2", "(service web) has reached a steady state."),
    ]
    .into();
    let ran = berth(&fake.url, &["deploy", "web", "web:2"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "(service web) has started 1 tasks: (task a).\n\
         [######..............] web:2 1/3; web:1 3 running\n\
         [#############.......] web:2 2/3; web:1 1 running\n\
         (service web) has reached a steady state.\n\
         [####################] web:2 3/3\n"
    );
    let state = fake.state();
    assert_eq!(state.updates[0].task_definition(), "web:2");
    assert!(state.updates[0].force_new_deployment());
    Ok(())
}

#[test]
fn a_deployment_that_fails_is_an_error_that_says_why() -> anyhow::Result<()> {
    let fake = with_web()?;
    let mut failed = deployment(0, 0, "FAILED");
    failed.task_definition = Some("arn:aws:ecs:x:0:task-definition/web:2".to_owned());
    failed.rollout_state_reason = Some("ECS deployment circuit breaker: tasks failed to start.".to_owned());
    let back = service("web", vec![deployment(1, 3, "COMPLETED")]);
    let falling = service("web", vec![deployment(1, 2, "IN_PROGRESS"), failed]);
    fake.state().next = [falling, back].into();
    let ran = berth(&fake.url, &["deploy", "web", "web:2"])?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let says = "error: deployment of web:2 failed: ECS deployment circuit breaker: tasks failed to start.\n";
    assert!(ran.stderr.ends_with(says), "{ran:?}");
    Ok(())
}

#[test]
fn a_deployment_that_is_going_on_is_given_up_by_a_rollback() -> anyhow::Result<()> {
    let fake = with_web()?;
    let going = service(
        "web",
        vec![deployment(2, 1, "IN_PROGRESS"), deployment(1, 2, "COMPLETED")],
    );
    let back = service("web", vec![deployment(1, 3, "IN_PROGRESS"), deployment(2, 0, "FAILED")]);
    let mut state = fake.state();
    state.deployments = vec![deployment_brief(2, "IN_PROGRESS"), deployment_brief(1, "SUCCESSFUL")];
    state.next = [going.clone(), going, back].into();
    drop(state);
    let ran = berth(&fake.url, &["services", "rollback", "web"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "the deployment that was going on is given up\n");
    let state = fake.state();
    assert_eq!(state.stopped.len(), 1);
    assert!(state.stopped[0].ends_with("/web/2"), "{:?}", state.stopped);
    assert!(state.updates.is_empty());
    Ok(())
}

#[test]
fn a_whole_service_is_rolled_back_to_the_last_other_definition_that_succeeded() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let mut state = fake.state();
    state.services = vec![service("web", vec![deployment(4, 3, "COMPLETED")])];
    state.deployments = vec![
        deployment_brief(4, "SUCCESSFUL"),
        deployment_brief(3, "ROLLBACK_SUCCESSFUL"),
        deployment_brief(4, "SUCCESSFUL"),
        deployment_brief(2, "SUCCESSFUL"),
        deployment_brief(1, "SUCCESSFUL"),
    ];
    drop(state);
    let ran = berth(&fake.url, &["services", "rollback", "web"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "going back to web:2\n");
    assert!(
        fake.state().updates[0]
            .task_definition()
            .ends_with("task-definition/web:2")
    );

    fake.state().deployments.truncate(3);
    let nowhere = berth(&fake.url, &["services", "rollback", "web"])?;
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    assert!(
        nowhere.stderr.starts_with("error: there is nothing to go back to: "),
        "{nowhere:?}"
    );
    Ok(())
}
