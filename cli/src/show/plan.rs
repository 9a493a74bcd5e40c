//! A plan as tables: what would go where, why, and how full it would become.

use berth_proto::v1::{Criterion, Explanation, Fullness, Gain, PlanResponse, PlannedCopy, Resources};

use super::ids::Short;
use super::table::{Cell, number, text};
use super::{Table, ids};
use crate::output::Presentation;

/// Characters of a bar.
const BAR: u64 = 20;

pub(crate) fn present(plan: &PlanResponse, asked: u32) -> Presentation {
    let mut presentation = Presentation::default().line(format!(
        "{} of {asked} tasks would be placed (as of revision {})",
        plan.placed, plan.revision
    ));
    let arns = plan.instances.iter().map(|it| it.container_instance_arn.as_str());
    let of_copies = plan.copies.iter();
    let of_copies = of_copies.flat_map(|it| [it.container_instance_arn.as_str(), it.runner_up_arn()]);
    let short = Short::among_instances(arns.chain(of_copies).filter(|arn| !arn.is_empty()));
    if !plan.instances.is_empty() {
        presentation = presentation.section("Instances", &instances(plan, short));
        if plan.left_out > 0 {
            presentation = presentation.line(format!("... and {} more", plan.left_out));
        }
    }
    presentation = presentation.section("Cluster", &cluster(plan));
    if !plan.copies.is_empty() {
        presentation = presentation.section("Why there", &copies(&plan.copies, short));
    }
    if let Some(explanation) = &plan.explanation {
        let heading = format!("Why not {} more", asked.saturating_sub(plan.placed));
        presentation = presentation.section(&heading, &causes(explanation));
        presentation = presentation.line(closest(explanation));
    }
    let room = format!("\n{} more would fit", amount(plan.more, plan.more_at_least));
    let gain = plan.one_more.as_ref().map(gain);
    gain.into_iter().fold(presentation.line(room), Presentation::line)
}

fn instances(plan: &PlanResponse, short: Short) -> Table {
    let mut table = Table::with_headings(["INSTANCE", "TASKS", "CPU", "CPU %", "MEMORY", "MEM %"]);
    for instance in &plan.instances {
        let names = [
            text(short.of(&instance.container_instance_arn)),
            number(format!("+{}", instance.copies)),
        ];
        table.row(names.into_iter().chain(figures(instance.fullness.as_ref())));
    }
    table
}

fn cluster(plan: &PlanResponse) -> Table {
    let mut table = Table::with_headings(["ZONE", "INSTANCES", "CPU", "CPU %", "MEMORY", "MEM %"]);
    let zones = plan.zones.iter().filter(|_| plan.zones.len() > 1);
    let zones = zones.map(|zone| (zone.zone.as_deref().unwrap_or_default(), zone.fullness.as_ref()));
    for (name, fullness) in zones.chain([("all", plan.cluster.as_ref())]) {
        let instances = fullness.map_or(0, |fullness| fullness.instances);
        table.row([text(name), number(instances)].into_iter().chain(figures(fullness)));
    }
    table
}

fn figures(fullness: Option<&Fullness>) -> [Cell; 4] {
    let of = |resources: Option<Resources>| resources.unwrap_or_default();
    let (registered, before, after) = fullness.map_or_else(Default::default, |fullness| {
        (of(fullness.registered), of(fullness.before), of(fullness.after))
    });
    let (cpu, memory) = (registered.cpu_units, registered.memory_mib);
    [
        text(bar(before.cpu_units, after.cpu_units, cpu)),
        number(change(before.cpu_units, after.cpu_units, cpu)),
        text(bar(before.memory_mib, after.memory_mib, memory)),
        number(change(before.memory_mib, after.memory_mib, memory)),
    ]
}

