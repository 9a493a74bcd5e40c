//! The AWS CLI, boto3 and tools made with them, in a virtual environment of the target directory, and the AWS SDK for
//! JavaScript beside it, with their versions pinned here.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command::{self, run};
use crate::ecs::Ecs;
use crate::files;

/// What PyPI has, as it is: the tools that Amazon makes, one that deploys services, and a workflow engine.
const INSTALLED: [&str; 4] = ["awscli==1.46.2", "boto3==1.44.5", "ecs-deploy==1.17.0", "luigi==3.8.1"];

/// A client of the data channel of ExecuteCommand, with what it needs. It asks for a newer Python than some distributions have, and
/// runs on theirs all the same.
const CHANNEL: &str = "pyssm-client==0.2.0";
const CHANNEL_NEEDS: [&str; 2] = ["websockets==17.4", "click==8.5.1"];
const PLUGIN: &str = include_str!("aws/plugin.py");

/// What npm has.
const JAVASCRIPT: &str = "@aws-sdk/client-ecs@3.1161.0";

const PRELUDE: &str = include_str!("aws/prelude.py");

const INSTALL: Duration = Duration::from_secs(10 * 60);
const CALL: Duration = Duration::from_secs(120);

/// The AWS CLI and boto3 of a user whose endpoint is one scheduler.
#[derive(Debug, Clone)]
pub struct Aws {
    bin: PathBuf,
    endpoint: String,
    /// The access key's id and its secret.
    key: (String, String),
    /// Variables of the environment besides.
    variables: Vec<(String, String)>,
}

/// A call that the CLI reported as failed.
#[derive(Debug)]
pub struct Failed {
    /// The CLI's exit code.
    pub code: Option<i32>,
    /// What it printed to standard error.
    pub stderr: String,
}

impl Aws {
    /// Installs the tools if need be, and points them at a scheduler.
    ///
    /// # Errors
    ///
    /// If they cannot be installed.
    pub fn new(ecs: &Ecs) -> Result<Self> {
        Ok(Self {
            bin: install()?,
            endpoint: format!("http://{}", ecs.address()),
            key: ("bed".to_owned(), "bed".to_owned()),
            variables: Vec::new(),
        })
    }

    /// The same user with this access key.
    #[must_use]
    pub fn signing_with(&self, id: &str, secret: &str) -> Self {
        Self {
            key: (id.to_owned(), secret.to_owned()),
            ..self.clone()
        }
    }

    /// The same user whose endpoint has another URL.
    #[must_use]
    pub fn with_endpoint(&self, url: &str) -> Self {
        Self {
            endpoint: url.to_owned(),
            ..self.clone()
        }
    }

    /// The same user with a variable of the environment besides.
    #[must_use]
    pub fn with_variable(&self, name: &str, value: &str) -> Self {
        let mut user = self.clone();
        user.variables.push((name.to_owned(), value.to_owned()));
        user
    }

