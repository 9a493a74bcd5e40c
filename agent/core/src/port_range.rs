//! Where a row of ports that one mapping asks for finds room on the host.

use std::ops::RangeInclusive;

/// The first port of a row of `length` free ports within `bounds`, looked for from `from` on and around; none where
/// there is no such row. Each port is asked about at most once for each side of the turn.
pub fn find(bounds: &RangeInclusive<u16>, from: u16, length: u16, mut is_free: impl FnMut(u16) -> bool) -> Option<u16> {
    let (first, last) = (*bounds.start(), *bounds.end());
    let from = if bounds.contains(&from) { from } else { first };
    let mut row = |begin: u16| {
        let mut run = 0_u16;
        for port in begin..=last {
            run = if is_free(port) { run + 1 } else { 0 };
            if length > 0 && run == length {
                return Some(port - (length - 1));
            }
        }
        None
    };
    row(from).or_else(|| if from > first { row(first) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_behind_what_is_taken_and_around_the_end() {
        let taken = |port: u16| port == 102 || port == 105;
        let bounds = 100..=109;
        assert_eq!(find(&bounds, 100, 2, |port| !taken(port)), Some(100));
        assert_eq!(find(&bounds, 101, 2, |port| !taken(port)), Some(103));
        assert_eq!(find(&bounds, 100, 4, |port| !taken(port)), Some(106));
        assert_eq!(find(&bounds, 108, 3, |port| !taken(port)), Some(106));
        assert_eq!(find(&bounds, 9, 1, |port| !taken(port)), Some(100));
        assert_eq!(find(&bounds, 100, 5, |port| !taken(port)), None);
        assert_eq!(find(&(65_530..=65_535), 65_530, 6, |_| true), Some(65_530));
        assert_eq!(find(&(65_530..=65_535), 65_530, 7, |_| true), None);
    }
}
