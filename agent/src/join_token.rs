//! Who is asked for the join token of a host that has none of its own: a command, or a tag of the EC2 instance.

use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use berth_tls::token::{TokenError, TokenSource, parse};
use berth_trust::JoinToken;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::Config;
use crate::imds::{self, Imds};

/// For a command: what it asks may be far away.
const COMMAND: Duration = Duration::from_secs(30);
/// For the metadata service, which is on the host.
const TAG: Duration = Duration::from_secs(2);
/// Bytes that are read of what a command prints.
const PRINTED: u64 = 4096;
/// Characters that are told of a command's complaint.
const COMPLAINT: usize = 300;
/// Where an instance reads its own tags, if its options allow that (EC2 User Guide, "View tags using instance metadata").
const TAGS: &str = "/latest/meta-data/tags/instance/";

/// Whom the settings say to ask.
pub(crate) fn source(config: &Config) -> Option<Box<dyn TokenSource>> {
    if let Some(command) = &config.join_token_command {
        return Some(Box::new(OfCommand {
            line: command.clone(),
            within: COMMAND,
        }));
    }
    let tag = config.join_token_tag.clone()?;
    let authority = imds::endpoint(config.imds_endpoint.as_deref(), true)?;
    Some(Box::new(OfTag { tag, authority }))
}

/// A line for the shell, which prints the token.
#[derive(Debug)]
struct OfCommand {
    line: String,
    within: Duration,
}

impl TokenSource for OfCommand {
    fn find(&self) -> Pin<Box<dyn Future<Output = Result<JoinToken, TokenError>> + Send + '_>> {
        Box::pin(async {
            const PLACE: &str = "join-token-command";
            let printed = timeout(self.within, run(&self.line)).await;
            let printed = printed.unwrap_or_else(|_| Err(format!("it did not end within {:?}", self.within)));
            parse(&printed.map_err(|reason| no_token(PLACE, reason))?, PLACE)
        })
    }
}

/// What the line prints, where it succeeds. The shell does not outlive the call.
async fn run(line: &str) -> Result<String, String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("it does not begin: {error}"))?;
    let (printed, complaint) = tokio::join!(beginning(child.stdout.take()), beginning(child.stderr.take()));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(printed);
    }
    let complaint: String = complaint.trim().chars().take(COMPLAINT).collect();
    Err(format!("{status}: {complaint}"))
}

/// All that is kept of what comes; the rest is read and forgotten, so that nobody waits to write it.
async fn beginning(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        // What was printed before it broke is as good as what there is.
        let _ended = (&mut from).take(PRINTED).read_to_end(&mut kept).await;
        let _ended = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A tag of the instance that this is.
#[derive(Debug)]
struct OfTag {
    tag: String,
    authority: String,
}

impl TokenSource for OfTag {
    fn find(&self) -> Pin<Box<dyn Future<Output = Result<JoinToken, TokenError>> + Send + '_>> {
        Box::pin(async {
            let place = format!("the instance's tag {}", self.tag);
            let mut service = Imds::new(self.authority.clone(), TAG);
            let value = service.get(&format!("{TAGS}{}", self.tag)).await;
            let value = value.map_err(|error| no_token(&place, format!("{error:#}")))?;
            let value = value.ok_or_else(|| {
                let reason = "there is no such tag, or the instance may not read its tags (InstanceMetadataTags)";
                no_token(&place, reason.to_owned())
            })?;
            parse(&String::from_utf8_lossy(&value), &place)
        })
    }
}

fn no_token(place: &str, reason: String) -> TokenError {
    TokenError::Asked {
        place: place.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::imds::testing::serve;

    fn token() -> String {
        format!("berth1.0123456789abcdef.{}.{}", "ab".repeat(32), "cd".repeat(32))
    }

    async fn of_command(line: &str, within: Duration) -> Result<String, String> {
        let source = OfCommand {
            line: line.to_owned(),
            within,
        };
        let found = source.find().await;
        found.map(|token| token.reveal()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_command_prints_the_token() {
        let line = format!("echo much >&2; printf '%s\\n' {}", token());
        assert_eq!(of_command(&line, COMMAND).await, Ok(token()));
    }

    #[tokio::test]
    async fn a_command_that_has_none_is_told_with_its_complaint_and_without_what_it_printed() {
        let failed = of_command("echo abc; echo no such parameter >&2; exit 3", COMMAND).await;
        assert_eq!(
            failed.unwrap_err(),
            "ask join-token-command for the join token: exit status: 3: no such parameter"
        );
        let other = of_command("echo abcdef", COMMAND).await.unwrap_err();
        assert!(!other.contains("abcdef"), "{other}");
        let endless = of_command("yes", Duration::from_millis(200)).await.unwrap_err();
        assert!(endless.ends_with("it did not end within 200ms"), "{endless}");
    }

    #[tokio::test]
    async fn a_tag_of_the_instance_is_the_token() {
        let authority = serve(BTreeMap::from([(format!("{TAGS}berth-join"), token())])).await;
        let of = |tag: &str| OfTag {
            tag: tag.to_owned(),
            authority: authority.clone(),
        };
        // The service takes none of its first tokens; another attempt asks for another.
        let refused = of("berth-join").find().await.unwrap_err().to_string();
        assert!(refused.ends_with("the token is no longer taken"), "{refused}");
        assert_eq!(of("berth-join").find().await.unwrap().reveal(), token());
        of("other").find().await.unwrap_err();
        let missing = of("other").find().await.unwrap_err().to_string();
        assert!(
            missing.starts_with("ask the instance's tag other for the join token: there is no such tag"),
            "{missing}"
        );
    }
}
