//! Whoever is told how many instances there should be: a command, or a URL.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::http_client::{self, HttpServer, Trust};

/// How long it may take to hear of one provider.
const DEADLINE: Duration = Duration::from_secs(60);
/// Characters of what it says that a log line quotes.
const QUOTED: usize = 300;

/// A command that is run with the JSON on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand(PathBuf);

/// A URL that the JSON is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookUrl {
    server: HttpServer,
    path: String,
    tls: bool,
}

/// Who is told.
pub struct Hook(Told);

enum Told {
    Command(HookCommand),
    /// With whom to believe to be it.
    Url(HookUrl, Option<Trust>),
}

impl FromStr for HookCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        match path.is_absolute() {
            true => Ok(Self(path)),
            false => Err(format!("'{text}' must be an absolute path of a program")),
        }
    }
}

impl FromStr for HookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uri, authority, scheme) = http_client::parse(text, &["http", "https"])?;
        let tls = scheme == "https";
        Ok(Self {
            server: HttpServer::of(&authority, if tls { 443 } else { 80 }),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            tls,
        })
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

impl Hook {
    /// A command.
    #[must_use]
    pub const fn command(command: HookCommand) -> Self {
        Self(Told::Command(command))
    }

    /// A URL; the authorities in the file vouch for it where it is `https`.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate.
    pub fn url(url: HookUrl, authorities: &Path) -> anyhow::Result<Self> {
        let trust = url.tls.then(|| Trust::in_file(authorities)).transpose()?;
        Ok(Self(Told::Url(url, trust)))
    }

    /// Tells of one provider. A command that is cancelled, or takes too long, is killed.
    ///
    /// # Errors
    /// It cannot be reached, takes too long, or says that it failed.
    pub(super) async fn tell(&self, provider: &str, message: &impl Serialize) -> anyhow::Result<()> {
        let json = serde_json::to_vec(message)?;
        let told = async {
            match &self.0 {
                Told::Command(command) => command.run(provider, &json).await,
                Told::Url(url, trust) => url.post(json, trust.as_ref()).await,
            }
        };
        match timeout(DEADLINE, told).await {
            Ok(result) => result,
            Err(_) => bail!("it took more than {} seconds", DEADLINE.as_secs()),
        }
    }
}

impl HookCommand {
    async fn run(&self, provider: &str, json: &[u8]) -> anyhow::Result<()> {
        let program = self.0.display();
        let mut child = Command::new(&self.0)
            .arg(provider)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("run {program}"))?;
        let input = child.stdin.take();
        let write = async {
            if let Some(mut input) = input {
                // One that does not read what it is told may know better.
                drop(input.write_all(json).await);
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.with_context(|| format!("wait for {program}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said.trim().chars().take(QUOTED).collect();
            bail!("{program} ended with {}: {said}", output.status);
        }
        Ok(())
    }
}

impl HookUrl {
    async fn post(&self, json: Vec<u8>, trust: Option<&Trust>) -> anyhow::Result<()> {
        let request = Request::post(&*self.path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(json)))?;
        let (status, body) = self.server.exchange(request, trust).await?;
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&body).chars().take(QUOTED).collect();
            bail!("it answered {status}: {said}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, Hook) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", dir.path().display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let hook = Hook::command(path.display().to_string().parse().unwrap());
        (dir, hook)
    }

    #[tokio::test]
    async fn a_command_is_told_on_its_input_and_by_its_argument() {
        let (dir, hook) = script("cat > told; echo \"$1\" > provider");
        hook.tell("hosts", &json!({"wanted": 3})).await.unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (read("told").as_str(), read("provider").trim()),
            ("{\"wanted\":3}", "hosts")
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let (_dir, hook) = script("echo no such group >&2; exit 3");
        let error = hook.tell("hosts", &json!({})).await.unwrap_err().to_string();
        assert!(error.ends_with("ended with exit status: 3: no such group"), "{error}");
    }

    #[tokio::test]
    async fn one_that_reads_nothing_is_told_all_the_same() {
        let (_dir, hook) = script("exit 0");
        hook.tell("hosts", &json!({"reason": "x".repeat(1 << 20)}))
            .await
            .unwrap();
    }

    #[test]
    fn a_command_is_an_absolute_path_and_a_url_has_a_host() {
        assert!(
            "hook.sh"
                .parse::<HookCommand>()
                .unwrap_err()
                .contains("'hook.sh' must be an absolute path")
        );
        assert!(
            "ftp://a/b"
                .parse::<HookUrl>()
                .unwrap_err()
                .contains("must begin with http:// or https://")
        );
        assert!("https://scaler.example/hosts".parse::<HookUrl>().unwrap().tls);
    }
}
