//! `berth plan`.

use std::str::FromStr;

use berth_proto::ecs::v1::Attribute;
use berth_proto::v1::{OneMore, PlanRequest};
use clap::Args;

use super::instances;
use super::run::{self, TaskArgs};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::plan as show;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth plan web --count 200
  berth plan web --count 50 --strategy binpack=memory --one-more-like 7c1e
  berth plan web --one-more cpu=8192,memory=32768,ecs.availability-zone=rack-2

In bars, # is reserved now and + would be.

Exit status 1: something would not be placed.")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Tell of the first so many why they go where they go
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    explain: u8,
    /// What one more container instance like this one would bring
    #[arg(long, value_name = "INSTANCE")]
    one_more_like: Option<String>,
    /// What one more container instance of this size, with these attributes, would bring
    #[arg(long, value_name = "cpu=UNITS,memory=MIB,NAME=VALUE,...")]
    one_more: Option<Size>,
}

/// `cpu=UNITS,memory=MIB,NAME=VALUE`, each of them or not.
#[derive(Clone, Debug, PartialEq)]
struct Size(OneMore);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut size = OneMore::default();
        for part in text.split(',') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (part.trim(), None),
            };
            let number = || {
                let number = value.and_then(|value| value.parse().ok());
                number.ok_or("cpu and memory must be whole numbers: CPU units and MiB")
            };
            match name {
                "" => return Err("it must be cpu=UNITS,memory=MIB and attributes as NAME=VALUE"),
                "cpu" => size.cpu = Some(number()?),
                "memory" => size.memory = Some(number()?),
                name => size.attributes.push(Attribute {
                    name: Some(name.to_owned()),
                    value: value.map(str::to_owned),
                    ..Default::default()
                }),
            }
        }
        Ok(Self(size))
    }
}

pub(super) async fn run(args: PlanArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let mut request = of(&args.tasks, api.cluster());
    request.explain = Some(args.explain.into());
    request.one_more = args.one_more.map(|size| size.0);
    if let Some(name) = args.one_more_like {
        let like = instances::named(api, name).await?;
        request.one_more.get_or_insert_default().like = Some(like);
    }
    tell(request, api, output).await
}

/// The question that asks for nothing but the tasks.
pub(super) fn of(tasks: &TaskArgs, cluster: Option<&str>) -> PlanRequest {
    PlanRequest {
        run_task: Some(run::one(tasks, cluster)),
        explain: Some(0),
        one_more: None,
    }
}

/// Asks, and shows the answer.
pub(super) async fn tell(request: PlanRequest, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let asked = request.run_task.as_ref().map_or(0, |run| run.count());
    let asked = u32::try_from(asked).unwrap_or(0);
    let answer = api.plan(request).await?;
    output.answer(&answer, |answer| show::present(answer, asked))?;
    Ok(if answer.placed < asked {
        Ending::Incomplete
    } else {
        Ending::Done
    })
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn a_size_is_read_with_its_attributes() -> Result<(), &'static str> {
        let size = "cpu=4096, memory=8192,zone=a=b,gpu".parse::<Size>()?.0;
        assert_eq!((size.cpu, size.memory), (Some(4096), Some(8192)));
        let attributes = size.attributes.iter();
        let attributes: Vec<_> = attributes.map(|it| (it.name(), it.value.as_deref())).collect();
        assert_eq!(attributes, [("zone", Some("a=b")), ("gpu", None)]);
        for text in ["", "cpu", "cpu=x", "memory=1.5", "=a", "cpu=1,,memory=2"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        Ok(())
    }
}