    /// What Python prints, with boto3 at hand; it must end with success.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn python(&self, args: &[&str]) -> Result<String> {
        run(self.command("python").args(args), CALL)
    }

    /// `aws ecs ...`, which must succeed; its JSON, or null where it prints nothing.
    ///
    /// # Errors
    ///
    /// If the CLI fails or prints something else.
    pub fn ecs(&self, args: &[&str]) -> Result<Value> {
        self.call("ecs", args)
    }

    /// `aws application-autoscaling ...`, as [`Aws::ecs`].
    ///
    /// # Errors
    ///
    /// If the CLI fails or prints something else.
    pub fn autoscaling(&self, args: &[&str]) -> Result<Value> {
        self.call("application-autoscaling", args)
    }

    fn call(&self, service: &str, args: &[&str]) -> Result<Value> {
        let output = self.output(service, args)?;
        let (stdout, stderr) = texts(&output);
        ensure!(
            output.status.success(),
            "aws {service} {args:?}: {}: {stderr}",
            output.status
        );
        if stdout.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&stdout).with_context(|| format!("aws {service} {args:?} printed {stdout}"))
    }

    /// `aws ecs ...`, which must fail.
    ///
    /// # Errors
    ///
    /// If it succeeds.
    pub fn ecs_fails(&self, args: &[&str]) -> Result<Failed> {
        self.fails("ecs", args)
    }

    /// `aws application-autoscaling ...`, which must fail.
    ///
    /// # Errors
    ///
    /// If it succeeds.
    pub fn autoscaling_fails(&self, args: &[&str]) -> Result<Failed> {
        self.fails("application-autoscaling", args)
    }

    fn fails(&self, service: &str, args: &[&str]) -> Result<Failed> {
        let output = self.output(service, args)?;
        let (stdout, stderr) = texts(&output);
        if output.status.success() {
            bail!("aws {service} {args:?} succeeded: {stdout}");
        }
        Ok(Failed {
            code: output.status.code(),
            stderr,
        })
    }

    /// Runs a Python script in which `ecs` is a boto3 client, after `aws/prelude.py`; it must end with success. Returns
    /// what it printed.
    ///
    /// # Errors
    ///
    /// If it raises; the error shows the traceback.
    pub fn boto3(&self, script: &str) -> Result<String> {
        let script = format!("{PRELUDE}{script}");
        let output = command::output(self.command("python").arg("-c").arg(script), CALL)?;
        let (stdout, stderr) = texts(&output);
        ensure!(
            output.status.success(),
            "the boto3 script: {}\n{stdout}{stderr}",
            output.status
        );
        Ok(stdout)
    }

    /// Runs a script with Node.js and the AWS SDK for JavaScript at hand; it must end with success. Returns what it printed.
    ///
    /// # Errors
    ///
    /// If the SDK cannot be installed, or the script fails.
    pub fn javascript(&self, script: &Path) -> Result<String> {
        let modules = install_javascript()?;
        let mut node = Command::new("node");
        run(self.environment(&mut node).env("NODE_PATH", modules).arg(script), CALL)
    }

    /// Runs a program of the environment as its users do; it must end with success. Returns what it printed to both outputs.
    ///
    /// # Errors
    ///
    /// If it fails; the error shows what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let output = command::output(self.command(program).args(args), CALL)?;
        let (stdout, stderr) = texts(&output);
        ensure!(
            output.status.success(),
            "{program} {args:?}: {}\n{stdout}{stderr}",
            output.status
        );
        Ok(format!("{stdout}{stderr}"))
    }

    /// A program, with the CLI, Python and the session-manager-plugin at hand under their names.
    ///
    /// # Errors
    ///
    /// If there is no environment to look them up in.
    pub fn interactive(&self, program: &str) -> Result<Command> {
        let path = env::join_paths([&*self.bin, Path::new("/usr/bin"), Path::new("/bin")])?;
        let own = self.bin.join(program);
        let mut command = Command::new(if own.exists() { own } else { program.into() });
        self.environment(&mut command).env("PATH", path);
        Ok(command)
    }

    fn output(&self, service: &str, args: &[&str]) -> Result<Output> {
        let mut aws = self.command("aws");
        command::output(aws.args([service, "--output", "json"]).args(args), CALL)
    }

    /// A command with no configuration but ours.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        self.environment(&mut command);
        command
    }

    /// The command with no configuration but ours.
    fn environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("NO_PROXY", "*")
            .env("AWS_PAGER", "")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_ECS", &self.endpoint)
            .env("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", &self.endpoint)
    }
}

/// Directories that boto3 needs at their own places to run where nothing else is: the environment, and the Python that
/// it was made with.
///
/// # Errors
///
/// If the tools cannot be installed or Python does not say where it is.
pub fn python_directories() -> Result<Vec<PathBuf>> {
    let bin = install()?;
    let asked = "import sys; print(sys.base_prefix)";
    let prefix = run(Command::new(bin.join("python")).args(["-c", asked]), CALL)?;
    let mut directories = vec![PathBuf::from(prefix.trim())];
    directories.extend(bin.parent().map(Path::to_owned));
    // The C library and its kin; what is part of a directory that is there already need not be there again.
    for system in ["/usr", "/lib", "/lib64"].map(PathBuf::from) {
        if system.exists() {
            directories.push(system);
        }
    }
    directories.retain(|directory| directory != Path::new("/usr/local"));
    Ok(directories)
}

/// The `bin` directory of the environment, which is made anew when a pinned version changes.
fn install() -> Result<PathBuf> {
    let target = files::target_dir()?;
    let venv = target.join("aws-venv");
    files::alone(&target.join("aws-venv.lock"), || {
        let wanted = format!(
            "{} {} {CHANNEL}\n{PLUGIN}",
            INSTALLED.join(" "),
            CHANNEL_NEEDS.join(" ")
        );
        let stamp = venv.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        make(&venv).context("on Debian: apt-get install python3-venv; PyPI must be reachable")?;
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
    })?;
    Ok(venv.join("bin"))
}

/// The directory of the modules, which is made anew when the pinned version changes.
fn install_javascript() -> Result<PathBuf> {
    let target = files::target_dir()?;
    let place = target.join("aws-node");
    files::alone(&target.join("aws-node.lock"), || {
        let stamp = place.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == JAVASCRIPT) {
            return Ok(());
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&place)
            .arg(JAVASCRIPT);
        run(&mut npm, INSTALL).context("on Debian: apt-get install nodejs npm; the npm registry must be reachable")?;
        fs::write(&stamp, JAVASCRIPT).with_context(|| format!("write {}", stamp.display()))
    })?;
    Ok(place.join("node_modules"))
}

fn make(venv: &Path) -> Result<()> {
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv),
        INSTALL,
    )?;
    run(
        Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(INSTALLED)
            .args(CHANNEL_NEEDS),
        INSTALL,
    )?;
    run(
        Command::new(venv.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--ignore-requires-python",
            ])
            .arg(CHANNEL),
        INSTALL,
    )?;
    let plugin = venv.join("bin/session-manager-plugin");
    fs::write(&plugin, format!("#!{}\n{PLUGIN}", venv.join("bin/python").display()))
        .with_context(|| format!("write {}", plugin.display()))?;
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} a program", plugin.display()))?;
    Ok(())
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
