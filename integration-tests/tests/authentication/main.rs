//! Access keys as the users of the AWS CLI, of boto3 and of `berth` have them, and botocore's signatures as the oracle of ours.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::aws::Aws;
use berth_integration_tests::command::output;
use berth_integration_tests::ecs::Ecs;
use berth_integration_tests::{binaries, files};
use berth_model::time::Timestamp;
use berth_signature::secret::MasterKeys;
use berth_signature::session::Session;
use berth_signature::{HttpRequest, Presented};
use serde_json::{Value, json};

const CALL: Duration = Duration::from_secs(60);
/// Requests that botocore signs.
const SIGNED: &str = "600";

/// A scheduler process that asks who calls.
struct Scheduler {
    child: Child,
    ecs: Ecs,
    data: PathBuf,
}

impl Scheduler {
    fn start(name: &str) -> Result<Self> {
        let data = files::target_dir()?.join(format!("authentication-{name}-{}", std::process::id()));
        let mut child = Command::new(binaries::path("berth-scheduler")?)
            .args(["--listen", "127.0.0.1:0", "--auth", "required", "--data-dir"])
            .arg(&data)
            .env("BERTH_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("its log")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("serving address=")?.1.to_owned()));
        let address = address.context("the scheduler does not serve")?;
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            child,
            ecs: Ecs::new(address.parse()?),
            data,
        })
    }

    fn master_key(&self) -> PathBuf {
        self.data.join("master.key")
    }

    /// `berth`, as whoever has these variables.
    fn berth(&self, variables: &[(&str, &str)], args: &[&str]) -> Result<(bool, String, String)> {
        let mut command = Command::new(binaries::path("berth")?);
        command
            .env_clear()
            .env("BERTH_SCHEDULER", format!("http://{}", self.ecs.address()))
            .envs(variables.iter().copied())
            .args(args);
        let output = output(&mut command, CALL)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
    }

    /// The JSON of what `berth` says to whoever has the master key.
    fn as_root(&self, args: &[&str]) -> Result<Value> {
        let master = self.master_key();
        let mut all = vec![
            "--master-key-file",
            master.to_str().context("a path")?,
            "--output",
            "json",
        ];
        all.extend(args);
        let (done, out, err) = self.berth(&[], &all)?;
        ensure!(done, "berth {args:?}: {err}");
        Ok(serde_json::from_str(&out)?)
    }

    fn key(&self, args: &[&str]) -> Result<Value> {
        let made = self.as_root(&[&["access-keys", "create"], args].concat())?;
        Ok(json!({"id": made["accessKey"]["accessKeyId"], "secret": made["secretAccessKey"]}))
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
        let _removed = std::fs::remove_dir_all(&self.data);
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

/// A session that ended a second ago.
fn expired(master: &Path, of: &str) -> Result<Value> {
    let keys = MasterKeys::parse(&std::fs::read_to_string(master)?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let session = Session {
        access_key: of.to_owned(),
        id: "ASIAEXPIREDEXPIREDAA".to_owned(),
        expires: Timestamp::from_millis(i64::try_from(now.as_millis())? - 1000),
    };
    let (token, secret) = session.issue(keys.newest());
    Ok(json!({"id": session.id, "secret": secret, "token": token}))
}

#[test]
fn callers_are_let_in_or_told_why_not_in_awss_words() -> Result<()> {
    let scheduler = Scheduler::start("callers")?;
    let ops = scheduler.key(&["ops", "--admin"])?;
    let policy = scheduler.data.join("policy.json");
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["ecs:ListClusters", "ecs:DeleteCluster"], "Resource": "*"},
        {"Sid": "NoProd", "Effect": "Deny", "Action": "ecs:DeleteCluster", "Resource": "arn:aws:ecs:*:*:cluster/prod"}
    ]});
    std::fs::write(&policy, document.to_string())?;
    let ci = scheduler.key(&["ci", "--policy", policy.to_str().context("a path")?])?;
    let session = scheduler.as_root(&["access-keys", "session", text(&ops, "id"), "--duration", "5m"])?;
    let keys = json!({
        "ops": ops,
        "ci": ci,
        "session": {"id": session["accessKeyId"], "secret": session["secretAccessKey"], "token": session["sessionToken"]},
        "expired": expired(&scheduler.master_key(), text(&ops, "id"))?,
    });
    let aws = Aws::new(&scheduler.ecs)?
        .signing_with(text(&ops, "id"), text(&ops, "secret"))
        .with_variable("KEYS", &keys.to_string());
    aws.boto3(include_str!("callers.py"))?;

    // The AWS CLI.
    let clusters = aws.ecs(&["list-clusters"])?;
    ensure!(
        clusters["clusterArns"].as_array().is_some_and(|arns| arns.len() == 1),
        "{clusters}"
    );
    let targets = aws.autoscaling(&["describe-scalable-targets", "--service-namespace", "ecs"])?;
    ensure!(
        targets["ScalableTargets"].as_array().is_some_and(Vec::is_empty),
        "{targets}"
    );
    let denied = aws.signing_with(text(&ci, "id"), text(&ci, "secret"));
    let denied = denied.ecs_fails(&["delete-cluster", "--cluster", "prod"])?;
    let says =
        "(AccessDeniedException) when calling the DeleteCluster operation: User: arn:aws:iam::000000000000:user/ci";
    ensure!(
        denied.stderr.contains(says) && denied.stderr.contains("statement 'NoProd'"),
        "{}",
        denied.stderr
    );

    // `berth`, as the AWS CLI's environment has it, and as nobody.
    let variables = [
        ("AWS_ACCESS_KEY_ID", text(&ops, "id")),
        ("AWS_SECRET_ACCESS_KEY", text(&ops, "secret")),
    ];
    let (done, out, err) = scheduler.berth(&variables, &["clusters", "list"])?;
    ensure!(done && out.contains("prod"), "{out}{err}");
    let (done, _, err) = scheduler.berth(&[], &["clusters", "list"])?;
    ensure!(
        !done && err.contains("Missing Authentication Token") && err.contains("hint: "),
        "{err}"
    );
    Ok(())
}

