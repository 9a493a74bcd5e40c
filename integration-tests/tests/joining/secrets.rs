//! Secrets of every kind are planted in a cluster that does all it can with them, and then looked for where none may be: in logs,
//! records of the journal and of agents, labels, command lines and the archive for whoever is asked for help.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::docker::NAME_LABEL;
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::Registry;
use berth_integration_tests::{Seen, TestBed, command, wait_until};
use serde_json::{Value, json};

use super::place::{CALL, CLUSTER, Place};

/// Between two looks at what runs on the machine.
const GLANCE: Duration = Duration::from_millis(10);
/// What is not secret and has to be found wherever secrets are looked for, or the looking is worth nothing.
const FAMILY: &str = "planted-family";
const ENVIRONMENT: &str = "planted-in-the-environment";
const ENVIRONMENT_FILE: &str = "planted-in-an-environment-file";
const SECRET: &str = "planted-in-a-secret";
const MEMBER: &str = "planted-in-a-member-of-a-secret";
const LOG_OPTION: &str = "planted-in-an-option-of-the-log";
const REGISTRY: &str = "planted-for-a-registry";
/// `ada:` and that, in base64.
const LOGIN: &str = "YWRhOnBsYW50ZWQtZm9yLWEtcmVnaXN0cnk=";
const WRONG: &str = "planted-and-wrong-for-a-registry";
const ROLE: &str = "planted-in-the-secret-of-a-role";
const ROLE_TOKEN: &str = "planted-in-the-token-of-a-role";
const EVENTS: &str = "planted-in-the-url-of-a-webhook";
/// Of everything that daemons can say.
const EVERYTHING: (&str, &str) = ("BERTH_LOG", "trace");

/// A secret, and the files that are there to hold it.
struct Planted {
    text: String,
    home: Vec<PathBuf>,
}

impl Planted {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            home: Vec::new(),
        }
    }

    /// The longest line of a file that is secret as a whole.
    fn file(path: PathBuf) -> Result<Self> {
        let content = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let longest = content.lines().max_by_key(|line| line.len()).unwrap_or_default();
        Ok(Self {
            text: longest.to_owned(),
            home: vec![path],
        })
    }
}

/// All command lines that are seen on the machine while it watches.
struct CommandLines {
    ended: Arc<AtomicBool>,
    watching: JoinHandle<BTreeSet<Vec<u8>>>,
}

impl CommandLines {
    fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        let watching = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
                seen.extend(processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()));
                sleep(GLANCE);
            }
            seen
        });
        Self { ended, watching }
    }

    fn seen(self) -> Result<Vec<u8>> {
        self.ended.store(true, Ordering::Relaxed);
        let seen = self.watching.join().map_err(|_| anyhow!("the watch ended early"))?;
        Ok(seen.into_iter().collect::<Vec<_>>().join(&b'\n'))
    }
}

/// Where secrets may not be: names, and what is there.
#[derive(Default)]
struct Places(Vec<(PathBuf, Vec<u8>)>);

impl Places {
    fn add(&mut self, name: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.push((name.into(), content.into()));
    }

