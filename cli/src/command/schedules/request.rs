//! From the words of `berth schedules create` and `update` to requests.

use std::time::Duration;

use berth_model::time::Timestamp;
use berth_proto::ecs::v1::RunTaskRequest;
use berth_proto::v1::{CreateScheduleRequest, FlexibleTimeWindow, RetryPolicy, Schedule, UpdateScheduleRequest};
use clap::{Args, ValueEnum};

use crate::args::duration;
use crate::command::run::{Constraint, Strategy, Variable, overrides, patience};

/// `berth schedules create`
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Up to 64 letters, digits, hyphens, underscores and full stops
    name: String,
    #[command(flatten)]
    when: Expression,
    #[command(flatten)]
    rules: RuleArgs,
    /// What to run: FAMILY, FAMILY:REVISION or an ARN
    #[arg(long, value_name = "TASKDEF")]
    task_definition: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Make it without letting it run yet
    #[arg(long)]
    disabled: bool,
}

/// `berth schedules update`
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Name or ARN
    name: String,
    #[command(flatten)]
    when: MaybeExpression,
    #[command(flatten)]
    rules: RuleArgs,
    /// It begins when it is made, and not at a time of its own
    #[arg(long, conflicts_with = "start")]
    no_start: bool,
    /// It has no end
    #[arg(long, conflicts_with = "end")]
    no_end: bool,
    /// Run each when it is due, and not within a window
    #[arg(long, conflicts_with = "window")]
    no_window: bool,
    /// What to run: FAMILY, FAMILY:REVISION or an ARN
    #[arg(long, value_name = "TASKDEF")]
    task_definition: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
}

/// When it is due.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Expression {
    /// Whenever clocks show it: MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR
    #[arg(long, value_name = "FIELDS")]
    cron: Option<String>,
    /// Again and again, counted from now or from --start: such as `5 minutes` or `1 day`
    #[arg(long, value_name = "VALUE UNIT")]
    rate: Option<String>,
    /// Once: yyyy-mm-ddThh:mm:ss
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// When it is due, if that is to change.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
struct MaybeExpression {
    /// Whenever clocks show it: MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR
    #[arg(long, value_name = "FIELDS")]
    cron: Option<String>,
    /// Again and again, counted from now or from --start: such as `5 minutes` or `1 day`
    #[arg(long, value_name = "VALUE UNIT")]
    rate: Option<String>,
    /// Once: yyyy-mm-ddThh:mm:ss
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// How it runs.
#[derive(Debug, Args)]
struct RuleArgs {
    /// Whose clocks --cron and --at mean: a name of the IANA database [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Nothing is due before: RFC 3339, such as 2026-11-21T06:30:00+01:00
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<f64>,
    /// Nothing is due after: RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<f64>,
    /// Begin each run somewhere within so long after it is due, in whole minutes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    window: Option<Duration>,
    /// What a run does while tasks of an earlier one have not stopped [default: allow]
    #[arg(long, value_name = "WHAT")]
    overlap: Option<Overlap>,
    /// Try tasks that find no room again for so long after they were due [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    retry_for: Option<Duration>,
    /// Try them again so often [default: 185]
    #[arg(long, value_name = "TIMES")]
    retries: Option<u16>,
    /// Delete it once it will not be due again
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    delete_after_completion: Option<bool>,
    /// In your words
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// What a run starts besides its definition.
#[derive(Debug, Args)]
struct TargetArgs {
    /// How many tasks [default: 1]
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u16).range(1..=10))]
    count: Option<u16>,
    /// The tasks' group [default: family:TASKDEF's family]
    #[arg(long)]
    group: Option<String>,
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
    /// Let tasks that find no room wait for it for so long, rather than be tried again
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    queue: Option<Duration>,
    /// The command for --command
    #[arg(last = true, value_name = "WORD", requires = "command")]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Overlap {
    /// It starts its tasks beside them
    Allow,
    /// It starts none
    Skip,
    /// It stops them and starts its own
    Replace,
}

/// Seconds since the epoch.
fn moment(text: &str) -> Result<f64, String> {
    let moment = Timestamp::from_rfc3339(text).map(Timestamp::as_epoch_seconds);
    moment.ok_or_else(|| "it must be such as 2026-11-21T06:30:00Z or 2026-11-21T06:30:00+01:00".to_owned())
}

fn expression(cron: Option<&String>, rate: Option<&String>, at: Option<&String>) -> Option<String> {
    let kinds = [("cron", cron), ("rate", rate), ("at", at)];
    let given = kinds.into_iter().find_map(|(kind, inner)| Some((kind, inner?)));
    given.map(|(kind, inner)| format!("{kind}({inner})"))
}

impl RuleArgs {
    fn window(&self) -> Option<FlexibleTimeWindow> {
        let minutes = self.window?.as_secs().div_ceil(60);
        Some(FlexibleTimeWindow {
            mode: Some("FLEXIBLE".to_owned()),
            maximum_window_in_minutes: Some(i32::try_from(minutes).unwrap_or(i32::MAX)),
        })
    }

