use std::path::PathBuf;
use std::time::Duration;

use super::setting::Default;
use super::settings::SETTINGS;
use super::*;

const GIVEN: [&str; 4] = ["--scheduler", "http://a:1", "--cluster", "prod"];

/// A machine with these variables and files.
#[derive(Default)]
struct Machine {
    variables: Vec<(&'static str, &'static str)>,
    file: &'static str,
    ecs_file: &'static str,
}

impl Machine {
    fn invoke(&self, flags: &[&str]) -> Result<Invocation, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("agent.toml"), self.file).unwrap();
        std::fs::write(path("ecs.config"), self.ecs_file).unwrap();
        let arguments = ["berth-agent"].iter().chain(flags).map(OsString::from);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = self.variables.iter().map(owned).collect();
        Invocation::of(arguments, environment, [&path("agent.toml"), &path("ecs.config")])
    }

    fn config(&self, flags: &[&str]) -> Config {
        let Invocation::Run(config) = self.invoke(flags).unwrap() else {
            panic!("it would not run");
        };
        *config
    }

    /// What is wrong, without the directory of the files.
    fn problems(&self, flags: &[&str]) -> Vec<String> {
        let ConfigError::Settings(problems) = self.invoke(flags).unwrap_err() else {
            panic!("the command line is wrong");
        };
        let short = |problem: String| match problem.split_once("agent.toml:").or(problem.split_once("ecs.config:")) {
            Some((_, rest)) => rest.to_owned(),
            None => problem,
        };
        problems.into_iter().map(short).collect()
    }

    fn report(&self, flags: &[&str]) -> String {
        let Invocation::Check(report) = self.invoke(&[flags, &["--check-config"]].concat()).unwrap() else {
            panic!("it would run");
        };
        report
    }
}

#[test]
fn the_first_source_that_has_a_setting_decides() {
    let machine = Machine {
        variables: vec![
            ("BERTH_CPU_UNITS", "2"),
            ("BERTH_RESERVED_MEMORY", "2"),
            ("ECS_RESERVED_MEMORY", "3"),
            ("ECS_CONTAINER_STOP_TIMEOUT", "3s"),
            ("BERTH_PARALLEL_STARTS", ""),
            ("PATH", "/bin"),
        ],
        file: "memory = 4\ncpu-units = 4\nstop-timeout = \"4s\"\nparallel-starts = 4\nreserved-port = [4]\n",
        ecs_file: "ECS_CONTAINER_STOP_TIMEOUT=5s\nECS_RESERVED_PORTS=[5]\nECS_RESERVED_PORTS_UDP=[5, 6]\n",
    };
    let config = machine.config(&[&GIVEN[..], &["--memory", "1"]].concat());
    assert_eq!(
        (config.memory_mib, config.cpu_units, config.reserved_memory_mib),
        (Some(1), Some(2), 2)
    );
    assert_eq!(config.stop_timeout, Duration::from_secs(3));
    assert_eq!(config.parallel_starts, Some(4), "an empty variable says nothing");
    assert_eq!(
        (config.reserved_tcp_ports, config.reserved_udp_ports),
        (vec![4], vec![5, 6])
    );
    assert_eq!(config.retention, Duration::from_secs(3600));
    assert_eq!(config.docker_socket, "/var/run/docker.sock");
}