    /// All files below the directory.
    fn add_directory(&mut self, directory: &Path) -> Result<()> {
        for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_directory(&path)?;
            } else if let Ok(content) = fs::read(&path) {
                self.add(path, content);
            }
        }
        Ok(())
    }

    fn with(&self, text: &str) -> impl Iterator<Item = &Path> {
        let has = move |content: &[u8]| content.windows(text.len()).any(|part| part == text.as_bytes());
        let found = self.0.iter().filter(move |(_, content)| has(content));
        found.map(|(name, _)| name.as_path())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("no parent")?)?;
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// Puts onto the host what an agent is to know, in files; returns its settings.
fn sow(bed: &TestBed, by_config: &Registry) -> Result<Settings> {
    let files = bed.data_dir("planted");
    write(&files.join("secrets/whole"), &format!("{SECRET}\n"))?;
    write(&files.join("secrets/object"), &json!({"member": MEMBER}).to_string())?;
    write(&files.join("secrets/option"), LOG_OPTION)?;
    let login = |password: &str| json!({"username": "ada", "password": password}).to_string();
    write(&files.join("secrets/registry"), &login(REGISTRY))?;
    write(&files.join("secrets/wrong"), &login(WRONG))?;
    write(
        &files.join("environment/bucket/app.env"),
        &format!("FROM_A_FILE={ENVIRONMENT_FILE}\n"),
    )?;
    let mut config = json!({"auths": {}});
    config["auths"][by_config.host()] = json!({"auth": LOGIN});
    write(&files.join("config.json"), &config.to_string())?;
    let provider = files.join("provider");
    let credentials = json!({
        "Version": 1, "AccessKeyId": "AKIAPLANTED", "SecretAccessKey": ROLE, "SessionToken": ROLE_TOKEN,
    });
    write(&provider, &format!("#!/bin/sh\necho '{credentials}'\n"))?;
    fs::set_permissions(&provider, fs::Permissions::from_mode(0o755))?;
    let path = |name: &str| files.join(name).display().to_string();
    let (secrets, environment, config, provider) = (
        path("secrets"),
        path("environment"),
        path("config.json"),
        path("provider"),
    );
    Ok(Settings::with_arguments(&[
        "--secrets-dir",
        &secrets,
        "--environment-files-dir",
        &environment,
        "--docker-config",
        &config,
        "--credentials-command",
        &provider,
    ]))
}

fn definition(by_config: &Registry, by_task: &Registry, credentials: &str) -> Value {
    let secret = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-AbCdEf");
    let ask =
        r#"wget -qO- "http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" && echo ready; exec sleep 600"#;
    json!({
        "family": FAMILY,
        "taskRoleArn": "arn:aws:iam::000000000000:role/planted",
        "containerDefinitions": [{
            "name": "app",
            "image": "busybox",
            "memory": 32,
            "command": ["sh", "-c", ask],
            "environment": [{"name": "DATABASE_PASSWORD", "value": ENVIRONMENT}],
            "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::bucket/app.env"}],
            "secrets": [
                {"name": "WHOLE", "valueFrom": secret("whole")},
                {"name": "MEMBER", "valueFrom": format!("{}:member::", secret("object"))},
            ],
            "logConfiguration": {
                "logDriver": "json-file",
                "secretOptions": [{"name": "tag", "valueFrom": secret("option")}],
            },
        }, {
            "name": "by-config",
            "image": by_config.name("app:1"),
            "memory": 16,
            "essential": false,
            "command": ["true"],
        }, {
            "name": "by-task",
            "image": by_task.name(&format!("{credentials}:1")),
            "memory": 16,
            "essential": false,
            "command": ["true"],
            "repositoryCredentials": {"credentialsParameter": secret(credentials)},
        }],
    })
}

impl Place<'_> {
    /// The operator's command line, given an access key.
    fn client_as(&self, key: &Value) -> Result<Command> {
        let mut berth = self.client()?;
        for (variable, member) in [
            ("AWS_ACCESS_KEY_ID", "accessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "secretAccessKey"),
            ("AWS_SESSION_TOKEN", "sessionToken"),
        ] {
            if let Some(value) = member_of(key, member) {
                berth.env(variable, value);
            }
        }
        Ok(berth)
    }

    fn register(&self, bed: &TestBed, definition: &Value) -> Result<()> {
        let file = bed.data_dir("definition.json");
        fs::write(&file, definition.to_string())?;
        self.berth(&["task-definitions", "register", &file.display().to_string()])?;
        Ok(())
    }
}

