//! Sessions of commands as they are opened, for `berth exec` and for ECS's ExecuteCommand.

use std::sync::Arc;

use berth_model::fault::{Fault, shortened};
use berth_proto::session::v1 as session;
use berth_proto::v1 as wire;
use berth_scheduler_core::decide::session::{self as decide, OpenSession, Place};

use super::request::{given, required};
use super::{Api, Caller};

/// Bytes of a command with its arguments: as much as a task definition may have.
const LONGEST: usize = 64 * 1024;

/// A session that was opened.
pub(super) struct Opened {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) place: Place,
    pub(super) task_arn: String,
}

/// What is asked for, on either wire.
pub(super) struct Asked<'a> {
    pub(super) cluster: Option<&'a String>,
    pub(super) task: Option<&'a String>,
    pub(super) container: Option<&'a String>,
    pub(super) command: session::Command,
}

/// Opens a session: what it is stands in the journal before anybody can enter it.
pub(super) async fn open(api: &Api, asked: Asked<'_>, caller: &Caller) -> Result<Opened, Fault> {
    let cluster = api.cluster(given(asked.cluster))?;
    let task = api.namespace.parse_task(&cluster, required("task", asked.task)?)?;
    check(&asked.command.words)?;
    let reserved = api.sessions.reserve()?;
    let command = OpenSession {
        cluster: cluster.clone(),
        task,
        container: given(asked.container).map(Into::into),
        command: asked.command.words.clone(),
        session: Arc::clone(&reserved.id),
    };
    let decide::Opened { place, log_group } = api.submit(command, caller).await?;
    let id = reserved.id.to_string();
    let task_arn = api.namespace.task(&cluster, task);
    let target = (place.clone(), task_arn.clone());
    let command = session::Command {
        recording: log_group.map(|log_group| session::Recording {
            log_group: log_group.to_string(),
            session_id: id.clone(),
        }),
        ..asked.command
    };
    let token = api.sessions.offer(reserved, target, command, &caller.principal)?;
    Ok(Opened {
        id,
        token,
        place,
        task_arn,
    })
}

fn check(words: &[String]) -> Result<(), Fault> {
    if words.first().is_none_or(String::is_empty) {
        return Err(Fault::invalid("command can not be empty."));
    }
    let bytes: usize = words.iter().map(String::len).sum();
    if bytes > LONGEST {
        return Err(Fault::invalid(format!(
            "command has {bytes} bytes, at most {LONGEST} are allowed."
        )));
    }
    match words.iter().find(|word| word.contains('\0')) {
        None => Ok(()),
        Some(word) => Err(Fault::invalid(format!(
            "command '{}' should have no character NUL.",
            shortened(word)
        ))),
    }
}

/// Berth's ExecuteCommand.
pub(super) async fn execute(
    api: &Api,
    request: wire::ExecuteCommandRequest,
    caller: &Caller,
) -> Result<wire::ExecuteCommandResponse, Fault> {
    let size = session::TerminalSize {
        rows: request.rows,
        columns: request.columns,
    };
    let asked = Asked {
        cluster: request.cluster.as_ref(),
        task: request.task.as_ref(),
        container: request.container.as_ref(),
        command: session::Command {
            words: request.command,
            terminal: request.terminal,
            input: request.input,
            size: (size.rows > 0 && size.columns > 0).then_some(size),
            ..session::Command::default()
        },
    };
    let opened = open(api, asked, caller).await?;
    Ok(wire::ExecuteCommandResponse {
        session_id: opened.id,
        token_value: opened.token,
        task_arn: opened.task_arn,
        container_name: opened.place.container.to_string(),
    })
}
