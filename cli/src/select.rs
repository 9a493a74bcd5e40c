//! From what a user types to the one task or container instance that is meant.

use anyhow::{bail, ensure};

use crate::show::ids;

/// The fewest characters by which a thing can be named.
const AT_LEAST: usize = 4;
/// The length of ECS's ids of tasks and container instances.
const WHOLE: usize = 32;
/// How many matches of an ambiguous prefix are listed.
const LISTED: usize = 10;

/// Whether `name` needs no look-up: it is an ARN or a whole id.
pub(crate) fn is_complete(name: &str) -> bool {
    name.starts_with("arn:") || name.len() == WHOLE
}

/// The ARN among `arns` whose id begins with `name`; `what` is "task" or "container instance".
///
/// # Errors
/// `name` is shorter than four characters, or begins no id, or more than one.
pub(crate) fn by_prefix(what: &str, name: &str, arns: &[String]) -> anyhow::Result<String> {
    ensure!(
        name.len() >= AT_LEAST,
        "{what} \"{name}\": the beginning of an id must have at least {AT_LEAST} characters"
    );
    let matches: Vec<&String> = arns.iter().filter(|arn| ids::of_arn(arn).starts_with(name)).collect();
    match matches.as_slice() {
        [] => bail!("{what} \"{name}\": no {what} of the cluster has an id that begins so"),
        [arn] => Ok((*arn).clone()),
        several => {
            let mut message = format!(
                "{what} \"{name}\" is ambiguous: the ids of {} {what}s begin so:",
                several.len()
            );
            for arn in several.iter().take(LISTED) {
                message.push_str("\n  ");
                message.push_str(ids::of_arn(arn));
            }
            if several.len() > LISTED {
                message.push_str("\n  ...");
            }
            bail!(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{by_prefix, is_complete};

    fn arns() -> Vec<String> {
        ["abcd1", "abcd2", "beef0"]
            .map(|id| format!("arn:aws:ecs:us-east-1:000000000000:task/default/{id}"))
            .to_vec()
    }

    #[test]
    fn a_beginning_names_the_only_id_that_has_it() -> anyhow::Result<()> {
        assert!(by_prefix("task", "beef", &arns())?.ends_with("/beef0"));
        assert!(by_prefix("task", "abcd2", &arns())?.ends_with("/abcd2"));
        Ok(())
    }

    #[test]
    fn short_unknown_and_ambiguous_beginnings_are_refused() {
        let message = |name| by_prefix("task", name, &arns()).unwrap_err().to_string();
        assert_eq!(
            message("bee"),
            "task \"bee\": the beginning of an id must have at least 4 characters"
        );
        assert_eq!(
            message("cafe"),
            "task \"cafe\": no task of the cluster has an id that begins so"
        );
        assert_eq!(
            message("abcd"),
            "task \"abcd\" is ambiguous: the ids of 2 tasks begin so:\n  abcd1\n  abcd2"
        );
    }

    #[test]
    fn arns_and_whole_ids_need_no_look_up() {
        assert!(is_complete("arn:aws:ecs:us-east-1:000000000000:task/default/abcd1"));
        assert!(is_complete("0123456789abcdef0123456789abcdef"));
        assert!(!is_complete("0123456789abcdef"));
    }
}
