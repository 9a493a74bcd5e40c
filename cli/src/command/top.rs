//! `berth top`.

use std::time::Duration;

use anyhow::Context;
use berth_proto::v1::{DescribeUsageRequest, DescribeUsageResponse};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{instances, ps};
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::{Output, Presentation};
use crate::screen::Screen;
use crate::show::Table;
use crate::show::usage as show;

/// Rows where there is no screen to fill.
const ROWS: u16 = 1000;
/// Lines above and below the rows of a screen: the summary, the headings, the keys.
const AROUND: usize = 4;
const KEYS: &str = "q quit   c, m sort by CPU, memory   1 instances   2 tasks   3 containers   4 groups";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth top
  berth top --tasks --sort memory
  berth top --containers --instance 7c1e --once
  berth top --groups --output json

CPU is in units, 1024 a core. CPU % and MEM % are of the host for instances, and of what is reserved for all others,
as CloudWatch counts; CPU RES and MEM RES are what tasks reserve of an instance. Agents tell every 10 s (AGE).")]
pub(crate) struct TopArgs {
    /// Tasks instead of container instances
    #[arg(long, group = "kind")]
    tasks: bool,
    /// Containers instead of container instances
    #[arg(long, group = "kind")]
    containers: bool,
    /// Groups of tasks, such as services, instead of container instances
    #[arg(long, group = "kind")]
    groups: bool,
    /// Who comes first: who uses most of this
    #[arg(long, value_name = "WHAT", default_value = "cpu")]
    sort: Order,
    /// Only what is on this container instance; may be repeated
    #[arg(long = "instance", value_name = "ID")]
    instances: Vec<String>,
    /// Only this task; may be repeated
    #[arg(long = "task", value_name = "ID")]
    only: Vec<String>,
    /// Only tasks of this group, such as service:web
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// At most so many rows [default: what the screen has room for, else 1000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Between two looks
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// Print it once and end, as where standard output is no terminal
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Cpu,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Instances,
    Tasks,
    Containers,
    Groups,
}

/// What is looked at now; keys change it.
struct View {
    kind: Kind,
    order: Order,
    /// Without the kind, the order and the number of rows.
    selection: DescribeUsageRequest,
    limit: Option<u16>,
}

pub(super) async fn run(args: TopArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let selection = DescribeUsageRequest {
        container_instances: instances::all_named(api, &args.instances).await?,
        tasks: ps::named(api, &args.only).await?,
        group: args.group,
        ..DescribeUsageRequest::default()
    };
    let mut view = View {
        kind: match (args.tasks, args.containers, args.groups) {
            (true, _, _) => Kind::Tasks,
            (_, true, _) => Kind::Containers,
            (_, _, true) => Kind::Groups,
            (false, false, false) => Kind::Instances,
        },
        order: args.sort,
        selection,
        limit: args.limit,
    };
    if !args.once && !output.is_json() && Screen::is_there() {
        live(&mut view, api, args.interval).await?;
        return Ok(Ending::Done);
    }
    let answer = api.usage(view.request(ROWS)).await?;
    output.answer(&answer, |answer| view.present(answer))?;
    for failure in &answer.failures {
        output.problem(&format!(
            "\"{}\": {}: {}",
            failure.arn(),
            failure.reason(),
            failure.detail()
        ))?;
    }
    Ok(if answer.failures.is_empty() {
        Ending::Done
    } else {
        Ending::Incomplete
    })
}

/// Draws until the user has seen enough. A scheduler that goes away is told of and waited for.
async fn live(view: &mut View, api: &Api, interval: Duration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut resized = signal(SignalKind::window_change()).context("cannot listen for changes of the window")?;
    // What is wrong from the beginning is told where it stays to be read.
    let mut answer = api.usage(view.request(rows())).await?;
    let screen = Screen::enter().context("cannot draw on the terminal")?;
    let mut keys = screen.keys();
    screen.draw(&view.frame(&answer, None))?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = resized.recv() => {}
            key = pressed(&mut keys) => if view.press(key) { return Ok(()) },
        }
        let mut problem = None;
        let look = api.usage(view.request(rows()));
        // A call may take long, and keeps nobody here.
        tokio::select! {
            looked = look => match looked {
                Ok(newer) => answer = newer,
                Err(error) => problem = Some(format!("error: {error}")),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
        screen.draw(&view.frame(&answer, problem.as_deref()))?;
    }
}

/// The next key; for ever where there are none.
async fn pressed(keys: &mut mpsc::Receiver<u8>) -> u8 {
    match keys.recv().await {
        Some(key) => key,
        None => std::future::pending().await,
    }
}

fn rows() -> u16 {
    let (lines, _) = Screen::size();
    u16::try_from(lines.saturating_sub(AROUND).max(1))
        .unwrap_or(ROWS)
        .min(ROWS)
}

impl View {
    /// Does what the key says; says whether that is to end.
    fn press(&mut self, key: u8) -> bool {
        match key {
            b'q' | b'Q' => return true,
            b'c' => self.order = Order::Cpu,
            b'm' => self.order = Order::Memory,
            b'1' => self.kind = Kind::Instances,
            b'2' => self.kind = Kind::Tasks,
            b'3' => self.kind = Kind::Containers,
            b'4' => self.kind = Kind::Groups,
            _ => {}
        }
        false
    }

    fn request(&self, rows: u16) -> DescribeUsageRequest {
        let kind = match self.kind {
            Kind::Instances => "INSTANCES",
            Kind::Tasks => "TASKS",
            Kind::Containers => "CONTAINERS",
            Kind::Groups => "GROUPS",
        };
        let order = match self.order {
            Order::Cpu => "CPU",
            Order::Memory => "MEMORY",
        };
        DescribeUsageRequest {
            include: vec![kind.to_owned()],
            sort_by: Some(order.to_owned()),
            max_results: Some(self.limit.unwrap_or(ROWS).min(rows).into()),
            ..self.selection.clone()
        }
    }

    fn table(&self, answer: &DescribeUsageResponse) -> Table {
        match self.kind {
            Kind::Instances => show::instances(&answer.instances),
            Kind::Tasks => show::tasks(&answer.tasks),
            Kind::Containers => show::containers(&answer.containers),
            Kind::Groups => show::groups(&answer.groups),
        }
    }

    fn present(&self, answer: &DescribeUsageResponse) -> Presentation {
        let presentation = Presentation::default().table(&self.table(answer));
        match answer.left_out {
            0 => presentation,
            more => presentation.line(format!("... and {more} more")),
        }
    }

    fn frame(&self, answer: &DescribeUsageResponse, problem: Option<&str>) -> String {
        let summary = problem.map_or_else(|| show::summary(&answer.cluster.unwrap_or_default()), str::to_owned);
        let more = match answer.left_out {
            0 => String::new(),
            more => format!("   ... and {more} more"),
        };
        format!("{summary}\n{}\n{KEYS}{more}\n", self.table(answer).render())
    }
}
