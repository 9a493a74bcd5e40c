//! What a command writes, told to this host's log: where the `executeCommandConfiguration` of its cluster asks for that.

use std::time::Duration;

use anstream::adapter::StripBytes;
use berth_model::id::TaskId;
use berth_proto::session::v1::Recording;
use tokio::time::Instant;

use super::Target;

/// Bytes of a record; what is written at once may make it longer.
const RECORD: usize = 4 * 1024;
/// How long what was written waits for more.
const WAIT: Duration = Duration::from_secs(1);
/// Where there is nothing to record: a moment that is looked at again then.
const IDLE: Duration = Duration::from_secs(3600);

/// Collects what a command writes into records. What it has is recorded when it is dropped, so that a session which is broken
/// off leaves nothing out.
#[derive(Debug)]
pub(super) struct Recorder {
    recording: Recording,
    task: TaskId,
    container: String,
    controls: StripBytes,
    text: Vec<u8>,
    /// When what is there is recorded at the latest.
    due: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(recording: Recording, target: &Target) -> Self {
        Self {
            recording,
            task: target.task,
            container: target.container.clone(),
            controls: StripBytes::default(),
            text: Vec::new(),
            due: None,
        }
    }

    /// Until when [`Recorder::record`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.due.unwrap_or_else(|| Instant::now() + IDLE)
    }

    /// Takes in what was written, without what moves and colours on a terminal.
    pub(super) fn take(&mut self, written: &[u8]) {
        for text in self.controls.strip_next(written) {
            self.text.extend(text.iter().filter(|byte| **byte != b'\r'));
        }
        if self.text.len() >= RECORD {
            let rest = self.text.split_off(whole(&self.text));
            self.record();
            self.text = rest;
        }
        if !self.text.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + WAIT);
        }
    }

    /// Records what is there.
    pub(super) fn record(&mut self) {
        self.due = None;
        if self.text.is_empty() {
            return;
        }
        // A field and not the message: it is not to look like lines of this agent's own.
        tracing::info!(
            log_group = self.recording.log_group,
            session = self.recording.session_id,
            task = %self.task,
            container = self.container,
            output = &*String::from_utf8_lossy(&self.text),
            "a command has written"
        );
        self.text.clear();
    }
}

/// Bytes up to a character of which only the beginning is there, if there is one at the end.
fn whole(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.record();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::Shown;

    fn recorder(recording: Recording) -> Recorder {
        let target = Target {
            task: TaskId::from_bits(7),
            container: "web".to_owned(),
            runtime_id: "c0ffee".to_owned(),
        };
        Recorder::new(recording, &target)
    }

    /// The records of what was written piece by piece.
    fn recorded(pieces: &[&[u8]]) -> Vec<Value> {
        let shown = Shown::default();
        let writer = shown.clone();
        let lines = tracing_subscriber::fmt().json().flatten_event(true);
        let subscriber = lines.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let recording = Recording {
                log_group: "/ecs/commands".to_owned(),
                session_id: "ecs-execute-command-1".to_owned(),
            };
            let mut recorder = recorder(recording);
            pieces.iter().for_each(|piece| recorder.take(piece));
        });
        let shown = shown.text();
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn outputs(pieces: &[&[u8]]) -> Vec<String> {
        let outputs = recorded(pieces).into_iter();
        outputs
            .map(|record| record["output"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_record_says_whose_it_is_and_not_what_it_did_on_the_terminal() {
        let records = recorded(&[b"\x1b[1;32m/ #\x1b[0m l", b"s\r\nbin\x07\x1b]0;title\x07 etc\r\n"]);
        let [record] = &records[..] else {
            panic!("{records:?}");
        };
        assert_eq!(record["log_group"], "/ecs/commands");
        assert_eq!(record["session"], "ecs-execute-command-1");
        assert_eq!(record["task"], TaskId::from_bits(7).to_string());
        assert_eq!(record["container"], "web");
        assert_eq!(record["output"], "/ # ls\nbin etc\n");
        assert!(recorded(&[]).is_empty());
    }

    #[test]
    fn what_is_long_is_several_records_and_no_character_is_cut() {
        let line = "ä€\n".repeat(RECORD).into_bytes();
        for size in [1, 7, 4096, line.len()] {
            let pieces: Vec<&[u8]> = line.chunks(size).collect();
            let outputs = outputs(&pieces);
            assert_eq!(outputs.concat().as_bytes(), line, "pieces of {size}");
            assert!(outputs.iter().all(|output| output.len() <= RECORD + size));
        }
    }

    #[test]
    fn a_record_is_due_a_moment_after_its_beginning() {
        let mut recorder = recorder(Recording::default());
        let soon = || Instant::now() + WAIT;
        assert!(recorder.due() > soon());
        recorder.take(b"\x1b[2J");
        assert!(recorder.due() > soon(), "there is nothing to record");
        recorder.take(b"a");
        let due = recorder.due();
        assert!(due <= soon());
        recorder.take(b"b");
        assert_eq!(recorder.due(), due);
        recorder.record();
        assert!(recorder.due() > soon());
    }
}