/// `[####++..............]`: whatever would be reserved is seen, be it as little as it may.
fn bar(before: u64, after: u64, whole: u64) -> String {
    let part = |amount: u64| match whole {
        0 => 0,
        whole => (amount.saturating_mul(BAR).div_ceil(whole)).min(BAR),
    };
    let (before, after) = (part(before), part(after));
    let places = (0..BAR).map(|place| match place {
        place if place < before => '#',
        place if place < after => '+',
        _ => '.',
    });
    format!("[{}]", places.collect::<String>())
}

fn change(before: u64, after: u64, whole: u64) -> String {
    let percent = |amount: u64| match whole {
        0 => "-".to_owned(),
        whole => format!("{}%", (amount.saturating_mul(100) + whole / 2) / whole),
    };
    format!("{} -> {}", percent(before), percent(after))
}

fn copies(copies: &[PlannedCopy], short: Short) -> Table {
    let mut table = Table::with_headings(["INSTANCE", "SCORE", "DECIDED BY", "RUNNER-UP", "ITS SCORE"]);
    for copy in copies {
        table.row([
            text(short.of(&copy.container_instance_arn)),
            text(score(&copy.score)),
            text(&copy.decided_by),
            text(short.of(copy.runner_up_arn())),
            text(score(&copy.runner_up_score)),
        ]);
    }
    table
}

/// The numbers of an instance, in the order in which they are compared.
fn score(score: &[Criterion]) -> String {
    let words = |criterion: &Criterion| {
        let value = criterion.value.as_deref();
        match (criterion.tasks, criterion.cpu_units, criterion.memory_mib) {
            (Some(tasks), _, _) => match (value, criterion.rule.strip_prefix("spread:attribute:")) {
                (Some(value), Some(_)) => format!("{tasks} in {value}"),
                (None, Some(attribute)) => format!("{tasks} without {attribute}"),
                (_, None) => format!("{tasks} there"),
            },
            (None, Some(cpu), Some(memory)) => format!("{cpu} units, {memory} MiB free"),
            (None, Some(cpu), None) => format!("{cpu} units free"),
            (None, None, Some(memory)) => format!("{memory} MiB free"),
            (None, None, None) => criterion.rule.clone(),
        }
    };
    score.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn causes(explanation: &Explanation) -> Table {
    let mut table = Table::with_headings(["INSTANCES", "REASON", "DETAIL"]);
    for cause in &explanation.causes {
        // The count stands before it.
        let detail = cause.text.split_once(' ').map_or("", |(_, detail)| detail);
        table.row([number(cause.instances), text(&cause.reason), text(detail)]);
    }
    if explanation.draining > 0 {
        table.row([number(explanation.draining), text("DRAINING"), text("not considered")]);
    }
    table
}

fn closest(explanation: &Explanation) -> String {
    match explanation.closest_arn.as_deref() {
        None => "there is no ACTIVE container instance".to_owned(),
        Some(arn) => format!(
            "the closest is {}: {}",
            ids::of_arn(arn),
            explanation.closest_lacks.join("; ")
        ),
    }
}

fn gain(gain: &Gain) -> String {
    let size = gain.registered.unwrap_or_default();
    let instance = format!(
        "one more instance ({} CPU units, {} MiB) would take",
        size.cpu_units, size.memory_mib
    );
    match gain.copies {
        0 => format!("{instance} none: {}", gain.lacks.join("; ")),
        copies => format!("{instance} {} more", amount(copies, gain.at_least)),
    }
}

fn amount(number: u32, at_least: bool) -> String {
    if at_least {
        format!("at least {number}")
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{bar, change};

    #[test]
    fn a_bar_shows_what_is_and_what_would_be_reserved() {
        assert_eq!(bar(0, 0, 100), "[....................]");
        assert_eq!(bar(50, 75, 100), "[##########+++++.....]");
        assert_eq!(bar(0, 1, 100), "[+...................]");
        assert_eq!(bar(99, 100, 100), "[####################]");
        assert_eq!(bar(7, 9, 0), "[....................]");
        assert_eq!(change(50, 75, 100), "50% -> 75%");
        assert_eq!(change(0, 1, 0), "- -> -");
    }
}
