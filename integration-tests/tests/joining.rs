//! Hosts that join by token: a real agent on a host of a bed, a scheduler that speaks TLS, and the command line between them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::{Agent, Options, Settings};
use berth_integration_tests::aws::Aws;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::daemon::{Daemon, Spec};
use berth_integration_tests::ecs::Ecs;
use berth_integration_tests::{Seen, TestBed, binaries, command, wait_until};
use serde_json::{Value, json};

const CLUSTER: &str = "joining";
const CALL: Duration = Duration::from_secs(60);

/// A scheduler that speaks TLS on a host, and the operator's command line.
struct Place<'b> {
    bed: &'b TestBed,
    _scheduler: Daemon,
    data: PathBuf,
    url: String,
}

impl<'b> Place<'b> {
    fn start(bed: &'b TestBed) -> Result<Self> {
        let host = bed.host("a")?;
        let address = format!("{}:7700", host.address());
        let data = bed.data_dir("scheduler");
        std::fs::create_dir_all(&data)?;
        let args = ["--listen", &address, "--auth", "off", "--data-dir"];
        let scheduler = Daemon::start(Spec {
            name: "berth-scheduler".to_owned(),
            namespace: host.link().namespace().to_owned(),
            program: binaries::path("berth-scheduler")?,
            args: args.iter().map(OsString::from).chain([data.clone().into()]).collect(),
            environment: Vec::new(),
            log: bed.lane().log_dir().join("berth-scheduler.log"),
        })?;
        let place = Self {
            bed,
            _scheduler: scheduler,
            data,
            url: format!("https://{address}"),
        };
        wait_until("the scheduler makes a cluster", SOON, || {
            place.berth(&["clusters", "create", CLUSTER]).map(Seen::Done)
        })?;
        Ok(place)
    }

    /// What the command line prints.
    fn berth(&self, arguments: &[&str]) -> Result<String> {
        let mut berth = Command::new(binaries::path("berth")?);
        berth.args(["--scheduler", &self.url, "--cluster", CLUSTER, "--ca"]);
        berth.arg(self.data.join("ca.pem")).args(arguments);
        command::run(&mut berth, CALL)
    }

    /// What `berth doctor` ends with and finds.
    fn doctor(&self, scheduler: &str, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let mut doctor = Command::new(binaries::path("berth")?);
        doctor.args([
            "--scheduler",
            scheduler,
            "--cluster",
            CLUSTER,
            "--output",
            "json",
            "--ca",
        ]);
        doctor.arg(self.data.join("ca.pem")).arg("doctor").args(arguments);
        let output = command::output(&mut doctor, CALL)?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok((output.status.code(), report))
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.berth(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// What the AWS CLI shows of a command in the task, over TLS all the way.
    fn execute(&self, task: &str, line: &str) -> Result<String> {
        let authority = self.data.join("ca.pem").display().to_string();
        let address = self.url.trim_start_matches("https://").parse()?;
        let aws = Aws::new(&Ecs::new(address))?
            .with_variable("AWS_CA_BUNDLE", &authority)
            .with_variable("SSL_CERT_FILE", &authority);
        let mut cli = aws.interactive("aws")?;
        cli.args([
            "ecs",
            "--endpoint-url",
            &self.url,
            "execute-command",
            "--cluster",
            CLUSTER,
        ]);
        cli.args(["--task", task, "--interactive", "--command", line]);
        command::run(&mut cli, CALL)
    }

    /// An agent that finds its token in a file.
    fn start_agent(&self, host: &str, token: &str, arguments: &[&str]) -> Result<Agent> {
        let file = self.bed.data_dir(&format!("token-{host}"));
        std::fs::write(&file, token)?;
        let file = file.display().to_string();
        self.start_agent_with(host, &[&["--join-token-file", file.as_str()][..], arguments].concat())
    }

    fn start_agent_with(&self, host: &str, arguments: &[&str]) -> Result<Agent> {
        self.bed.host(host)?.start_agent(&Options {
            scheduler: self.url.clone(),
            cluster: CLUSTER.to_owned(),
            settings: Settings {
                attributes: vec![("host".to_owned(), host.to_owned())],
                ..Settings::with_arguments(arguments)
            },
        })
    }

    /// Waits until as many instances are connected; their ARNs.
    fn wait_connected(&self, count: usize) -> Result<Vec<String>> {
        wait_until("instances are connected", SOON, || {
            let answer = self.ask(&["instances"])?;
            let found = answer["containerInstances"].as_array().cloned().unwrap_or_default();
            let connected = found.iter().filter(|instance| instance["agentConnected"] == true);
            let arns: Vec<String> = connected
                .filter_map(|instance| instance["containerInstanceArn"].as_str().map(str::to_owned))
                .collect();
            Ok(match arns.len() == count {
                true => Seen::Done(arns),
                false => Seen::NotYet(answer.to_string()),
            })
        })
    }

    fn log_of(&self, name: &str) -> Result<String> {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.bed.lane().log_dir())? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|file| file.to_string_lossy().contains(name))
            {
                all.push_str(&std::fs::read_to_string(&path)?);
            }
        }
        Ok(all)
    }

    fn says(&self, log: &str, words: &str) -> Result<()> {
        wait_until(&format!("the log of {log} says '{words}'"), SOON, || {
            let said = self.log_of(log)?;
            Ok(Seen::when(said.contains(words), || said))
        })
    }
}

