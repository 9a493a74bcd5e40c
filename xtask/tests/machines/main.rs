//! Machines with a systemd and a Docker Engine of their own, made of Debian's packages and ours: what installs on them,
//! upgrades and goes, and what comes up of an image. It needs root, and what `cargo xtask prepare` installs.

#![expect(clippy::print_stderr, reason = "what cannot be taken down is told")]

mod image;
mod machine;
mod made;
mod packages;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Two cores boot one machine after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn packages_install_upgrade_and_go_without_touching_tasks() {
    let _alone = alone();
    packages::check().unwrap();
}

#[test]
fn two_machines_of_one_clean_image_join_run_tasks_and_keep_who_they_are() {
    let _alone = alone();
    image::check().unwrap();
}