#[test]
fn the_file_of_an_ecs_host_works_as_it_is() {
    let machine = Machine {
        ecs_file: "# my host\n\
            ECS_CLUSTER=prod\n\
            ECS_INSTANCE_ATTRIBUTES={\"rack\":\"r12\",\"team\":\"a b\"}\n\
            ECS_AVAILABLE_LOGGING_DRIVERS='[\"json-file\",\"syslog\"]'\n\
            ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=3h\n\
            ECS_DISABLE_PRIVILEGED=1\n\
            ECS_ENABLE_TASK_CPU_MEM_LIMIT=False\n\
            ECS_ENGINE_AUTH_TYPE=dockercfg\n\
            ECS_ENGINE_AUTH_DATA={\"https://index.docker.io/v1/\":{\"auth\":\"aGVsbG8=\"}}\n\
            ECS_IMAGE_PULL_BEHAVIOR=prefer-cached\n\
            ECS_LOGLEVEL=crit\n\
            ECS_CLUSTER=other\n\
            ECS_AUDIT_LOGFILE=/log/audit.log\n\
            HTTP_PROXY=http://proxy:3128\n\
            AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338/\n\
            BERTH_SCHEDULER=http://a:1,http://b:2\n",
        ..Machine::default()
    };
    let config = machine.config(&[]);
    assert_eq!(config.imds_endpoint.as_deref(), Some("127.0.0.1:1338"));
    assert_eq!(config.cluster, "other", "the last line of a name decides");
    assert_eq!(config.schedulers.len(), 2);
    let attributes: Vec<_> = config
        .attributes
        .iter()
        .map(|own| (own.name.as_str(), own.value.as_str()))
        .collect();
    assert_eq!(attributes, [("rack", "r12"), ("team", "a b")]);
    assert_eq!(config.log_drivers, ["json-file", "syslog"]);
    assert_eq!((config.disable_privileged, config.task_cpu_mem_limit), (true, false));
    assert_eq!(config.retention, Duration::from_secs(3 * 3600));
    assert_eq!(config.log, "error");
    let notes: Vec<_> = config.notes.iter().map(ToString::to_string).collect();
    assert!(notes[0].starts_with("ECS_AUDIT_LOGFILE (") && notes[0].contains("ecs.config:13) changes nothing"));
    assert!(notes[1].starts_with("HTTP_PROXY (") && notes[1].ends_with("is no setting and is ignored"));
}

#[test]
fn all_that_is_wrong_is_named_with_its_place_its_value_and_the_rule() {
    let machine = Machine {
        variables: vec![("BERTH_CPU_UNITS", "many")],
        file: "\nmemory = -5\nlog = \"dbug\"\nreserved-port = [22, 70000]\n",
        ecs_file: "ECS_TASK_PIDS_LIMIT=0\n",
    };
    assert_eq!(
        machine.problems(&[
            "--scheduler",
            "a:1",
            "--stop-timeout",
            "soon",
            "--docker",
            "tcp://1.2.3.4:2375"
        ]),
        [
            "--scheduler is 'a:1', it must be a URL such as https://10.0.0.5:7700",
            "--cluster is required: the name of the cluster to join, there is no default",
            "4: reserved-port is '70000', it must be a number from 1 to 65535",
            "2: memory is '-5', it must be a number from 1 to 4294967295",
            "BERTH_CPU_UNITS is 'many', it must be a number from 1 to 4294967295",
            "1: ECS_TASK_PIDS_LIMIT is '0', it must be a number from 1 to 4194304",
            "--docker is 'tcp://1.2.3.4:2375', it must be 'unix://' and an absolute path",
            "--stop-timeout is 'soon', it must be a duration from 0s to 24h, such as 30s, 1h30m or 500ms; a bare number is of seconds",
            "3: log is 'dbug', it must be off, error, warn, info, debug, trace, or such levels of modules: info,berth_agent::link=debug",
        ]
    );
}

#[test]
fn what_no_setting_is_is_an_error_that_suggests_the_nearest() {
    let machine = Machine {
        variables: vec![
            ("BERTH_CLUTSER", "a"),
            ("ECS_RESERVED_MEMROY", "1"),
            ("BERTH_LISTEN", "of the scheduler"),
        ],
        file: "clutser = \"prod\"\n[table]\nx = 1\n",
        ecs_file: "ECS_CLUSTR=prod\n",
    };
    assert_eq!(
        machine.problems(&GIVEN),
        [
            "BERTH_CLUTSER is no setting of the agent; did you mean BERTH_CLUSTER?",
            "ECS_RESERVED_MEMROY is no setting of the agent; did you mean ECS_RESERVED_MEMORY?",
            "1: clutser is no setting of the agent; did you mean cluster?",
            "2: table is no setting of the agent",
            "1: ECS_CLUSTR is no setting of the agent; did you mean ECS_CLUSTER?",
        ]
    );
    for (file, says) in [("memory = [[1]]", "1: memory must be a string"), ("memory = \n", "1: ")] {
        let machine = Machine {
            file,
            ..Machine::default()
        };
        assert!(machine.problems(&GIVEN)[0].starts_with(says), "{file}");
    }
}

