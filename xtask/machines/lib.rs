//! What the tests that boot machines (`tests/machines`) and the task that does (`test-image`) share: a Debian to make them of,
//! and a network with a scheduler that they join.

#![expect(clippy::print_stderr, reason = "what cannot be taken down is told")]

pub mod place;
pub mod shell;
pub mod system;

use std::path::{Path, PathBuf};

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Where cargo puts what it makes, and the tasks what they make.
#[must_use]
pub fn target() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.unwrap_or_else(|| root().join("target"))
}

/// Where machines are made.
#[must_use]
pub fn machines() -> PathBuf {
    target().join("machines")
}
