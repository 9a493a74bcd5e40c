//! `berth events`.

use std::io::{BufRead, BufReader};

use anyhow::{Context, ensure};
use berth_proto::v1::{Event, WatchResponse};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::berth::{berth, command};
use crate::fake::Fake;

fn event(position: &str) -> Event {
    let detail = r#"{"taskArn":"a/0123456789abcdef","taskDefinitionArn":"a/web:1","lastStatus":"RUNNING"}"#;
    Event {
        id: format!("id-{position}"),
        position: position.to_owned(),
        detail_type: "ECS Task State Change".to_owned(),
        time: "2026-11-21T22:41:03.250Z".to_owned(),
        resources: vec!["a/0123456789abcdef".to_owned()],
        by: "somebody".to_owned(),
        json: format!(r#"{{"id":"{position}","detail":{detail}}}"#),
    }
}

fn told(revision: u64, head: u64, events: &[&str]) -> Result<WatchResponse, Status> {
    Ok(WatchResponse {
        position: revision.to_string(),
        revision,
        head,
        events: events.iter().map(|position| event(position)).collect(),
    })
}

/// What a scheduler says that ends.
fn ends() -> Result<WatchResponse, Status> {
    let mut status = Status::internal("The scheduler is shutting down.");
    let class = MetadataValue::from_static("ServerException");
    status.metadata_mut().insert("berth-fault", class);
    Err(status)
}

#[test]
fn what_happened_is_listed_up_to_the_newest() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().streams = vec![vec![
        told(4, 7, &[]),
        told(6, 7, &["5.1", "6.1"]),
        told(7, 8, &["7.1"]),
        told(8, 8, &["8.1"]),
    ]]
    .into();
    let ran = berth(
        &fake.url,
        &["events", "--detail-type", "task", "--group", "service:web"],
    )?;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let first = "2026-11-21T22:41:03Z  5.1         task 0123456789abcdef web:1 RUNNING; by somebody";
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((lines.len(), lines.first()), (3, Some(&first)), "{ran:?}");
    let asked = fake.state().watches.pop().context("nothing was asked")?;
    assert_eq!((asked.from, asked.after, asked.last), (None, None, Some(1000)));
    assert_eq!(
        (asked.detail_types, asked.group),
        (vec!["task".to_owned()], Some("service:web".to_owned()))
    );

    fake.state().streams = vec![vec![told(7, 7, &["7.1", "7.2"])]].into();
    let ran = berth(&fake.url, &["events", "--from", "7", "--json"])?;
    let ids: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
    ensure!(
        ids.len() == 2 && ids.iter().all(|line| line.starts_with(r#"{"id":"7."#)),
        "{ran:?}"
    );
    assert_eq!(fake.state().watches.last().and_then(|asked| asked.from), Some(7));
    Ok(())
}

#[test]
fn a_stream_that_breaks_goes_on_where_it_was_and_ends_with_ctrl_c() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().streams = vec![
        vec![told(4, 4, &[]), told(5, 5, &["5.1"]), ends()],
        vec![told(5, 6, &[]), told(6, 6, &["6.1"])],
        vec![told(6, 7, &[]), told(7, 7, &["7.1"])],
    ]
    .into();
    let mut child = command(&fake.url, &["events", "--follow"]).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let shown: Vec<String> = lines.take(3).collect::<Result<_, _>>()?;
    let places: Vec<&str> = shown.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(places, ["5.1", "6.1", "7.1"]);
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let ended = child.wait_with_output()?;
    let said = String::from_utf8(ended.stderr)?;
    assert_eq!(ended.status.code(), Some(0), "{said}");
    ensure!(said.contains("The scheduler is shutting down.; trying again"), "{said}");
    let asked: Vec<Option<String>> = fake.state().watches.iter().map(|asked| asked.after.clone()).collect();
    assert_eq!(asked[..3], [None, Some("5".to_owned()), Some("6".to_owned())]);
    Ok(())
}

#[test]
fn what_is_gone_is_told_as_such() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let mut gone = Status::invalid_argument("Events from revision 7 on are not in the journal any more.");
    gone.metadata_mut()
        .insert("berth-fault", "InvalidParameterException".parse()?);
    fake.state().streams = vec![vec![Err(gone)]].into();
    let ran = berth(&fake.url, &["events", "--from", "7", "--follow"])?;
    assert_eq!(ran.code, Some(1));
    let says = "error: InvalidParameterException: Events from revision 7 on are not in the journal any more.\n";
    assert_eq!(ran.stderr, says);
    Ok(())
}
