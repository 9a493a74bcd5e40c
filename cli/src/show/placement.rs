//! Why tasks were not placed.

use std::collections::BTreeMap;

use berth_proto::ecs::v1::Failure;

use super::Table;
use super::table::{number, text};

/// The failures grouped by reason and detail, the most frequent first.
pub(crate) fn failures(failures: &[Failure]) -> Table {
    let mut groups: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for failure in failures {
        *groups.entry((failure.reason(), failure.detail())).or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::with_headings(["COUNT", "REASON", "DETAIL"]);
    for ((reason, detail), count) in groups {
        table.row([number(count), text(reason), text(detail)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::Failure;

    use super::failures;

    #[test]
    fn equal_failures_become_one_row_and_the_most_frequent_comes_first() {
        let failure = |reason: &str, detail: &str| Failure {
            arn: None,
            reason: Some(reason.to_owned()),
            detail: Some(detail.to_owned()),
        };
        let table = failures(&[
            failure("RESOURCE:CPU", "needs 512, 256 free"),
            failure("RESOURCE:MEMORY", "needs 900 MiB, 512 MiB free"),
            failure("RESOURCE:MEMORY", "needs 900 MiB, 512 MiB free"),
        ]);
        assert_eq!(
            table.render(),
            "COUNT  REASON           DETAIL\n    \
             2  RESOURCE:MEMORY  needs 900 MiB, 512 MiB free\n    \
             1  RESOURCE:CPU     needs 512, 256 free\n"
        );
    }
}
