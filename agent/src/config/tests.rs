use super::*;

fn load(flags: &[&str], file: Option<&str>) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    let mut arguments = vec!["berth-agent".into()];
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        arguments.extend(["--config".into(), path.into_os_string()]);
    }
    arguments.extend(flags.iter().map(std::ffi::OsString::from));
    Config::load(arguments)
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "scheduler = [\"http://a:1\", \"http://b:2\"]\ncluster = \"prod\"\nstop-timeout = 5\nmemory = 512\n";
    let config = load(&["--memory", "1024", "--attribute", "rack=r1"], Some(file)).unwrap();
    assert_eq!(config.schedulers.len(), 2);
    assert_eq!((config.cluster.as_str(), config.memory_mib), ("prod", Some(1024)));
    assert_eq!(config.stop_timeout, Duration::from_secs(5));
    assert_eq!(config.retention, Duration::from_secs(3600));
    assert_eq!(config.docker_socket, "/var/run/docker.sock");
    assert_eq!(config.reserved_tcp_ports, [22, 2375, 2376, 51678, 51679]);
}

#[test]
fn there_is_no_cluster_to_fall_into() {
    let error = load(&["--scheduler", "http://a:1"], None).unwrap_err();
    assert!(error.to_string().starts_with("--cluster is required"), "{error}");
    let error = load(&["--scheduler", "http://a:1", "--cluster", ""], None).unwrap_err();
    assert!(error.to_string().starts_with("--cluster is required"), "{error}");
}

#[test]
fn wrong_settings_are_named() {
    let given = ["--scheduler", "http://a:1", "--cluster", "prod"];
    for (flags, says) in [
        (
            vec!["--docker", "tcp://1.2.3.4:2375"],
            "--docker is 'tcp://1.2.3.4:2375'",
        ),
        (vec!["--scheduler", "a:1"], "--scheduler is 'a:1'"),
        (vec!["--parallel-starts", "0"], "--parallel-starts is 0"),
    ] {
        let error = load(&[&given[..], &flags].concat(), None).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
    }
    let error = load(&given, Some("clutser = \"prod\"")).unwrap_err();
    assert!(error.to_string().contains("clutser"), "{error}");
}

#[test]
fn a_cluster_may_be_named_by_its_arn() {
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/prod";
    let config = load(&["--scheduler", "http://a:1", "--cluster", arn], None).unwrap();
    assert_eq!((config.cluster.as_str(), config.cluster_name()), (arn, "prod"));
}
