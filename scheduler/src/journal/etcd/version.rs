//! What is known to be wrong with old versions of etcd, as far as it concerns a journal.

/// Faults of a line of releases: the patch that mends each, and what it is.
const FAULTS: [(u32, u32, u32, &str); 6] = [
    (3, 4, 31, "watches may miss events after a compaction"),
    (
        3,
        4,
        32,
        "the store's revision may go back after a crash during a compaction",
    ),
    (
        3,
        4,
        38,
        "a snapshot of the store that is taken during a defragmentation may be damaged",
    ),
    (
        3,
        4,
        42,
        "a member that was suspended may answer with what is no longer true",
    ),
    (3, 4, 44, "users may read or change keys that their roles do not allow"),
    (
        3,
        5,
        3,
        "a member that crashes under load may differ from the others for ever",
    ),
];

/// Why an operator should not leave it at this version; nothing when nothing is known.
///
/// Source: etcd's CHANGELOG-3.4 and CHANGELOG-3.5.
pub(super) fn concerns(version: &str) -> Vec<String> {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) = (numbers.next(), numbers.next(), numbers.next()) else {
        return vec![format!("'{version}' is no version that is known")];
    };
    let mut concerns: Vec<String> = FAULTS
        .iter()
        .filter(|(of_major, of_minor, mended, _)| (*of_major, *of_minor) == (major, minor) && patch < *mended)
        .map(|(_, _, mended, fault)| format!("{fault} (mended in {major}.{minor}.{mended})"))
        .collect();
    if (major, minor) < (3, 4) {
        concerns.push("it was never tried with versions before 3.4".to_owned());
    } else if (major, minor) == (3, 4) {
        concerns.push("3.4 is not maintained any more".to_owned());
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_concerns_the_releases_before_it_was_mended() {
        let count = |version| concerns(version).len();
        assert_eq!(count("3.4.23"), 6, "{:#?}", concerns("3.4.23"));
        assert_eq!(count("3.4.42"), 2, "{:#?}", concerns("3.4.42"));
        assert_eq!(count("3.4.45"), 1);
        assert_eq!(count("3.5.1"), 1);
        assert_eq!(count("3.5.3"), 0);
        assert_eq!(count("3.6.0-rc.1"), 0);
        assert_eq!(count("3.3.25"), 1);
        assert_eq!(count("newest"), 1);
    }
}
