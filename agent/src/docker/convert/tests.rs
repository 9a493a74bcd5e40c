use super::*;
use crate::secrets::Secret;

#[test]
fn a_stale_memory_flag_does_not_end_a_running_container() {
    let state = ContainerState {
        status: Some(ContainerStateStatusEnum::RUNNING),
        running: Some(true),
        oom_killed: Some(true),
        exit_code: Some(137),
        ..ContainerState::default()
    };
    assert_eq!(run_state(&state), RunState::Running);
}

#[test]
fn a_dynamic_port_has_one_explicit_binding() {
    let host = HostSettings {
        ports: vec![Forward {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_port: 0,
        }],
        ..HostSettings::default()
    };
    let mut prepared = Prepared::default();
    for (range, host_port) in [(None, ""), (Some(40_000..=40_099), "40000-40099")] {
        prepared.dynamic_ports = range;
        let bindings = port_bindings(&host, &prepared)["80/tcp"].clone().unwrap();
        assert_eq!(bindings.len(), 1);
        assert_eq!(bindings[0].host_port.as_deref(), Some(host_port));
    }
}

#[test]
fn what_was_read_joins_the_environment_and_the_options_of_the_log_driver() {
    let secrets = |name: &str| BTreeMap::from([(name.to_owned(), Secret::new("hunter2".to_owned()))]);
    let prepared = Prepared {
        variables: secrets("PASSWORD"),
        log_options: secrets("splunk-token"),
        ..Prepared::default()
    };
    let request = CreateRequest {
        environment: vec!["A=1".to_owned()],
        host: HostSettings {
            log: Some((
                "splunk".to_owned(),
                BTreeMap::from([("tag".to_owned(), "x".to_owned())]),
            )),
            ..HostSettings::default()
        },
        ..CreateRequest::default()
    };
    let body = create_body(&request, &prepared, request.image.clone());
    assert_eq!(body.env.unwrap(), ["A=1", "PASSWORD=hunter2"]);
    let options = body.host_config.unwrap().log_config.unwrap().config.unwrap();
    assert_eq!(
        (options["tag"].as_str(), options["splunk-token"].as_str()),
        ("x", "hunter2")
    );
    assert!(body.labels.unwrap().is_empty());
    assert_eq!(body.healthcheck, None);
}

#[test]
fn the_default_log_driver_gets_the_options_that_every_driver_has() {
    let options = [
        ("awslogs-group", "a"),
        ("mode", "non-blocking"),
        ("max-buffer-size", "4m"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let prepared = Prepared {
        default_log_driver: true,
        log_options: BTreeMap::from([("awslogs-region".to_owned(), Secret::new("hunter2".to_owned()))]),
        ..Prepared::default()
    };
    let config = log_config("awslogs", &BTreeMap::from(options), &prepared);
    assert_eq!(config.typ, None);
    let config = config.config.unwrap();
    let kept: BTreeMap<&str, &str> = config
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        kept,
        BTreeMap::from([("mode", "non-blocking"), ("max-buffer-size", "4m")])
    );
}

#[test]
fn a_health_check_has_the_figures_of_ecs() {
    let check = HealthCheck {
        command: vec!["CMD".to_owned(), "true".to_owned()],
        start_period: Some(7),
        ..HealthCheck::default()
    };
    let config = health_config(&check);
    assert_eq!(config.test.unwrap(), ["CMD", "true"]);
    assert_eq!(
        (config.interval, config.timeout),
        (Some(30_000_000_000), Some(5_000_000_000))
    );
    assert_eq!((config.retries, config.start_period), (Some(3), Some(7_000_000_000)));
}
