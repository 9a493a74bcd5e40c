//! `berth logs`.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use berth_model::time::Timestamp;
use berth_proto::v1::LogsRequest;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::ps;
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::logs::{Lines, Style};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth logs 3f2a
  berth logs -f --tail 20 --service web --service db
  berth logs --since 10m --timestamps 3f2a 91c0 --container app

What all containers have written to standard output and standard error, in the order of time by the clocks of their hosts. Of
a service these are the tasks that run, and with --follow those that it starts later too; those that have stopped can be named.
Logs are there for as long as Docker has the containers, and where their log driver can be read (json-file, local, journald).")]
pub(crate) struct LogsArgs {
    /// ARNs, ids, or the beginnings of ids with at least four characters; at most a hundred
    #[arg(value_name = "TASK", required_unless_present = "service")]
    tasks: Vec<String>,
    /// Of the tasks of this service: name or ARN; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only of containers of this name; may be repeated
    #[arg(long, short, value_name = "NAME")]
    container: Vec<String>,
    #[command(flatten)]
    form: FormArgs,
}

/// How much of them, and how it looks.
#[derive(Debug, Args)]
pub(super) struct FormArgs {
    /// Go on with what is written later, until the tasks have stopped or Ctrl-C
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only what was written since: a time such as 2026-11-21T06:30:00Z, or an age such as 10m
    #[arg(long, value_name = "TIME|AGE", value_parser = since)]
    since: Option<Since>,
    /// Only so many of the last lines of each container
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<u32>,
    /// Show when each line was written (UTC)
    #[arg(long, short)]
    timestamps: bool,
    /// Do not begin each line with its task and container
    #[arg(long)]
    no_prefix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Since {
    Time(Timestamp),
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(time) = Timestamp::from_rfc3339(text) {
        return Ok(Since::Time(time));
    }
    let wrong = |_| "it must be a time such as 2026-11-21T06:30:00Z, or an age such as 10m".to_owned();
    duration(text).map(Since::Ago).map_err(wrong)
}

impl Since {
    /// Seconds since the epoch.
    fn seconds(self, now: SystemTime) -> f64 {
        match self {
            Self::Time(time) => time.as_epoch_seconds(),
            Self::Ago(span) => {
                let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                now.saturating_sub(span).as_secs_f64()
            }
        }
    }
}

impl FormArgs {
    /// The request, but for what is asked about.
    pub(super) fn request(&self) -> LogsRequest {
        LogsRequest {
            follow: self.follow,
            tail: self.tail,
            since: self.since.map(|since| since.seconds(SystemTime::now())),
            ..LogsRequest::default()
        }
    }
}

pub(super) async fn run(args: LogsArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let tasks = match args.tasks.as_slice() {
        [] => Vec::new(),
        named => ps::named(api, named).await?,
    };
    let request = LogsRequest {
        tasks,
        services: args.service,
        containers: args.container,
        ..args.form.request()
    };
    show(&args.form, request, api, output).await
}

/// Shows what is asked for, until there is no more or Ctrl-C.
pub(super) async fn show(
    form: &FormArgs,
    request: LogsRequest,
    api: &Api,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    ensure!(
        !api.is_past(),
        "--at: logs are not in the journal; --since and --tail say which lines are wanted"
    );
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stopped = if form.follow { Ending::Done } else { Ending::Interrupted };
    tokio::select! {
        shown = print(form, request, api, output) => shown.map(|()| Ending::Done),
        _ = interrupt.recv() => Ok(stopped),
        _ = terminate.recv() => Ok(stopped),
    }
}

async fn print(form: &FormArgs, request: LogsRequest, api: &Api, output: &mut Output) -> anyhow::Result<()> {
    let style = match output.is_json() {
        true => Style::Json,
        false => Style::Text {
            prefix: !form.no_prefix,
            timestamps: form.timestamps,
            is_terminal: output.is_terminal(),
        },
    };
    let mut lines = Lines::new(style);
    let mut reading = api.logs(request).await?;
    while let Some(answer) = api.next_lines(&mut reading).await? {
        for line in &answer.lines {
            match lines.notice(line) {
                Some(notice) => output.problem(&notice)?,
                None => output.raw(&lines.text(line))?,
            }
        }
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_begin_at_a_time_or_some_time_ago() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let seconds = |text| since(text).map(|since| since.seconds(now));
        assert_eq!(seconds("1970-01-01T00:00:05Z"), Ok(5.0));
        assert_eq!(seconds("10m"), Ok(400.0));
        assert_eq!(seconds("1h"), Ok(0.0));
        assert!(since("yesterday").is_err());
    }
}
