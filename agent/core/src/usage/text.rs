//! The few forms that the kernel's files have.

/// The number of a file that has one and no more; none for `max` and anything else.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The values of those of the keys that a file of `key value` lines has, in one pass.
pub(super) fn values<const N: usize>(text: &str, keys: [&str; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else {
            continue;
        };
        if let Some(at) = keys.iter().position(|wanted| *wanted == key) {
            found[at] = number(value);
        }
    }
    found
}

/// `major:minor`.
pub(super) fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "inactive_file 1\ntotal_inactive_file 22\ncache x\n";
        assert_eq!(
            values(text, ["total_inactive_file", "cache", "rss"]),
            [Some(22), None, None]
        );
        assert_eq!(number("max\n"), None);
        assert_eq!(device("8:16"), Some((8, 16)));
    }
}
