//! ECS's ExecuteCommand, for the session-manager-plugin. Berth's own call of the name is in `sessions`.

use berth_model::fault::{Fault, shortened};
use berth_model::words;
use berth_proto::ecs::v1 as ecs;
use berth_proto::session::v1 as session;

use super::data_channel::PATH;
use super::request::required;
use super::sessions::{self, Asked};
use super::{Api, Caller};
use crate::auth::Reached;

/// What the plugin asks of Systems Manager where its connection breaks, at the endpoint that the CLI has for ECS: a token that
/// enters the session again.
pub(super) const RESUME: &str = "AmazonSSM.ResumeSession";
/// The answer, which has none: nothing is resumed. The plugin ends on it, and would not without.
pub(super) const NOT_RESUMED: &[u8] = b"{}";

/// Opens a session whose client the plugin is.
pub(super) async fn execute(
    api: &Api,
    request: ecs::ExecuteCommandRequest,
    caller: &Caller,
) -> Result<ecs::ExecuteCommandResponse, Fault> {
    let line = required("command", request.command.as_ref())?;
    // In ECS's words (boto/boto3#2822).
    if request.interactive != Some(true) {
        return Err(Fault::invalid("Interactive is the only mode supported currently."));
    }
    let address = address(&caller.reached)?;
    let words = words::split(line)
        .map_err(|rule| Fault::invalid(format!("command '{}' is no command line: {rule}.", shortened(line))))?;
    let asked = Asked {
        cluster: request.cluster.as_ref(),
        task: request.task.as_ref(),
        container: request.container.as_ref(),
        command: session::Command {
            words,
            terminal: true,
            input: true,
            ..session::Command::default()
        },
    };
    let opened = sessions::open(api, asked, caller).await?;
    let cluster = api.cluster(request.cluster.as_deref())?;
    let container = &opened.place.container;
    Ok(ecs::ExecuteCommandResponse {
        cluster_arn: Some(api.namespace.cluster(&cluster)),
        container_arn: Some(api.namespace.container(&cluster, opened.place.task.task, container)),
        container_name: Some(container.to_string()),
        interactive: Some(true),
        session: Some(ecs::Session {
            stream_url: Some(format!("{address}{PATH}{}?role=publish_subscribe", opened.id)),
            session_id: Some(opened.id),
            token_value: Some(opened.token),
        }),
        task_arn: Some(opened.task_arn),
    })
}

/// Where the plugin finds this scheduler: where the call found it.
fn address(reached: &Reached) -> Result<String, Fault> {
    let authority = reached.authority.as_ref().ok_or_else(|| {
        Fault::client("The request has no header Host, so that there is no address for the session's stream.")
    })?;
    let scheme = if reached.encrypted { "wss" } else { "ws" };
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::peer::Peer;

    #[test]
    fn the_stream_is_where_the_call_came() {
        let encrypted = Peer {
            encrypted: true,
            ..Peer::default()
        };
        let check = |headers: &[(&str, &[u8])], peer: Option<&Peer>| {
            address(&Reached::of(headers, peer)).map_err(|fault| fault.message)
        };
        assert_eq!(
            check(&[("host", b"127.0.0.1:7700")], None).unwrap(),
            "ws://127.0.0.1:7700"
        );
        assert_eq!(
            check(&[("Host", b"berth.example")], Some(&encrypted)).unwrap(),
            "wss://berth.example"
        );
        let proxied: &[(&str, &[u8])] = &[("host", b"[2001:db8::1]:80"), ("x-forwarded-proto", b"https")];
        assert_eq!(check(proxied, None).unwrap(), "wss://[2001:db8::1]:80");
        for host in [&b"a b"[..], b"", b"a/b", b"\xff"] {
            assert!(
                check(&[("host", host)], None).unwrap_err().contains("no header Host"),
                "{host:?}"
            );
        }
        assert!(check(&[], None).is_err());
    }
}