#[test]
fn a_host_joins_by_token_runs_a_task_and_is_the_same_after_a_restart_and_one_with_a_revoked_token_is_refused()
-> Result<()> {
    TestBed::with("joining", &["a", "b"], |bed| {
        let place = Place::start(bed)?;
        let token = place.berth(&["tokens", "create"])?.trim().to_owned();
        let secret = token.split('.').nth(2).context("a token has four parts")?.to_owned();
        let mut agent = place.start_agent("a", &token, &[])?;
        let joined = place.wait_connected(1)?;

        let definition = bed.data_dir("sleeper.json");
        let container = json!({"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]});
        std::fs::write(
            &definition,
            json!({"family": "sleeper", "containerDefinitions": [container]}).to_string(),
        )?;
        place.berth(&["task-definitions", "register", &definition.display().to_string()])?;
        place.berth(&["run", "sleeper", "--wait", "--enable-execute-command"])?;
        let running = place.ask(&["ps"])?;
        let task = running["tasks"][0]["taskArn"].as_str().context("no task runs")?;
        let shown = place.execute(task, "sh -c 'echo $((6 * 7)) apples'")?;
        ensure!(shown.contains("42 apples"), "{shown}");

        // It starts again, after a kill, with the token still there: nobody asks for that, and it is who it was.
        agent.daemon().kill()?;
        agent.daemon().start_again()?;
        wait_until("the agent has joined the cluster again", SOON, || {
            let joins = place.log_of("agent")?.matches("joined the cluster").count();
            Ok(Seen::when(joins >= 2, || format!("{joins} times")))
        })?;
        ensure!(place.wait_connected(1)? == joined);
        ensure!(place.log_of("scheduler")?.matches("member joined").count() == 1);
        let running = place.ask(&["ps"])?;
        ensure!(running["tasks"][0]["lastStatus"] == "RUNNING", "{running}");

        // Another host has a token that the operator took back.
        let revoked = place.berth(&["tokens", "create"])?;
        let id = revoked.split('.').nth(1).context("a token has four parts")?;
        place.berth(&["tokens", "revoke", id])?;
        let other = place.start_agent("b", &revoked, &[])?;
        place.says("scheduler", "was revoked")?;
        place.says("agent", "this host cannot join the cluster")?;
        ensure!(place.wait_connected(1)? == joined);
        drop(other);

        // Its next agent asks a command for one, which has none yet.
        let parameter = bed.data_dir("parameter");
        let command = format!("cat {}", parameter.display());
        let _asking = place.start_agent_with("b", &["--join-token-command", &command])?;
        place.says("agent", "ask join-token-command for the join token: exit status: 1")?;
        std::fs::write(&parameter, place.berth(&["tokens", "create"])?)?;
        place.wait_connected(2)?;

        // Nothing that is secret of a token is in what was written or is shown of processes, or in Docker's labels.
        ensure!(!place.log_of("")?.contains(&secret), "a log has the secret");
        for process in std::fs::read_dir("/proc")? {
            let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
            ensure!(
                !String::from_utf8_lossy(&line).contains(&secret),
                "a command line has the secret"
            );
        }
        for container in bed.host("a")?.engine().containers("")? {
            ensure!(
                !container.inspect.to_string().contains(&secret),
                "a container has the secret"
            );
        }
        let kept = [place.data.as_path(), &bed.host("a")?.state_dir(CLUSTER)];
        ensure!(
            !kept.iter().any(|directory| has(directory, secret.as_bytes())),
            "a file has the secret"
        );
        Ok(())
    })
}

/// The findings of the verdict on the subject.
fn findings(report: &Value, subject: &str, verdict: &str) -> Vec<String> {
    let all = report["findings"].as_array().into_iter().flatten();
    let of = all.filter(|finding| finding["subject"] == subject && finding["verdict"] == verdict);
    of.map(|finding| format!("{} {}", finding["finding"], finding["advice"]))
        .collect()
}

#[test]
fn berth_doctor_and_a_support_bundle_look_at_a_cluster_over_tls_and_no_secret_of_it_is_in_the_bundle() -> Result<()> {
    TestBed::with("joining-doctor", &["a", "b"], |bed| {
        let place = Place::start(bed)?;
        let token = place.berth(&["tokens", "create", "--uses", "2"])?.trim().to_owned();
        let figures = |host: &str| anyhow::Ok(format!("{}:51680", bed.host(host)?.address()));
        let (agent_a, agent_b) = (figures("a")?, figures("b")?);
        let _agent = place.start_agent("a", &token, &["--metrics-address", &agent_a])?;
        place.wait_connected(1)?;

        // All is well, and the certificates of all three are seen.
        let (code, report) = place.doctor(&place.url, &["cluster"])?;
        ensure!(code == Some(0) && report["problems"] == 0, "{report:#}");
        let seen = findings(&report, "certificates", "OK").concat();
        for whose in ["The scheduler's certificate", "the cluster's authority"] {
            ensure!(seen.contains(whose), "{whose}: {report:#}");
        }
        ensure!(findings(&report, "members", "OK").len() == 1, "{report:#}");
        ensure!(findings(&report, "clock", "OK").len() == 1, "{report:#}");
        let docker = bed.host("a")?.engine().url();
        let (_, report) = place.doctor(&place.url, &["host", "--docker", &docker, "--agent", &agent_a])?;
        let seen = findings(&report, "certificates", "OK").concat();
        ensure!(seen.contains("The agent's certificate is good until"), "{report:#}");

        // A host that may not join is told why, and what helps.
        let revoked = place.berth(&["tokens", "create"])?;
        let id = revoked.split('.').nth(1).context("a token has four parts")?;
        place.berth(&["tokens", "revoke", id])?;
        let _other = place.start_agent("b", &revoked, &["--metrics-address", &agent_b])?;
        let docker = bed.host("b")?.engine().url();
        wait_until("it is said why host b has not joined", SOON, || {
            let (code, report) = place.doctor(&place.url, &["host", "--docker", &docker, "--agent", &agent_b])?;
            let found = findings(&report, "agent", "PROBLEM").concat();
            let said = found.contains(id) && found.contains("was revoked") && found.contains("berth tokens create");
            Ok(Seen::when(said && code == Some(1), || format!("{report:#}")))
        })?;

        // Whoever speaks in the clear, or believes somebody else, is told that.
        let (code, report) = place.doctor(&place.url.replace("https://", "http://"), &["cluster"])?;
        let found = findings(&report, "scheduler", "PROBLEM").concat();
        ensure!(code == Some(1) && found.contains("https://"), "{report:#}");

        let key = place.ask(&["access-keys", "create", "ops", "--admin"])?;
        let [access_key, secret] = ["accessKeyId", "secretAccessKey"].map(|name| {
            let found = key.pointer(&format!("/accessKey/{name}")).or_else(|| key.get(name));
            found.and_then(Value::as_str).map(str::to_owned)
        });
        let access_key = access_key.with_context(|| key.to_string())?;
        let secret = secret.with_context(|| key.to_string())?;
        let definition = bed.data_dir("planted.json");
        let environment = json!([{"name": "DATABASE_PASSWORD", "value": "planted-in-the-environment"}]);
        let container = json!({
            "name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"], "environment": environment,
        });
        let family = json!({"family": "planted", "containerDefinitions": [container]});
        std::fs::write(&definition, family.to_string())?;
        place.berth(&["task-definitions", "register", &definition.display().to_string()])?;
        place.berth(&["run", "planted", "--wait"])?;

        let file = bed.data_dir("bundle.tar.gz");
        let mut bundle = Command::new(binaries::path("berth")?);
        bundle
            .args(["--scheduler", &place.url, "--cluster", CLUSTER, "--ca"])
            .arg(place.data.join("ca.pem"))
            .args([
                "support-bundle",
                &file.display().to_string(),
                "--docker",
                &bed.host("a")?.engine().url(),
            ])
            .args(["--agent", &agent_a])
            .env("AWS_ACCESS_KEY_ID", &access_key)
            .env("AWS_SECRET_ACCESS_KEY", &secret);
        command::run(&mut bundle, CALL)?;
        let mut tar = Command::new("tar");
        let text = command::run(
            tar.args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(&file),
            CALL,
        )?;
        for expected in [
            "\"tokenId\"",
            "\"DATABASE_PASSWORD\"",
            "berth_journal_revision",
            "berth_certificate_end_timestamp_seconds{certificate=\"own\"}",
            "berth_agent_connected 1",
        ] {
            ensure!(text.contains(expected), "{expected} is not in it:\n{text}");
        }
        let read = |path: PathBuf| std::fs::read_to_string(&path).with_context(|| path.display().to_string());
        let private = read(place.data.join("ca.key"))?;
        let own = read(bed.host("a")?.state_dir(CLUSTER).join("tls/key.pem"))?;
        let master = read(place.data.join("master.key"))?;
        let of_key = |pem: &str| pem.lines().nth(1).map(str::to_owned).context("a key has lines");
        let secrets = [
            token.split('.').nth(2).context("a token has four parts")?.to_owned(),
            revoked.split('.').nth(2).context("a token has four parts")?.to_owned(),
            "planted-in-the-environment".to_owned(),
            access_key,
            secret,
            of_key(&private)?,
            of_key(&own)?,
            master
                .split_whitespace()
                .max_by_key(|word| word.len())
                .unwrap_or_default()
                .to_owned(),
        ];
        for (nth, secret) in secrets.iter().enumerate() {
            ensure!(
                secret.len() >= 20 && !text.contains(secret.as_str()),
                "secret {nth} is in the bundle"
            );
        }
        Ok(())
    })
}

/// Whether a file below the directory has the bytes in it.
fn has(directory: &Path, secret: &[u8]) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => has(&path, secret),
        false => std::fs::read(&path)
            .unwrap_or_default()
            .windows(secret.len())
            .any(|window| window == secret),
    })
}
