//! Where the bed keeps its files, and locks between test processes.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rustix::process::Pid;

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// The directory of the profile that the running test was built with, as `target/debug`.
///
/// # Errors
///
/// If the running executable is not where cargo puts tests (`target/<profile>/deps`).
pub fn profile_dir() -> Result<PathBuf> {
    let test = std::env::current_exe().context("path of the running test")?;
    test.parent()
        .filter(|deps| deps.ends_with("deps"))
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .ok_or_else(|| anyhow!("{} is not under target/<profile>/deps", test.display()))
}

/// Cargo's target directory.
///
/// # Errors
///
/// As [`profile_dir`].
pub fn target_dir() -> Result<PathBuf> {
    let profile = profile_dir()?;
    profile
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| anyhow!("{} has no parent", profile.display()))
}

/// Runs `work` while this process alone holds the lock file; the others wait.
///
/// # Errors
///
/// If the file cannot be made or locked, and whatever `work` fails with.
pub fn alone<T>(lock: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let file = File::create(lock).with_context(|| format!("create {}", lock.display()))?;
    file.lock().with_context(|| format!("lock {}", lock.display()))?;
    work()
}

/// Removes a file, if it is there.
///
/// # Errors
///
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The process id in a daemon's pid file.
///
/// # Errors
///
/// If there is no such file or it holds no id.
pub fn read_pid(path: &Path) -> Result<Pid> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let id = text.trim().parse().ok().and_then(Pid::from_raw);
    id.with_context(|| format!("{} holds {text}", path.display()))
}

/// What a directory takes on its disk, in KiB. What is mounted into it does not count, nor what goes meanwhile.
///
/// # Errors
///
/// If the directory itself cannot be read.
pub fn disk_kib(directory: &Path) -> Result<u64> {
    let look = || format!("look at {}", directory.display());
    let device = fs::metadata(directory).with_context(look)?.dev();
    let mut blocks = 0;
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() == device {
                blocks += metadata.blocks();
                if metadata.is_dir() {
                    directories.push(entry.path());
                }
            }
        }
    }
    // Of 512 bytes, whatever the file system's own are.
    Ok(blocks / 2)
}

/// The last lines of a text file; a note in their place if it cannot be read.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    match fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("({}: {error})", path.display()),
    }
}

/// An example task definition of this package, parsed.
///
/// # Errors
///
/// If there is none of that name or it is not JSON.
pub fn example(name: &str) -> Result<serde_json::Value> {
    let path = example_path(name);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

/// The path of an example task definition of this package.
#[must_use]
pub fn example_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}