#[test]
fn a_join_token_has_no_flag_and_is_shown_nowhere() {
    let machine = Machine {
        file: "join-token = \"berth1.hunter2\"\n",
        ..Machine::default()
    };
    let report = machine.report(&GIVEN);
    assert!(
        report.contains("(set, not shown)") && !report.contains("hunter2"),
        "{report}"
    );
    let flag = machine.invoke(&[&GIVEN[..], &["--join-token", "berth1.hunter2"]].concat());
    assert!(matches!(flag, Err(ConfigError::Arguments(_))));
}

#[test]
fn schedulers_are_all_spoken_with_over_tls_or_none_is() {
    let problems = Machine::default().problems(&["--cluster", "prod", "--scheduler", "https://a:7700,http://b:7700"]);
    assert_eq!(problems, ["scheduler must all begin with https:// where one does"]);
}

#[test]
fn a_secret_is_shown_nowhere() {
    let machine = Machine {
        ecs_file: "ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={\"secret\":1}\n",
        ..Machine::default()
    };
    let report = machine.report(&GIVEN);
    assert!(
        report.contains("(set, not shown)") && !report.contains("secret\""),
        "{report}"
    );
}

#[test]
fn the_check_says_what_holds_and_where_it_is_from() {
    let machine = Machine {
        variables: vec![("ECS_RESERVED_MEMORY", "100")],
        file: "# mine\nstop-timeout = 5\n",
        ecs_file: "ECS_LOGFILE=/x\n",
    };
    let report = machine.report(&GIVEN);
    let row = |name: &str| {
        report
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap()
    };
    let cells = |name: &str| {
        row(name)
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(cells("cluster"), ["cluster", "prod", "flag"]);
    assert_eq!(
        cells("reserved-memory"),
        ["reserved-memory", "100", "variable ECS_RESERVED_MEMORY"]
    );
    assert_eq!(cells("state-dir"), ["state-dir", "/var/lib/berth-agent", "default"]);
    assert_eq!(cells("memory"), ["memory", "(the host's less the reserve)", "default"]);
    assert!(row("stop-timeout").ends_with("agent.toml:2"), "{report}");
    assert!(report.contains("\nnote: ECS_LOGFILE ("), "{report}");
    assert_eq!(report.lines().count(), SETTINGS.len() + 1);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let machine = Machine::default();
    let problems = machine.problems(&[&GIVEN[..], &["--config", "/nowhere/agent.toml"]].concat());
    assert!(
        problems[0].starts_with(": No such file") || problems[0].contains("/nowhere/agent.toml"),
        "{problems:?}"
    );
    let nowhere = [Path::new("/nowhere/agent.toml"), Path::new("/nowhere/ecs.config")];
    let arguments = ["berth-agent"].iter().chain(&GIVEN).map(OsString::from);
    assert!(Invocation::of(arguments, Vec::new(), nowhere).is_ok());
}

#[test]
fn watermarks_go_up() {
    let machine = Machine {
        file: "disk-low-percent = 85\n",
        ..Machine::default()
    };
    assert!(machine.problems(&GIVEN)[0].contains("are 85, 80 and 90"));
}

#[test]
fn a_cluster_may_be_named_by_its_arn() {
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/prod";
    let config = Machine::default().config(&["--scheduler", "http://a:1", "--cluster", arn]);
    assert_eq!((config.cluster.as_str(), config.cluster_name()), (arn, "prod"));
}

#[test]
fn the_command_line_is_one_that_clap_takes() {
    command().debug_assert();
}

#[test]
fn every_setting_is_in_the_documentation() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/agent-configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = SETTINGS.iter().map(row);
    let missing: Vec<_> = rows.filter(|row| !text.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "it lacks these rows:\n{}", missing.join("\n"));
}

