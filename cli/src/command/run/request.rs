//! From the words of `berth run` to requests of RunTask.

use std::str::FromStr;
use std::time::Duration;

use berth_proto::ecs::v1::{
    ContainerOverride, KeyValuePair, PlacementConstraint, PlacementStrategy, RunTaskRequest, Tag, TaskOverride,
};
use clap::Args;

use crate::command::capacity::CapacityArgs;

/// The most tasks that ECS starts in one call.
const AT_MOST: u16 = 10;

/// Which tasks, how many and where they may go.
#[derive(Debug, Args)]
pub(in crate::command) struct TaskArgs {
    /// FAMILY, FAMILY:REVISION or an ARN
    #[arg(value_name = "TASKDEF")]
    pub(in crate::command) task_definition: String,
    /// How many; more than ten are asked for in calls of ten
    #[arg(long, short = 'n', default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(in crate::command) count: u16,
    /// The tasks' group [default: family:TASKDEF's family]
    #[arg(long)]
    group: Option<String>,
    /// Who starts them, to be found again by
    #[arg(long, value_name = "WHO")]
    started_by: Option<String>,
    /// Set an environment variable in a container; may be repeated
    #[arg(long, value_name = "CONTAINER:KEY=VALUE")]
    env: Vec<Variable>,
    /// Replace a container's command with what follows `--`
    #[arg(long, value_name = "CONTAINER", requires = "words")]
    command: Option<String>,
    /// Place only so: `distinctInstance`, or an expression of the cluster query language; may be repeated
    #[arg(long, value_name = "distinctInstance|EXPR")]
    constraint: Vec<Constraint>,
    /// Prefer in this order; may be repeated
    #[arg(long, value_name = "spread=FIELD|binpack=cpu|binpack=memory|random")]
    strategy: Vec<Strategy>,
    /// Let commands be run in them: `berth exec`, `aws ecs execute-command`
    #[arg(long)]
    enable_execute_command: bool,
    #[command(flatten)]
    capacity: CapacityArgs,
    /// The command for --command
    #[arg(last = true, value_name = "WORD", requires = "command")]
    words: Vec<String>,
}

/// `CONTAINER:KEY=VALUE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct Variable {
    container: String,
    key: String,
    value: String,
}

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "it must be CONTAINER:KEY=VALUE";
        let (name, value) = text.split_once('=').ok_or(RULE)?;
        let (container, key) = name.split_once(':').ok_or(RULE)?;
        if container.is_empty() || key.is_empty() {
            return Err(RULE);
        }
        Ok(Self {
            container: container.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// `distinctInstance`, or an expression that the instance must match.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command) struct Constraint(pub(in crate::command) PlacementConstraint);

impl FromStr for Constraint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, expression) = match text.trim() {
            "" => return Err("it must be distinctInstance or an expression"),
            "distinctInstance" => ("distinctInstance", None),
            expression => ("memberOf", Some(expression.to_owned())),
        };
        Ok(Self(PlacementConstraint {
            r#type: Some(kind.to_owned()),
            expression,
        }))
    }
}

/// `spread=FIELD`, `binpack=cpu`, `binpack=memory` or `random`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command) struct Strategy(pub(in crate::command) PlacementStrategy);

impl FromStr for Strategy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, field) = match text.split_once('=') {
            Some(("spread", field)) if !field.is_empty() => ("spread", Some(field)),
            Some(("binpack", field @ ("cpu" | "memory"))) => ("binpack", Some(field)),
            None if text == "random" => ("random", None),
            _ => {
                return Err("it must be spread=FIELD, binpack=cpu, binpack=memory or random, \
                            where FIELD is instanceId, host or attribute:NAME");
            }
        };
        Ok(Self(PlacementStrategy {
            r#type: Some(kind.to_owned()),
            field: field.map(str::to_owned),
        }))
    }
}

/// The requests that together ask for all the tasks, which may wait for room for so long.
pub(super) fn all(
    args: &TaskArgs,
    queue: Option<Duration>,
    cluster: Option<&str>,
) -> impl Iterator<Item = RunTaskRequest> {
    let request = RunTaskRequest {
        tags: queue.map(patience).into_iter().collect(),
        ..one(args, cluster)
    };
    counts(args.count).map(move |count| RunTaskRequest {
        count: Some(i32::from(count)),
        ..request.clone()
    })
}

