//! Join tokens, members and authorities as tables.

use anstyle::AnsiColor;
use berth_proto::v1::{
    CreateJoinTokenResponse, DescribeAuthoritiesResponse, JoinToken, Member, RevokeJoinTokenResponse,
};

use super::table::{Cell, text};
use super::{Now, Table};
use crate::output::Presentation;

/// Digits of a fingerprint that are shown: enough to tell authorities apart.
const DIGITS: usize = 16;

/// The token alone, so that it can be led into a file.
pub(crate) fn created(answer: &CreateJoinTokenResponse) -> Presentation {
    Presentation::default().line(answer.token.clone())
}

pub(crate) fn tokens(tokens: &[JoinToken], now: Now) -> Presentation {
    let mut table = Table::with_headings([
        "TOKEN",
        "ROLE",
        "STATUS",
        "USES LEFT",
        "ENDS",
        "ATTRIBUTES",
        "CREATED BY",
    ]);
    for token in tokens {
        table.row([
            text(&token.token_id),
            text(&token.role),
            status(&token.status),
            text(token.uses_left.to_string()),
            text(now.ahead(token.expires_at)),
            claims(&token.attributes),
            text(&token.created_by),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn revoked(answer: &RevokeJoinTokenResponse) -> Presentation {
    let id = answer.join_token.as_ref().map(|token| token.token_id.as_str());
    Presentation::default().line(format!("{} revoked", id.unwrap_or_default()))
}

pub(crate) fn members(members: &[Member], now: Now) -> Presentation {
    let mut table = Table::with_headings([
        "MEMBER",
        "ROLE",
        "JOINED",
        "TOKEN",
        "CERTIFICATE ENDS",
        "AUTHORITY",
        "ATTRIBUTES",
    ]);
    for member in members {
        table.row([
            text(&member.id),
            text(&member.role),
            text(now.ago(member.joined_at)),
            text(&member.token_id),
            text(now.ahead(member.expires_at)),
            text(short(&member.authority)),
            claims(&member.attributes),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn removed(id: &str) -> Presentation {
    Presentation::default().line(format!("{id} removed"))
}

pub(crate) fn authorities(answer: &DescribeAuthoritiesResponse, now: Now) -> Presentation {
    let mut table = Table::with_headings(["AUTHORITY", "STATUS", "MEMBERS", "ENDS"]);
    for authority in &answer.authorities {
        table.row([
            text(short(&authority.fingerprint)),
            match authority.signs {
                true => text("signs").colored(AnsiColor::Green),
                false => text("trusted"),
            },
            text(authority.members.to_string()),
            text(now.ahead(authority.expires_at)),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn pem(answer: &DescribeAuthoritiesResponse) -> Presentation {
    Presentation::default().line(answer.certificates.trim_end())
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(DIGITS).collect()
}

fn claims(attributes: &[String]) -> Cell {
    match attributes {
        [] => text("any"),
        some => text(some.join(", ")),
    }
}

fn status(status: &str) -> Cell {
    let color = match status {
        "Active" => AnsiColor::Green,
        _ => AnsiColor::BrightBlack,
    };
    text(status).colored(color)
}