/// The settings file that is shipped.
fn shipped() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging/agent.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_setting_is_in_the_settings_file_with_its_default() {
    let text = shipped();
    let lines: Vec<&str> = text.lines().collect();
    let has = |pair: &[&str], setting: &setting::Setting| {
        let begin = format!("# {} = ", setting.name);
        let shown = pair[1].strip_prefix(&begin);
        // A list of texts, a list of numbers, a text or a number.
        let values = shown.map(|shown| shown.replace(['[', ']', '"', ' '], ""));
        match setting.default {
            Default::Values(default) => pair[0] == help(setting) && values == Some(default.join(",")),
            Default::Required(_) => pair[0] == help(setting) && values.is_some(),
            Default::None(meaning) => {
                pair[0] == format!("{}. Without it: {meaning}", help(setting)) && values.is_some()
            }
        }
    };
    let missing: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| !lines.windows(2).any(|pair| has(pair, setting)))
        .map(|setting| format!("{} ({:?})", setting.name, setting.default))
        .collect();
    assert!(missing.is_empty(), "it lacks:\n{}", missing.join("\n"));
    let shown = lines.iter().filter(|line| line.contains(" = ")).count();
    assert_eq!(shown, SETTINGS.len(), "it has settings that there are not");
}

fn help(setting: &setting::Setting) -> String {
    format!("# {}", setting.help.trim())
}

#[test]
fn the_settings_file_changes_nothing_and_every_line_of_it_can_be_uncommented() {
    let as_it_is = toml::from_str::<toml::Table>(&shipped()).unwrap();
    assert!(as_it_is.is_empty(), "{as_it_is}");
    let text = shipped();
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    for line in lines.iter().filter(|line| line.contains(" = ")) {
        // These two go together.
        let pair = lines.iter().filter(|line| line.starts_with("registry-auth-"));
        let uncommented = match line.starts_with("registry-auth-") {
            true => pair.copied().collect::<Vec<_>>().join("\n"),
            false => (*line).to_owned(),
        };
        let machine = Machine {
            // As long as the test's process.
            file: String::leak(uncommented),
            ..Machine::default()
        };
        machine.config(&GIVEN);
    }
}

/// The row of a setting in the documentation.
fn row(setting: &setting::Setting) -> String {
    let default = match setting.default {
        Default::Required(_) => "required".to_owned(),
        Default::Values(values) => format!("`{}`", values.join(",")),
        Default::None(meaning) => meaning.to_owned(),
    };
    let ecs = setting.ecs.map(|ecs| format!("`{}`", ecs.variable)).unwrap_or_default();
    format!("| `{}` | {default} | {ecs} | {} |", setting.name, setting.help.trim())
}

#[test]
fn draining_takes_the_directory_of_the_settings() {
    let machine = Machine {
        file: "state-dir = \"/state\"\n",
        ..Machine::default()
    };
    let drain = |flags: &[&str]| {
        let Invocation::Drain(drain) = machine.invoke(flags).unwrap() else {
            panic!("it does not drain");
        };
        (drain.state_dir, drain.within)
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(drain(&["drain"]), ("/state".into(), seconds(120)));
    assert_eq!(
        drain(&["--state-dir", "/own", "drain", "--deadline", "5m"]),
        ("/own".into(), seconds(300))
    );
    assert_eq!(drain(&["drain", "--cancel"]), ("/state".into(), None));
    assert_eq!(
        machine.problems(&["drain", "--deadline", "soon"])[0]
            .split(", it")
            .next(),
        Some("--deadline is 'soon'")
    );
}