#[test]
fn keys_are_listed_disabled_rotated_and_deleted_on_the_command_line() -> Result<()> {
    let scheduler = Scheduler::start("keys")?;
    let key = scheduler.key(&["ops", "--admin"])?;
    let id = text(&key, "id");
    let works = |key: &Value| -> Result<bool> {
        let variables = [
            ("AWS_ACCESS_KEY_ID", text(key, "id")),
            ("AWS_SECRET_ACCESS_KEY", text(key, "secret")),
        ];
        Ok(scheduler.berth(&variables, &["clusters", "list"])?.0)
    };
    ensure!(works(&key)?);
    scheduler.as_root(&["access-keys", "disable", id])?;
    ensure!(!works(&key)?, "a disabled key");
    scheduler.as_root(&["access-keys", "enable", id])?;
    ensure!(works(&key)?);
    let rotated = scheduler.as_root(&["access-keys", "rotate", id, "--grace", "1h"])?;
    let new = json!({"id": rotated["accessKey"]["accessKeyId"], "secret": rotated["secretAccessKey"]});
    ensure!(works(&key)? && works(&new)?);
    let listed = scheduler.as_root(&["access-keys", "list"])?;
    let listed = listed["accessKeys"].as_array().context("a list")?.clone();
    ensure!(
        listed.len() == 2 && listed.iter().all(|key| key["policyDocument"].is_null()),
        "{listed:?}"
    );
    let shown = scheduler.as_root(&["access-keys", "show", id])?;
    ensure!(text(&shown["accessKey"], "policyDocument").contains("Allow"), "{shown}");
    scheduler.as_root(&["access-keys", "delete", id])?;
    ensure!(!works(&key)? && works(&new)?);
    Ok(())
}

/// Whatever botocore signs is verified, and with another secret nothing is.
#[test]
fn what_botocore_signs_is_verified() -> Result<()> {
    let aws = Aws::new(&Ecs::new("127.0.0.1:1".parse()?))?;
    let signed = aws.python(&["-c", include_str!("oracle.py"), "1", SIGNED])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Timestamp::from_millis(i64::try_from(now.as_millis())?);
    let mut count = 0;
    for line in signed.lines() {
        let signed: Value = serde_json::from_str(line)?;
        let body = decoded(text(&signed, "body"));
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"127.0.0.1:7700")];
        for header in signed["headers"].as_array().context("headers")? {
            let (name, value) = (
                header[0].as_str().context("a name")?,
                header[1].as_str().context("a value")?,
            );
            headers.push((name, value.as_bytes()));
        }
        let request = HttpRequest {
            method: text(&signed, "method"),
            path: text(&signed, "path"),
            query: text(&signed, "query"),
            headers: &headers,
            body: &body,
        };
        let check = || {
            let presented = Presented::read(&request)?;
            presented.check_scope(&["ecs"], now)?;
            presented.verify(&request, "secret/+=example")?;
            Ok::<_, berth_model::fault::Fault>(presented)
        };
        let presented = check().with_context(|| line.to_owned())?;
        ensure!(presented.verify(&request, "secret/+=exampl").is_err(), "{line}");
        count += 1;
    }
    ensure!(count.to_string() == SIGNED, "{count} were signed");
    Ok(())
}

/// The bytes of hexadecimal digits.
fn decoded(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
