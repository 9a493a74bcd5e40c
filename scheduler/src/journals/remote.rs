//! The journal of a running scheduler, from outside.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use berth_proto::journal::v1 as wire;
use berth_proto::journal::v1::journal_client::JournalClient;
use berth_proto::journal::v1::read_response::Part as Sent;
use berth_scheduler_core::keys::Revision;
use berth_signature::sign::Credentials;
use berth_signature::{HttpRequest, SigningDate};
use berth_tls::{Client, files};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Request;
use tonic::transport::Endpoint;

use crate::auth;
use crate::clock;
use crate::journal::transfer::{Part, Parts};
use crate::journal::{JournalError, Kept};

/// How long the scheduler may take to be reached.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to begin: nothing of its journal is read before.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a message: a record may be large where it lies in a file.
const MAX_MESSAGE: usize = 1 << 30;

/// Begins to read.
pub(super) async fn parts(url: &str) -> anyhow::Result<Parts> {
    let endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| format!("'{url}' is no URL"))?;
    let channel = berth_tls::connect(&endpoint, authorities(url)?.as_ref(), CONNECTS_WITHIN).await;
    let channel = channel.with_context(|| format!("cannot reach the scheduler at {url}"))?;
    let mut client = JournalClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let answer = timeout(BEGINS_WITHIN, client.read(request(url)?)).await;
    let mut stream = answer
        .with_context(|| {
            format!(
                "the scheduler at {url} has not answered in {} s",
                BEGINS_WITHIN.as_secs()
            )
        })?
        .with_context(|| format!("the scheduler at {url} gives no journal"))?
        .into_inner();
    let (out, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let part = match stream.message().await {
                Ok(None) => return,
                Ok(Some(message)) => message.part.map(read).ok_or_else(|| failed("an empty part".into())),
                Err(status) => Err(failed(status.into())),
            };
            let ends = part.is_err();
            if out.send(part).await.is_err() || ends {
                return;
            }
        }
    });
    Ok(parts)
}

/// Whom a scheduler of `https://` is held against: the authorities in the file that the environment names.
fn authorities(url: &str) -> anyhow::Result<Option<Client>> {
    if !url.starts_with("https://") {
        return Ok(None);
    }
    let path = std::env::var_os("BERTH_CA").with_context(|| {
        format!("{url} is https:// and nothing says which authority vouches for it: name its ca.pem in BERTH_CA")
    })?;
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let authorities = files::certificates(&text).with_context(|| format!("{} cannot be used", path.display()))?;
    Ok(Some(Client::trusting(&authorities, None)?))
}

/// The request, signed where the environment says who asks.
fn request(url: &str) -> anyhow::Result<Request<wire::ReadRequest>> {
    /// The message, which has no members, as gRPC sends it: not compressed, no bytes.
    const BODY: [u8; 5] = [0; 5];
    let mut request = Request::new(wire::ReadRequest {});
    let Some(credentials) = credentials()? else {
        return Ok(request);
    };
    let host = url
        .split_once("://")
        .map_or(url, |(_, host)| host)
        .trim_end_matches('/');
    let headers = [("host", host.as_bytes())];
    let signed = HttpRequest {
        method: "POST",
        path: "/berth.journal.v1.Journal/Read",
        query: "",
        headers: &headers,
        body: &BODY,
    };
    for (name, value) in credentials.sign(&signed, SigningDate::of(clock::now()), "us-east-1", "ecs") {
        let value = value.parse().context("the access key cannot stand in a header")?;
        request.metadata_mut().insert(name, value);
    }
    Ok(request)
}

/// The operator's own key, or the access key of the environment.
fn credentials() -> anyhow::Result<Option<Credentials>> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(path) = set("BERTH_MASTER_KEY_FILE") {
        let keys = auth::find(Some(Path::new(&path)), Path::new(""))?;
        return Ok(Some(Credentials::root(keys.newest())));
    }
    let pair = set("AWS_ACCESS_KEY_ID").zip(set("AWS_SECRET_ACCESS_KEY"));
    Ok(pair.map(|(access_key, secret)| Credentials {
        access_key,
        secret,
        token: set("AWS_SESSION_TOKEN"),
    }))
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> JournalError {
    JournalError::Unreachable {
        operation: "read it from its scheduler",
        source,
    }
}

fn read(part: Sent) -> Part {
    match part {
        Sent::Snapshot(sent) => Part::Snapshot(Kept {
            revision: Revision(sent.revision),
            chunks: sent.chunks,
            bytes: sent.bytes,
            behind: sent.behind,
        }),
        Sent::Chunk(chunk) => Part::Chunk(chunk),
        Sent::Records(sent) => Part::Records((sent.first..).map(Revision).zip(sent.records).collect()),
        Sent::End(sent) => Part::End {
            head: Revision(sent.head),
        },
    }
}
