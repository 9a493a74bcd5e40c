//! Docker's points in time: RFC 3339, and a zero for what has not happened.

use berth_model::time::Timestamp;

/// The point in time; none for what is none, and for the zero time that Docker gives what has not happened.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::from_rfc3339(text).filter(|at| at.as_millis() >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_happened_has_no_time() {
        assert_eq!(parse("0001-01-01T00:00:00Z"), None);
        assert_eq!(
            parse("2000-02-29T12:00:00.5Z").map(Timestamp::as_millis),
            Some(951_825_600_500)
        );
    }
}
