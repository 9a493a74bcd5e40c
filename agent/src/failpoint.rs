//! Places at which a test can have the agent killed, as `kill -9` would: between any two of its steps.
//!
//! Builds with debug assertions only, and there only with `BERTH_FAIL_POINT=NAME` or `NAME:N` in the environment: the
//! process is gone when it comes to the place of that name for the Nth time. In other builds [`fail_point!`] is nothing,
//! and the variable is one that nobody knows; `make bench` sees that its name is in no program of a release.

/// Names a place: `before` or `after`, and what.
macro_rules! fail_point {
    ($when:literal, $what:expr) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::reached($when, $what);
    };
}
pub(crate) use fail_point;

#[cfg(debug_assertions)]
pub(crate) use armed::reached;

/// The variable that names the place, in builds that have places.
#[cfg(debug_assertions)]
pub(crate) const VARIABLE: Option<&str> = Some(armed::VARIABLE);
#[cfg(not(debug_assertions))]
pub(crate) const VARIABLE: Option<&str> = None;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(super) const VARIABLE: &str = "BERTH_FAIL_POINT";

    struct Armed {
        name: String,
        left: AtomicU32,
    }

    /// Ends the process where this is the place, for the last time that was asked for.
    pub(crate) fn reached(when: &str, what: &str) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let Some(armed) = ARMED.get_or_init(read) else { return };
        if armed.name.split_once('-') == Some((when, what)) && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::error!(name = armed.name, "killed at a fail point");
            if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            {
                tracing::error!(%error, "a process cannot kill itself");
            }
            std::process::abort();
        }
    }

    fn read() -> Option<Armed> {
        let value = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
        let (name, times) = value.split_once(':').unwrap_or((&value, "1"));
        Some(Armed {
            name: name.to_owned(),
            left: AtomicU32::new(times.parse().unwrap_or(1)),
        })
    }
}
