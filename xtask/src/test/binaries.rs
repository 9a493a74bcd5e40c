//! What there is to run: the test binaries that cargo builds, and where it puts the daemons.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

/// One of the daemons: where it is are the others.
const A_DAEMON: &str = "berth-agent";

/// A test binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binary {
    /// The package whose tests they are.
    pub(super) package: String,
    /// What cargo calls the target: `--lib`, or `--test NAME`.
    pub(super) target: String,
    /// The file to run.
    pub(super) program: PathBuf,
    /// The package's directory, in which cargo runs its tests.
    pub(super) directory: PathBuf,
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo test -p {} {}", self.package, self.target)
    }
}

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    tests: Vec<Binary>,
    programs: PathBuf,
}

impl Built {
    /// Builds the tests of all packages, and the programs.
    ///
    /// # Errors
    /// Something does not compile; cargo's own words are above.
    pub(super) fn build() -> anyhow::Result<Self> {
        let mut build = cargo();
        build.args(["test", "--workspace", "--no-run"]);
        build.args(["--message-format", "json-render-diagnostics"]);
        let mut child = build.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let stdout = child.stdout.take().context("cargo has no output")?;
        let mut tests = Vec::new();
        let mut programs = None;
        for line in BufReader::new(stdout).lines() {
            let message: Value = serde_json::from_str(&line?).context("cargo says what is no JSON")?;
            match artifact(&message) {
                Some(Artifact::Test(test)) => tests.push(test),
                Some(Artifact::Program(program)) if program.ends_with(A_DAEMON) => {
                    programs = program.parent().map(Path::to_path_buf);
                }
                Some(Artifact::Program(_)) | None => {}
            }
        }
        let status = child.wait()?;
        ensure!(status.success(), "the tests cannot be built; the reason is above");
        let programs = programs.with_context(|| format!("cargo has built no {A_DAEMON}"))?;
        Ok(Self { tests, programs })
    }

    /// The test binaries.
    pub(super) fn tests(&self) -> &[Binary] {
        &self.tests
    }

    /// The directory with the daemons.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Cargo's target directory.
    pub(super) fn target(&self) -> &Path {
        self.programs.parent().unwrap_or(&self.programs)
    }
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    // What cargo has told this program of its package is not for the packages that are built: some would be built anew.
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if told.iter().any(|of| name.to_string_lossy().starts_with(of)) {
            cargo.env_remove(name);
        }
    }
    cargo
}

#[derive(Debug, PartialEq, Eq)]
enum Artifact {
    Test(Binary),
    Program(PathBuf),
}

/// What one of cargo's messages says was built, if it is something to run.
fn artifact(message: &Value) -> Option<Artifact> {
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let program = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != true {
        return Some(Artifact::Program(program));
    }
    let name = message["target"]["name"].as_str()?;
    let target = match message["target"]["kind"][0].as_str()? {
        "test" => format!("--test {name}"),
        "bin" => format!("--bin {name}"),
        "bench" => format!("--bench {name}"),
        "example" => format!("--example {name}"),
        _ => "--lib".to_owned(),
    };
    Some(Artifact::Test(Binary {
        package: package(message["package_id"].as_str()?).to_owned(),
        target,
        program,
        directory: Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf(),
    }))
}

/// The name in `path+file:///a/b#name@0.1.0`, which is written `path+file:///a/name#0.1.0` where the directory has it.
fn package(id: &str) -> &str {
    let (url, end) = id.rsplit_once('#').unwrap_or((id, id));
    match end.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &str, test: bool) -> Value {
        json!({
            "reason": "compiler-artifact",
            "package_id": "path+file:///src/scheduler/core#berth-scheduler-core@0.1.0",
            "manifest_path": "/src/scheduler/core/Cargo.toml",
            "target": {"kind": [kind], "name": "services"},
            "profile": {"test": test},
            "executable": "/src/target/debug/deps/services-06b2",
        })
    }

    #[test]
    fn a_test_binary_is_told_as_cargo_would_run_it_alone() {
        let Some(Artifact::Test(binary)) = artifact(&message("test", true)) else {
            panic!("it is a test")
        };
        assert_eq!(binary.to_string(), "cargo test -p berth-scheduler-core --test services");
        assert_eq!(binary.directory, Path::new("/src/scheduler/core"));
        let Some(Artifact::Test(binary)) = artifact(&message("lib", true)) else {
            panic!("it is a test")
        };
        assert_eq!(binary.target, "--lib");
    }

    #[test]
    fn what_is_built_besides_is_no_test() {
        let program = PathBuf::from("/src/target/debug/deps/services-06b2");
        assert_eq!(artifact(&message("bin", false)), Some(Artifact::Program(program)));
        let mut library = message("lib", false);
        library["executable"] = Value::Null;
        assert_eq!(artifact(&library), None);
        assert_eq!(artifact(&json!({"reason": "build-finished", "success": true})), None);
    }

    #[test]
    fn a_package_is_named_in_both_forms_of_its_id() {
        assert_eq!(package("path+file:///src/agent#berth-agent@0.1.0"), "berth-agent");
        assert_eq!(package("path+file:///src/xtask#0.1.0"), "xtask");
    }
}
