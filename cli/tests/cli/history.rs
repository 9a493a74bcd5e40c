//! `berth history`, and `--at`.

use berth_proto::v1::{HistoryLine, HistoryResponse};

use crate::berth::berth;
use crate::fake::{Fake, instance, task};

fn line(revision: u64, what: &str, why: &str) -> HistoryLine {
    HistoryLine {
        revision,
        at: 1_000_000_000.25,
        by: "grpc 10.0.0.1".to_owned(),
        what: what.to_owned(),
        why: why.to_owned(),
    }
}

/// Three lines on two pages.
fn with_history() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    let page = |lines: Vec<HistoryLine>, next_token: Option<&str>| HistoryResponse {
        lines,
        next_token: next_token.map(str::to_owned),
        oldest_revision: 5,
        oldest_at: Some(0.0),
    };
    let mut state = fake.state();
    state.tasks = vec![task("aaaa", "RUNNING")];
    state.history = [
        page(
            vec![line(17, "is to stop", "UserInitiated"), line(9, "RUNNING", "")],
            Some("abcd"),
        ),
        page(vec![line(8, "placed on container instance 12", "web:1")], None),
    ]
    .into();
    drop(state);
    Ok(fake)
}

#[test]
fn a_story_is_a_table_of_all_pages() -> anyhow::Result<()> {
    let fake = with_history()?;
    let ran = berth(&fake.url, &["history", "task", "aaaa"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "\
TIME                      REVISION  WHO            WHAT                             WHY
2001-09-09T01:46:40.250Z        17  grpc 10.0.0.1  is to stop                       UserInitiated
2001-09-09T01:46:40.250Z         9  grpc 10.0.0.1  RUNNING                          -
2001-09-09T01:46:40.250Z         8  grpc 10.0.0.1  placed on container instance 12  web:1
"
    );
    assert_eq!(ran.stderr, "");
    let state = fake.state();
    let tokens: Vec<Option<&str>> = state
        .history_calls
        .iter()
        .map(|call| call.next_token.as_deref())
        .collect();
    assert_eq!(tokens, [None, Some("abcd")]);
    assert!(state.history_calls[0].task().ends_with(&format!("/{:0<32}", "aaaa")));
    Ok(())
}

#[test]
fn a_limit_ends_the_story_and_says_so() -> anyhow::Result<()> {
    let fake = with_history()?;
    let ran = berth(
        &fake.url,
        &["history", "service", "web", "--limit", "1", "--output", "json"],
    )?;
    assert_eq!(ran.json()?["lines"].as_array().map(Vec::len), Some(1), "{ran:?}");
    assert_eq!(ran.stderr, "there is more: --limit sets how many lines are told\n");
    assert_eq!(fake.state().history_calls.len(), 1);
    Ok(())
}

#[test]
fn nothing_to_tell_says_since_when_is_kept() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().history = [HistoryResponse {
        oldest_revision: 5,
        oldest_at: Some(1.0),
        ..HistoryResponse::default()
    }]
    .into();
    let ran = berth(&fake.url, &["history", "service", "web"])?;
    assert_eq!(
        ran.stderr,
        "nothing is told of it: the journal keeps what happened since 1970-01-01T00:00:01.000Z (revision 5)\n"
    );
    Ok(())
}

#[test]
fn every_call_of_a_command_asks_for_the_moment_and_the_revision_is_told() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().instances = vec![instance("aaaa")];
    let ran = berth(&fake.url, &["instances", "--at", "1234"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "as of revision 17\n");
    assert!(ran.stdout.contains("aaaa0000"), "{ran:?}");
    assert_eq!(
        fake.state().at,
        ["1234", "1234"],
        "no usage, which is not known of the past"
    );

    let ran = berth(&fake.url, &["clusters", "list", "--at", "2026-11-21T06:30:00Z"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(fake.state().at[2..].iter().all(|at| at == "2026-11-21T06:30:00Z"));
    let plain = berth(&fake.url, &["clusters", "list"])?;
    assert_eq!(plain.stderr, "", "the present needs no revision");
    Ok(())
}

#[test]
fn what_asks_no_scheduler_takes_no_moment() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(&fake.url, &["completions", "bash", "--at", "1"])?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("--at asks a scheduler how things were"), "{ran:?}");
    Ok(())
}

#[test]
fn a_moment_that_is_none_is_wrong_usage() -> anyhow::Result<()> {
    let ran = berth("http://127.0.0.1:1", &["ps", "--at", "yesterday"])?;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr
            .contains("invalid value 'yesterday' for '--at <REVISION|TIME|AGE>': it must be a revision such as 1234"),
        "{ran:?}"
    );
    Ok(())
}
