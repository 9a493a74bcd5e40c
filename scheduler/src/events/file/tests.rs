use std::fs;

use super::*;
use crate::events::tests::{World, ids, texts};

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.map(str::to_owned).collect()
}

/// Keeps the file until it has so many lines, and then as if the process had been killed.
async fn keep_until(world: &World, path: &Path, count: usize) {
    let keeping = tokio::spawn(keep_file(Arc::clone(&world.events), path.to_owned()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while lines(path).len() < count || !beside(path).exists() {
        assert!(Instant::now() < deadline, "{:?}", lines(path));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    keeping.abort();
    drop(keeping.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_on_where_it_was_whatever_was_lost_of_it() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    keep_until(&world, &path, 0).await;
    let from = world.events.head();
    assert_eq!(lines(&path).len(), 0, "what had happened before is no news");

    world.live(1).await;
    let all = world.after(&from.to_string()).await;
    keep_until(&world, &path, all.len()).await;
    assert_eq!(
        lines(&path),
        texts(&all),
        "nothing is left out of what happened while it was not kept"
    );

    let whole = fs::read(&path).unwrap();
    for kept in [whole.len() - 1, whole.len() - 20, 30, 0] {
        fs::write(&path, &whole[..kept]).unwrap();
        keep_until(&world, &path, all.len()).await;
        assert_eq!(lines(&path), texts(&all), "{kept} bytes");
    }

    fs::rename(&path, folder.path().join("events.jsonl.1")).unwrap();
    fs::write(beside(&path), "4.1\n").unwrap();
    keep_until(&world, &path, all.len() - 1).await;
    assert_eq!(lines(&path), texts(&all[1..]), "from where it says beside the file");
    assert_eq!(ids(&all).len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_rotated_is_followed() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let keeping = tokio::spawn(keep_file(Arc::clone(&world.events), path.clone()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut from = world.events.head();
    while !beside(&path).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for turn in 0..3 {
        world.live(1).await;
        let new = texts(&world.after(&from.to_string()).await);
        while lines(&path) != new {
            assert!(Instant::now() < deadline, "{turn}: {:?}", lines(&path));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        from = world.events.head();
        fs::rename(&path, folder.path().join(format!("events.jsonl.{turn}"))).unwrap();
    }
    keeping.abort();
}

#[test]
fn what_is_no_file_of_events_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["root:x:0:0\nbin", "precious", "{\"a\":1}\n"] {
        let path = folder.path().join("other");
        fs::write(&path, text).unwrap();
        let error = Log::open(path.clone()).unwrap_err();
        assert!(
            error.to_string().contains("this is not a file of events"),
            "{text}: {error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_file_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let first = Log::open(path.clone()).unwrap();
    let error = Log::open(path.clone()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    assert!(Log::open(path).is_ok());
}