/// One request for all the tasks: more than RunTask takes.
pub(in crate::command) fn one(args: &TaskArgs, cluster: Option<&str>) -> RunTaskRequest {
    RunTaskRequest {
        cluster: cluster.map(str::to_owned),
        count: Some(i32::from(args.count)),
        task_definition: Some(args.task_definition.clone()),
        group: args.group.clone(),
        started_by: args.started_by.clone(),
        overrides: overrides(&args.env, args.command.as_deref(), &args.words),
        placement_constraints: args.constraint.iter().map(|it| it.0.clone()).collect(),
        placement_strategy: args.strategy.iter().map(|it| it.0.clone()).collect(),
        enable_execute_command: args.enable_execute_command.then_some(true),
        launch_type: args.capacity.launch_type(),
        capacity_provider_strategy: args.capacity.strategy(),
        network_configuration: args.capacity.network(),
        ..Default::default()
    }
}

/// RunTask has no member for it: a tag says how long tasks may wait for room.
pub(in crate::command) fn patience(span: Duration) -> Tag {
    Tag {
        key: Some("berth:queue".to_owned()),
        value: Some(format!("{}s", span.as_secs())),
    }
}

fn counts(total: u16) -> impl Iterator<Item = u16> {
    (0..total)
        .step_by(usize::from(AT_MOST))
        .map(move |placed| AT_MOST.min(total - placed))
}

/// What differs from the definition; nothing where nothing does.
pub(in crate::command) fn overrides(env: &[Variable], command: Option<&str>, words: &[String]) -> Option<TaskOverride> {
    let mut containers: Vec<ContainerOverride> = Vec::new();
    for variable in env {
        of_container(&mut containers, &variable.container)
            .environment
            .push(KeyValuePair {
                name: Some(variable.key.clone()),
                value: Some(variable.value.clone()),
                ..KeyValuePair::default()
            });
    }
    if let Some(container) = command {
        of_container(&mut containers, container).command = words.to_vec();
    }
    (!containers.is_empty()).then(|| TaskOverride {
        container_overrides: containers,
        ..Default::default()
    })
}

fn of_container<'a>(overrides: &'a mut Vec<ContainerOverride>, name: &str) -> &'a mut ContainerOverride {
    let known = overrides.iter().position(|it| it.name() == name);
    let index = known.unwrap_or_else(|| {
        overrides.push(ContainerOverride {
            name: Some(name.to_owned()),
            ..Default::default()
        });
        overrides.len() - 1
    });
    &mut overrides[index]
}

#[cfg(test)]
mod tests {
    use super::{Constraint, Strategy, Variable, counts};

    #[test]
    fn tasks_are_asked_for_in_calls_of_ten() {
        assert_eq!(counts(1).collect::<Vec<_>>(), [1]);
        assert_eq!(counts(10).collect::<Vec<_>>(), [10]);
        assert_eq!(counts(25).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[test]
    fn a_variable_names_its_container_and_may_hold_anything() {
        let parsed = "app:URL=http://a:1/?b=c".parse();
        let expected = Variable {
            container: "app".to_owned(),
            key: "URL".to_owned(),
            value: "http://a:1/?b=c".to_owned(),
        };
        assert_eq!(parsed, Ok(expected));
        for text in ["KEY=VALUE", "app:KEY", ":KEY=VALUE", "app:=VALUE", ""] {
            assert!(text.parse::<Variable>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_constraint_that_is_no_keyword_is_an_expression() -> Result<(), &'static str> {
        let distinct = "distinctInstance".parse::<Constraint>()?.0;
        assert_eq!(distinct.r#type(), "distinctInstance");
        assert_eq!(distinct.expression, None);
        let member = "attribute:zone == a".parse::<Constraint>()?.0;
        assert_eq!(
            (member.r#type(), member.expression()),
            ("memberOf", "attribute:zone == a")
        );
        assert!(" ".parse::<Constraint>().is_err());
        Ok(())
    }

    #[test]
    fn strategies_are_those_of_ecs() -> Result<(), &'static str> {
        let spread = "spread=attribute:zone".parse::<Strategy>()?.0;
        assert_eq!((spread.r#type(), spread.field()), ("spread", "attribute:zone"));
        assert_eq!("binpack=memory".parse::<Strategy>()?.0.field(), "memory");
        assert_eq!("random".parse::<Strategy>()?.0.field, None);
        for text in ["", "spread", "spread=", "binpack=disk", "random=x", "first"] {
            assert!(text.parse::<Strategy>().is_err(), "{text}");
        }
        Ok(())
    }
}