/// The member of an answer, wherever in it.
fn member_of<'v>(answer: &'v Value, name: &str) -> Option<&'v str> {
    match answer {
        Value::Object(members) => members
            .get(name)
            .and_then(Value::as_str)
            .or_else(|| members.values().find_map(|value| member_of(value, name))),
        Value::Array(items) => items.iter().find_map(|value| member_of(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn must_have(answer: &Value, name: &str) -> Result<String> {
    let found = member_of(answer, name).map(str::to_owned);
    found.with_context(|| format!("no {name} in {answer}"))
}

fn secret_of(token: &str) -> Result<Planted> {
    let secret = token.trim().split('.').nth(2).context("a token has four parts")?;
    Ok(Planted::new(secret))
}

#[test]
fn no_secret_is_in_a_log_a_record_a_label_a_command_line_or_a_support_bundle() -> Result<()> {
    TestBed::with("joining-secrets", &["a", "b"], |bed| {
        let watch = CommandLines::watch();
        let variable = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let host = bed.host("a")?;
        let (by_config, by_task) = (Registry::start(host, Some(LOGIN))?, Registry::start(host, Some(LOGIN))?);
        let image = pullable(FAMILY, 0)?;
        by_config.put("app:1", &image);
        by_task.put("registry:1", &image);
        by_task.put("wrong:1", &image);

        // A scheduler whose webhook nobody answers, and two agents that say all there is to say.
        let hook = format!("http://127.0.0.1:9/hooks/{EVENTS}");
        let place = Place::start_guarded(
            bed,
            [EVERYTHING, ("BERTH_EVENTS_WEBHOOK", &hook)].map(variable).to_vec(),
        )?;
        let token = place.berth(&["tokens", "create"])?;
        let token_file = bed.data_dir("token");
        fs::write(&token_file, &token)?;
        let figures = format!("{}:51680", host.address());
        let mut settings = sow(bed, &by_config)?;
        let told = [
            "--join-token-file",
            &token_file.display().to_string(),
            "--metrics-address",
            &figures,
        ];
        settings.arguments.extend(told.map(str::to_owned));
        settings.environment.push(variable(EVERYTHING));
        let _agent = place.start_agent_set("a", settings)?;
        let other_token = place.berth(&["tokens", "create"])?;
        let settings = Settings {
            environment: [EVERYTHING, ("BERTH_JOIN_TOKEN", other_token.trim())]
                .map(variable)
                .to_vec(),
            ..Settings::default()
        };
        let _other = place.start_agent_set("b", settings)?;
        place.wait_connected(2)?;

        // An operator with an access key, a session of it and a certificate.
        let key = place.ask(&["access-keys", "create", "ops", "--admin"])?;
        let session = command::run(
            place
                .client_as(&key)?
                .args(["access-keys", "session", "--output", "json"]),
            CALL,
        )?;
        let session: Value = serde_json::from_str(&session)?;
        let certificate = bed.data_dir("certificate");
        let mut certify = place.client_as(&session)?;
        certify.args([
            "access-keys",
            "certificate",
            &must_have(&key, "accessKeyId")?,
            "--directory",
        ]);
        command::run(certify.arg(&certificate), CALL)?;
        let mut liar = session.clone();
        liar["secretAccessKey"] = json!("planted-and-wrong");
        let refused = command::output(place.client_as(&liar)?.args(["clusters", "list"]), CALL)?;
        ensure!(!refused.status.success(), "a wrong secret lets in");

        // A task with secrets of every kind, one that is refused for them, and a command in the first.
        let on_a = ["--constraint", "attribute:host == a"];
        place.register(bed, &definition(&by_config, &by_task, "registry"))?;
        place.berth(&[&["run", FAMILY, "--wait", "--enable-execute-command"][..], &on_a].concat())?;
        let task = must_have(&place.ask(&["ps"])?, "taskArn")?;
        let engine = host.engine();
        wait_until("the task has the credentials of its role", SOON, || {
            let containers = engine.task_containers(&task)?;
            let app = containers.iter().find(|container| container.label(NAME_LABEL) == "app");
            let printed = engine.logs(app.context("no container 'app'")?.id())?;
            let has_all = printed.contains(ROLE) && printed.contains(ROLE_TOKEN) && printed.contains("ready");
            Ok(Seen::when(has_all, || printed))
        })?;
        place.register(bed, &definition(&by_config, &by_task, "wrong"))?;
        let _refused = command::output(place.client_as(&key)?.args(["run", FAMILY, "--wait"]).args(on_a), CALL)?;
        let refused = wait_until("a task is refused by the registry", SOON, || {
            let ended = place.ask(&["ps", "--all"])?;
            let ended = ended.to_string();
            Ok(match ended.contains("CannotPullContainerError") {
                true => Seen::Done(ended),
                false => Seen::NotYet(ended),
            })
        })?;
        let aws = place
            .aws()?
            .signing_with(&must_have(&key, "accessKeyId")?, &must_have(&key, "secretAccessKey")?);
        let opened = aws.boto3(&format!(
            "answer = ecs.execute_command(cluster='{CLUSTER}', task='{task}', container='app', command='true', interactive=True)
print(json.dumps(answer['session']))"
        ))?;
        let opened: Value = serde_json::from_str(&opened)?;

        // All that was planted, each with the file that is there for it.
        let file = bed.data_dir("bundle.tar.gz");
        let mut bundle = place.client_as(&session)?;
        bundle.args(["support-bundle", &file.display().to_string(), "--agent", &figures]);
        command::run(bundle.args(["--docker", &engine.url()]), CALL)?;
        let mut tar = Command::new("tar");
        let bundle = command::run(tar.args(["-xzOf"]).arg(&file), CALL)?;
        let state = host.state_dir(CLUSTER);
        let mut planted = vec![
            secret_of(&token)?,
            secret_of(&other_token)?,
            Planted::file(place.data.join("ca.key"))?,
            Planted::file(place.data.join("master.key"))?,
            Planted::file(state.join("tls/key.pem"))?,
            Planted::file(certificate.join("key.pem"))?,
            Planted::new(&must_have(&key, "secretAccessKey")?),
            Planted::new(&must_have(&session, "secretAccessKey")?),
            Planted::new(&must_have(&session, "sessionToken")?),
            Planted::new(&must_have(&opened, "tokenValue")?),
            Planted::new("planted-and-wrong"),
        ];
        planted.extend(
            [
                ENVIRONMENT_FILE,
                SECRET,
                MEMBER,
                LOG_OPTION,
                REGISTRY,
                LOGIN,
                WRONG,
                ROLE,
                ROLE_TOKEN,
                EVENTS,
            ]
            .map(Planted::new),
        );

        let mut told = Places::default();
        told.add("support bundle", bundle);
        told.add("command lines", watch.seen()?);
        told.add("stopped tasks", refused);
        told.add_directory(&bed.lane().log_dir())?;
        for container in engine.containers("")? {
            let name = format!("labels of {}", container.id());
            told.add(name, container.inspect["Config"]["Labels"].to_string());
        }
        let mut kept = Places::default();
        kept.add_directory(&place.data)?;
        kept.add_directory(&state)?;
        kept.add_directory(&bed.host("b")?.state_dir(CLUSTER))?;

        // What a definition says openly is kept, for it is given back; nobody else is told it.
        ensure!(kept.with(ENVIRONMENT).count() > 0, "records cannot be searched");
        if let Some(found) = told.with(ENVIRONMENT).next() {
            bail!("{}: {ENVIRONMENT}", found.display());
        }
        for secret in &planted {
            ensure!(secret.text.len() >= 15, "'{}' could be anything", secret.text);
            for found in told.with(&secret.text).chain(kept.with(&secret.text)) {
                ensure!(
                    secret.home.iter().any(|home| home == found),
                    "{}: {}",
                    found.display(),
                    secret.text
                );
            }
        }
        for (name, expected) in [
            ("support bundle", FAMILY),
            ("stopped tasks", FAMILY),
            ("labels of", FAMILY),
            ("a-agent.log", "wrong:1"),
            ("journal.redb", FAMILY),
            ("berth-scheduler.log", "webhook does not take events"),
            ("command lines", "--data-dir"),
        ] {
            let mut found = told.with(expected).chain(kept.with(expected));
            ensure!(
                found.any(|found| found.to_string_lossy().contains(name)),
                "{name} has no '{expected}': secrets would not be found there either"
            );
        }
        Ok(())
    })
}