    fn overlap(&self) -> Option<String> {
        let name = match self.overlap? {
            Overlap::Allow => "ALLOW",
            Overlap::Skip => "SKIP",
            Overlap::Replace => "REPLACE",
        };
        Some(name.to_owned())
    }

    /// What is named, and the rest as it was or as it is by default.
    fn retry(&self, known: Option<&RetryPolicy>) -> Option<RetryPolicy> {
        if self.retry_for.is_none() && self.retries.is_none() {
            return None;
        }
        let age = self
            .retry_for
            .map(|age| i32::try_from(age.as_secs()).unwrap_or(i32::MAX));
        Some(RetryPolicy {
            maximum_event_age_in_seconds: age.or_else(|| known?.maximum_event_age_in_seconds),
            maximum_retry_attempts: self.retries.map(i32::from).or_else(|| known?.maximum_retry_attempts),
        })
    }

    fn after_completion(&self) -> Option<String> {
        let name = if self.delete_after_completion? {
            "DELETE"
        } else {
            "NONE"
        };
        Some(name.to_owned())
    }
}

impl TargetArgs {
    fn is_empty(&self) -> bool {
        self.count.is_none()
            && self.group.is_none()
            && self.env.is_empty()
            && self.command.is_none()
            && self.constraint.is_empty()
            && self.strategy.is_empty()
            && self.queue.is_none()
    }

    /// The target, with what was named in place of what was.
    fn over(self, mut target: RunTaskRequest) -> RunTaskRequest {
        if let Some(count) = self.count {
            target.count = Some(i32::from(count));
        }
        target.group = self.group.or(target.group);
        let changed = overrides(&self.env, self.command.as_deref(), &self.words);
        target.overrides = changed.or(target.overrides);
        if !self.constraint.is_empty() {
            target.placement_constraints = self.constraint.into_iter().map(|it| it.0).collect();
        }
        if !self.strategy.is_empty() {
            target.placement_strategy = self.strategy.into_iter().map(|it| it.0).collect();
        }
        if let Some(span) = self.queue {
            let tag = patience(span);
            target.tags.retain(|known| known.key != tag.key);
            target.tags.push(tag);
        }
        target
    }
}

impl CreateArgs {
    pub(super) fn request(self) -> CreateScheduleRequest {
        let Self {
            when: Expression { cron, rate, at },
            rules,
            ..
        } = self;
        let target = RunTaskRequest {
            task_definition: Some(self.task_definition),
            ..Default::default()
        };
        CreateScheduleRequest {
            name: Some(self.name),
            schedule_expression: expression(cron.as_ref(), rate.as_ref(), at.as_ref()),
            state: self.disabled.then(|| "DISABLED".to_owned()),
            flexible_time_window: rules.window(),
            action_after_completion: rules.after_completion(),
            overlap_policy: rules.overlap(),
            retry_policy: rules.retry(None),
            schedule_expression_timezone: rules.timezone,
            start_date: rules.start,
            end_date: rules.end,
            description: rules.description,
            target: Some(self.target.over(target)),
            ..Default::default()
        }
    }
}

impl UpdateArgs {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether what there is has to be known, as a part of it is to change and the rest is to stay.
    pub(super) fn changes_target(&self) -> bool {
        let retry = self.rules.retry_for.is_some() != self.rules.retries.is_some();
        self.task_definition.is_some() || !self.target.is_empty() || retry
    }

    /// The request; `known` where [`Self::changes_target`].
    pub(super) fn request(self, known: Option<Schedule>) -> UpdateScheduleRequest {
        let Self {
            when: MaybeExpression { cron, rate, at },
            rules,
            ..
        } = self;
        let version = known.as_ref().map(|known| known.version);
        let retry_policy = rules.retry(known.as_ref().and_then(|known| known.retry_policy.as_ref()));
        let in_target = self.task_definition.is_some() || !self.target.is_empty();
        let target = known.and_then(|known| known.target).filter(|_| in_target);
        let target = target.map(|mut target| {
            target.task_definition = self.task_definition.or(target.task_definition);
            self.target.over(target)
        });
        let removed = [("startDate", self.no_start), ("endDate", self.no_end)];
        let off = self.no_window.then(|| FlexibleTimeWindow {
            mode: Some("OFF".to_owned()),
            maximum_window_in_minutes: None,
        });
        UpdateScheduleRequest {
            name: Some(self.name),
            schedule_expression: expression(cron.as_ref(), rate.as_ref(), at.as_ref()),
            flexible_time_window: rules.window().or(off),
            action_after_completion: rules.after_completion(),
            overlap_policy: rules.overlap(),
            retry_policy,
            schedule_expression_timezone: rules.timezone,
            start_date: rules.start,
            end_date: rules.end,
            description: rules.description,
            target,
            remove: removed
                .into_iter()
                .filter(|(_, is)| *is)
                .map(|(name, _)| name.to_owned())
                .collect(),
            version,
            ..Default::default()
        }
    }
}
