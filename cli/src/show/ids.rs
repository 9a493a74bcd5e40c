//! Ids short enough to read and long enough to be typed back.

use std::collections::BTreeSet;

/// The fewest characters of an instance's id that are shown: they are random.
const OF_INSTANCE: usize = 8;
/// Of a task's: the first 13 are the time and the version, the same for all that were placed at once.
const OF_TASK: usize = 18;

/// What stands behind the last slash of an ARN: the id of a task or an instance, the name of a cluster, `family:revision`.
pub(crate) fn of_arn(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The id of a task that is shown where it is not known which others will be: all but surely another's is different.
pub(crate) fn of_task(arn: &str) -> &str {
    Short(OF_TASK).of(arn)
}

/// The length to which ids can be cut and still differ from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short(usize);

impl Short {
    /// Finds it for tasks.
    pub(crate) fn among_tasks<'a>(arns: impl IntoIterator<Item = &'a str>) -> Self {
        Self::among(arns, OF_TASK)
    }

    /// Finds it for container instances.
    pub(crate) fn among_instances<'a>(arns: impl IntoIterator<Item = &'a str>) -> Self {
        Self::among(arns, OF_INSTANCE)
    }

    fn among<'a>(arns: impl IntoIterator<Item = &'a str>, at_least: usize) -> Self {
        let ids: BTreeSet<&str> = arns.into_iter().map(of_arn).collect();
        let shared = ids
            .iter()
            .zip(ids.iter().skip(1))
            .map(|(a, b)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count())
            .max();
        Self(shared.map_or(at_least, |shared| at_least.max(shared + 1)))
    }

    /// The id of `arn`, cut.
    pub(crate) fn of(self, arn: &str) -> &str {
        let id = of_arn(arn);
        id.char_indices().nth(self.0).map_or(id, |(end, _)| &id[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::Short;

    #[test]
    fn ids_are_cut_to_eight_characters_where_those_differ() {
        let arns = ["arn:x:task/default/0123456789ab", "arn:x:task/default/1123456789ab"];
        let short = Short::among_instances(arns);
        assert_eq!(short.of(arns[0]), "01234567");
        assert_eq!(short.of("arn:x:task/default/0123"), "0123");
    }

    #[test]
    fn ids_that_begin_alike_are_cut_behind_their_first_difference() {
        let arns = ["t/0123456789ab", "t/0123456789cd", "t/ffffffffffff"];
        let short = Short::among_instances(arns);
        assert_eq!(
            arns.map(|arn| short.of(arn)),
            ["0123456789a", "0123456789c", "fffffffffff"]
        );
    }

    #[test]
    fn tasks_that_were_placed_at_once_are_told_apart() {
        let of = super::of_task;
        assert_eq!(of("t/01a20742c90f73f1bc77adf3c8c905e7"), "01a20742c90f73f1bc");
        assert_eq!(of("t/01a20742c90f72c2af6490186c42032d"), "01a20742c90f72c2af");
    }

    #[test]
    fn the_same_id_twice_does_not_make_it_longer() {
        assert_eq!(
            Short::among_instances(["t/0123456789ab"; 2]).of("t/0123456789ab"),
            "01234567"
        );
    }
}
