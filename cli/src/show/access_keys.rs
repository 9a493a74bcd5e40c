//! Access keys as tables, and what is secret of them as lines that a shell or a file takes.

use std::path::Path;

use anstyle::AnsiColor;
use berth_proto::v1::{AccessKey, CreateCertificateResponse, GetSessionTokenResponse};

use super::table::{Cell, maybe, text};
use super::{Now, Table};
use crate::output::Presentation;

pub(crate) fn list(keys: &[AccessKey], now: Now) -> Presentation {
    let mut table = Table::with_headings(["ACCESS KEY", "USER", "STATUS", "CREATED", "ENDS"]);
    for key in keys {
        table.row([
            text(&key.access_key_id),
            text(&key.user_name),
            status(&key.status),
            text(now.ago(key.create_date)),
            maybe(key.expires_at.map(|at| now.ahead(at))),
        ]);
    }
    Presentation::default().table(&table)
}

/// One access key, and its policy with a line for each member.
pub(crate) fn one(key: Option<&AccessKey>, now: Now) -> Presentation {
    let Some(key) = key else {
        return Presentation::default();
    };
    let mut table = Table::pairs();
    table.pair("Access key", text(&key.access_key_id));
    table.pair("User", text(&key.user_name));
    table.pair("Status", status(&key.status));
    table.pair("Created", text(now.ago(key.create_date)));
    if let Some(at) = key.expires_at {
        table.pair("Ends", text(now.ahead(at)));
    }
    let presentation = Presentation::default().table(&table);
    match &key.policy_document {
        Some(document) => presentation.line("").line(spread(document)),
        None => presentation,
    }
}

/// As a file of credentials has it.
pub(crate) fn with_secret(key: Option<&AccessKey>, secret: &str) -> Presentation {
    let Some(key) = key else {
        return Presentation::default();
    };
    Presentation::default()
        .line(format!("# for {}; the secret is not shown again", key.user_name))
        .line(format!("aws_access_key_id = {}", key.access_key_id))
        .line(format!("aws_secret_access_key = {secret}"))
}

/// As a shell takes it.
pub(crate) fn session(session: &GetSessionTokenResponse) -> Presentation {
    Presentation::default()
        .line(format!("export AWS_ACCESS_KEY_ID={}", session.access_key_id))
        .line(format!("export AWS_SECRET_ACCESS_KEY={}", session.secret_access_key))
        .line(format!("export AWS_SESSION_TOKEN={}", session.session_token))
}

/// Where the certificate is, and for how long it is good.
pub(crate) fn certificate(answer: &CreateCertificateResponse, directory: &Path, now: Now) -> Presentation {
    Presentation::default().line(format!(
        "certificate.pem, key.pem and ca.pem are in {}; the certificate ends {}",
        directory.display(),
        now.ahead(answer.expires_at)
    ))
}

pub(crate) fn deleted(id: &str) -> Presentation {
    Presentation::default().line(format!("{id} deleted"))
}

fn spread(document: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(document);
    let spread = value.and_then(|value| serde_json::to_string_pretty(&value));
    spread.unwrap_or_else(|_| document.to_owned())
}

fn status(status: &str) -> Cell {
    let color = match status {
        "Active" => AnsiColor::Green,
        _ => AnsiColor::BrightBlack,
    };
    text(status).colored(color)
}
