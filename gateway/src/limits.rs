//! How much this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for connections of clients: the stream, listeners, checks, files.
const OTHERS: u64 = 512;
/// A client's connection, one to a target, and a second descriptor of that.
const PER_CONNECTION: u64 = 3;
const MOST: u64 = 1_000_000;

/// Raises the limit of open files as far as it may be raised, and says how many connections of clients fit under it.
pub(crate) fn connections_that_fit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "limit of open files not raised");
            limit.current
        }
    };
    fit(files)
}

/// `None`: no limit.
fn fit(files: Option<u64>) -> usize {
    let fit = files.map_or(MOST, |files| files.saturating_sub(OTHERS) / PER_CONNECTION);
    usize::try_from(fit.clamp(64, MOST)).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_both_sides_and_of_all_else_fit_under_the_limit() {
        assert_eq!(fit(Some(262_144)), 87_210);
        assert_eq!(fit(Some(1024)), 170);
        assert_eq!(fit(Some(100)), 64);
        assert_eq!(fit(None), 1_000_000);
    }
}
