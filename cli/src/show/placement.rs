//! Why tasks were not placed.

use std::collections::BTreeMap;

use berth_proto::ecs::v1::Failure;

use super::Table;
use super::table::{number, text};

/// The failures grouped by reason and detail, the most frequent first.
pub(crate) fn failures(failures: &[Failure]) -> Table {
    let mut groups: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for failure in failures {
        let (own, _) = parts(failure.detail());
        *groups.entry((failure.reason(), own)).or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::with_headings(["COUNT", "REASON", "DETAIL"]);
    for ((reason, detail), count) in groups {
        table.row([number(count), text(reason), text(detail)]);
    }
    table
}

/// What the scheduler said of all instances together, of many of which only some are in the failures.
pub(crate) fn of_all(failures: &[Failure]) -> Option<&str> {
    failures.iter().rev().find_map(|failure| parts(failure.detail()).1)
}

/// What a detail says of its instance, and what of all.
fn parts(detail: &str) -> (&str, Option<&str>) {
    let of_all = detail.find(" container instances were considered");
    let begin = of_all.and_then(|at| detail[..at].rfind(". "));
    match begin {
        Some(at) => (&detail[..at], Some(&detail[at + 2..])),
        None => (detail, None),
    }
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::Failure;

    use super::{failures, of_all};

    #[test]
    fn equal_failures_become_one_row_and_the_most_frequent_comes_first() {
        let failure = |reason: &str, detail: &str| Failure {
            arn: None,
            reason: Some(reason.to_owned()),
            detail: Some(detail.to_owned()),
        };
        let all = [
            failure("RESOURCE:CPU", "needs 512, 256 free"),
            failure("RESOURCE:MEMORY", "needs 900 MiB, 512 MiB free"),
            failure(
                "RESOURCE:MEMORY",
                "needs 900 MiB, 512 MiB free. 3 container instances were considered: 2 lack 900 MiB of memory.",
            ),
        ];
        assert_eq!(
            of_all(&all),
            Some("3 container instances were considered: 2 lack 900 MiB of memory.")
        );
        assert_eq!(of_all(&all[..2]), None);
        let table = failures(&all);
        assert_eq!(
            table.render(),
            "COUNT  REASON           DETAIL\n    \
             2  RESOURCE:MEMORY  needs 900 MiB, 512 MiB free\n    \
             1  RESOURCE:CPU     needs 512, 256 free\n"
        );
    }
}
