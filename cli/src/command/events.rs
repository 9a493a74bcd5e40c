//! `berth events`.

use std::time::Duration;

use anyhow::Context;
use berth_proto::v1::{WatchRequest, WatchResponse};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::Ending;
use crate::api::{Api, CallError};
use crate::output::Output;
use crate::show::events as show;

/// Revisions that are looked back where nothing says from where on.
const LAST: u64 = 1000;
/// Before a scheduler that went away is tried again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth events                                     of the last 1000 revisions of the journal
  berth events --follow                            what happens from now on
  berth events --from 4711 --follow                from that revision on
  berth events --follow --group service:web
  berth events --detail-type task --json | jq .detail.lastStatus

Each line has the time (UTC), the place in the journal, what happened, and who asked for it. Without --cluster the events
of all clusters are shown. A connection that breaks is made again and nothing is shown twice or left out.")]
pub(crate) struct EventsArgs {
    /// Begin with this revision of the journal
    #[arg(long, value_name = "REVISION", group = "start")]
    from: Option<u64>,
    /// Begin behind this place in the journal, as lines and `berth.position` of events have it
    #[arg(long, value_name = "POSITION", group = "start")]
    after: Option<String>,
    /// Begin so many revisions back [default: 1000, without --follow]
    #[arg(long, value_name = "NUMBER", group = "start")]
    last: Option<u64>,
    /// Go on until Ctrl-C instead of ending with what there is
    #[arg(long, short)]
    follow: bool,
    /// Only these: task, instance, deployment, service, or EventBridge's names; may be repeated
    #[arg(long = "detail-type", value_name = "TYPE")]
    detail_types: Vec<String>,
    /// Only what is about this task, instance or service: id, name or ARN
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Only what is about this group, such as service:web
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Each event as EventBridge has it, one a line, as with --output json
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: EventsArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let (follow, json) = (args.follow, args.json || output.is_json());
    let anywhere = args.from.is_none() && args.after.is_none() && args.last.is_none();
    let request = WatchRequest {
        from: args.from,
        after: args.after,
        last: args.last.or((anywhere && !follow).then_some(LAST)),
        cluster: None,
        detail_types: args.detail_types,
        resource: args.resource,
        group: args.group,
    };
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        shown = show_all(api, output, request, follow, json) => shown.map(|()| Ending::Done),
        _ = interrupt.recv() => Ok(if follow { Ending::Done } else { Ending::Interrupted }),
        _ = terminate.recv() => Ok(if follow { Ending::Done } else { Ending::Interrupted }),
    }
}

/// Shows events until all that there were are shown; for ever where they are followed.
async fn show_all(
    api: &Api,
    output: &mut Output,
    mut request: WatchRequest,
    follow: bool,
    json: bool,
) -> anyhow::Result<()> {
    // The newest revision when it began.
    let mut until = None;
    let mut is_away = false;
    loop {
        let error = match api.watch(request.clone()).await {
            Ok(mut watching) => loop {
                match api.next_events(&mut watching).await {
                    Ok(message) => {
                        if std::mem::take(&mut is_away) {
                            output.progress("the scheduler is back")?;
                        }
                        print(&message, output, json)?;
                        let last = *until.get_or_insert(message.head);
                        if !follow && message.revision >= last {
                            return Ok(());
                        }
                        request = WatchRequest {
                            from: None,
                            last: None,
                            after: Some(message.position),
                            ..request
                        };
                    }
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        // What is wrong from the beginning is told at once.
        if until.is_none() || !error.is_passing() {
            return Err(error.into());
        }
        if !is_away && is_news(&error) {
            is_away = true;
            output.progress(&format!("{error}; trying again"))?;
        }
        sleep(PAUSE).await;
    }
}

/// That a reader was too slow is put right at once and nobody's concern.
fn is_news(error: &CallError) -> bool {
    !matches!(error, CallError::Fault { class, .. } if class == "ThrottlingException")
}

fn print(message: &WatchResponse, output: &mut Output, json: bool) -> anyhow::Result<()> {
    for event in &message.events {
        match json {
            true => output.line(&event.json)?,
            false => output.line(&show::line(event))?,
        }
    }
    Ok(())
}
