//! How services are scaled, as tables.

use berth_proto::v1::{
    DescribeServiceScalingResponse, MetricReading, ScalableTarget, ScalingActivity, ScalingPolicy, SuspendedState,
    TargetTracking,
};

use super::table::{maybe, number, text};
use super::{Now, Table};
use crate::output::Presentation;

/// Changes of the count that `show` prints.
const LAST_ACTIVITIES: usize = 8;

pub(crate) fn list(targets: &[ScalableTarget], policies: &[ScalingPolicy]) -> Presentation {
    let mut table = Table::with_headings(["SERVICE", "MIN", "MAX", "SUSPENDED", "POLICIES"]);
    for target in targets {
        let of_it = policies
            .iter()
            .filter(|policy| policy.resource_id == target.resource_id);
        let names: Vec<String> = of_it.map(brief).collect();
        table.row([
            text(target.resource_id.rsplit('/').next().unwrap_or_default()),
            number(target.min_capacity),
            number(target.max_capacity),
            maybe(suspended(target.suspended_state)),
            text(names.join(", ")),
        ]);
    }
    Presentation::default().table(&table)
}

/// `cpu at 60`
fn brief(policy: &ScalingPolicy) -> String {
    let tracking = policy.target_tracking.as_ref();
    let target = tracking.and_then(|tracking| tracking.target_value).unwrap_or_default();
    format!("{} at {target}", policy.policy_name)
}

/// One service.
pub(crate) fn one(answer: &DescribeServiceScalingResponse, now: Now) -> Presentation {
    let mut table = Table::pairs();
    let tasks = format!("{} running of {}", answer.running_count, answer.desired_count);
    let Some(target) = &answer.target else {
        table.pair("Tasks", text(tasks));
        table.pair("Scaled", text("no"));
        return with_activities(Presentation::default().table(&table), answer, now);
    };
    table.pair(
        "Service",
        text(target.resource_id.rsplit('/').next().unwrap_or_default()),
    );
    table.pair("Tasks", text(tasks));
    table.pair(
        "Bounds",
        text(format!("{} to {}", target.min_capacity, target.max_capacity)),
    );
    if let Some(suspended) = suspended(target.suspended_state) {
        table.pair("Suspended", text(suspended));
    }
    table.pair("Verdict", maybe(answer.verdict.as_deref()));
    table.pair("Looked at", maybe(answer.looked_at.map(|at| now.ago(at))));
    let presentation = Presentation::default().table(&table);
    let presentation = match answer.policies.is_empty() {
        true => presentation,
        false => presentation.section("Policies", &of_policies(&answer.policies, &answer.readings, now)),
    };
    with_activities(presentation, answer, now)
}

/// What `berth services show` says of it: `2 to 10 tasks; cpu at 60, is 41.3`.
pub(crate) fn in_short(answer: &DescribeServiceScalingResponse) -> Option<String> {
    let target = answer.target.as_ref()?;
    let mut said = format!("{} to {} tasks", target.min_capacity, target.max_capacity);
    for (policy, reading) in answer.policies.iter().zip(&answer.readings) {
        let is = reading
            .value
            .map_or_else(|| "not known".to_owned(), |value| format!("{value:.1}"));
        said.push_str(&format!("; {}, is {is}", brief(policy)));
    }
    Some(said)
}

pub(crate) fn deleted(service: &str, policy: Option<&str>) -> Presentation {
    Presentation::default().line(match policy {
        Some(policy) => format!("policy {policy} of {service} deleted"),
        None => format!("{service} is no longer scaled"),
    })
}

fn with_activities(presentation: Presentation, answer: &DescribeServiceScalingResponse, now: Now) -> Presentation {
    match answer.activities.is_empty() {
        true => presentation,
        false => {
            let last = answer.activities.iter().take(LAST_ACTIVITIES);
            presentation.section("Changes", &of_activities(last.rev(), now))
        }
    }
}

fn of_policies(policies: &[ScalingPolicy], readings: &[MetricReading], now: Now) -> Table {
    let mut table = Table::with_headings([
        "POLICY", "METRIC", "TARGET", "VALUE", "MEASURED", "OUT", "IN", "PROBLEM",
    ]);
    for (policy, reading) in policies.iter().zip(readings) {
        let tracking = policy.target_tracking.clone().unwrap_or_default();
        table.row([
            text(&policy.policy_name),
            text(&reading.metric),
            number(reading.target),
            reading
                .value
                .map_or_else(|| maybe(None::<&str>), |value| number(format!("{value:.1}"))),
            maybe(reading.at.map(|at| now.ago(at))),
            text(out(&tracking)),
            text(fewer(&tracking)),
            maybe(reading.problem.as_deref()),
        ]);
    }
    table
}

/// `every 300 s, 2 at once`
fn out(tracking: &TargetTracking) -> String {
    pace(tracking.scale_out_cooldown(), tracking.maximum_scale_out_step)
}

fn fewer(tracking: &TargetTracking) -> String {
    match tracking.disable_scale_in() {
        true => "never".to_owned(),
        false => pace(tracking.scale_in_cooldown(), tracking.maximum_scale_in_step),
    }
}

fn pace(cooldown: i32, most: Option<i32>) -> String {
    let most = most.map(|most| format!(", {most} at once")).unwrap_or_default();
    format!("every {cooldown} s{most}")
}

fn of_activities<'a>(activities: impl Iterator<Item = &'a ScalingActivity>, now: Now) -> Table {
    let mut table = Table::with_headings(["WHEN", "STATUS", "WHAT", "CAUSE"]);
    for activity in activities {
        table.row([
            text(now.ago(activity.start_time)),
            text(&activity.status_code),
            text(&activity.description),
            text(&activity.cause),
        ]);
    }
    table
}

fn suspended(state: Option<SuspendedState>) -> Option<&'static str> {
    let state = state.unwrap_or_default();
    match (
        state.dynamic_scaling_in_suspended(),
        state.dynamic_scaling_out_suspended(),
    ) {
        (true, true) => Some("in and out"),
        (true, false) => Some("in"),
        (false, true) => Some("out"),
        (false, false) => None,
    }
}
