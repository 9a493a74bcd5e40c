//! The files of `expected/`, one an operation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::golden::difference;
use berth_integration_tests::golden::normal::Placeholders;
use serde_json::{Value, json};

use super::recording::{Exchange, Recording};

/// Compares all calls with the files, or writes these where `BERTH_GOLDEN=write` says so.
pub(super) fn compare(recording: &Recording) -> Result<()> {
    let directory = super::directory().join("expected");
    let write = std::env::var("BERTH_GOLDEN").is_ok_and(|what| what == "write");
    let calls = recording.by_operation();
    let mut wrong = Vec::new();
    for (operation, exchanges) in &calls {
        let path = directory.join(format!("{operation}.json"));
        let found = text(operation, exchanges)?;
        if write {
            fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
            fs::write(&path, &found).with_context(|| format!("write {}", path.display()))?;
            continue;
        }
        let expected = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if expected != found {
            wrong.push(format!("{operation}\n{}", difference::show(&expected, &found)));
        }
    }
    for stale in others(&directory, &calls.keys().copied().collect())? {
        wrong.push(format!("{} is of no operation that is called", stale.display()));
    }
    ensure!(
        wrong.is_empty(),
        "{} operations do not answer as expected/ has it; where that is meant, BERTH_GOLDEN=write.\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// An operation's file as it is now.
fn text(operation: &str, exchanges: &[&Exchange]) -> Result<String> {
    let mut placeholders = Placeholders::default();
    let calls: Vec<Value> = exchanges
        .iter()
        .map(|exchange| {
            json!({
                "client": exchange.client,
                "request": placeholders.replace(&exchange.request),
                "status": exchange.status,
                "answer": placeholders.replace(&exchange.answer),
            })
        })
        .collect();
    let file = json!({"operation": operation, "calls": calls});
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}

/// Files of the directory that no operation of the set has.
fn others(directory: &Path, operations: &BTreeSet<&str>) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let mut others = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        if !name.is_some_and(|name| operations.contains(name)) {
            others.push(path);
        }
    }
    Ok(others)
}
