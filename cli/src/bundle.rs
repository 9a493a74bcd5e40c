//! One archive for whoever is asked for help: what there is to know of a cluster and a host, without secrets.
//!
//! What is structured passes through a list of what may be in it ([`keep`]); what is text loses what looks like a secret
//! ([`scrub`]). Nothing of the environment of containers is looked at. Pure.

pub(crate) mod keep;
pub(crate) mod scrub;

use anyhow::Context as _;
use serde::Serialize;

/// How hard the archive is compressed, of 10.
const LEVEL: u8 = 6;

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    files: Vec<(String, Vec<u8>)>,
    /// What was to be in it and could not be had, with the reason.
    missing: Vec<(String, String)>,
}

impl Bundle {
    /// Adds JSON that has passed its list, or that is ours.
    pub(crate) fn json(&mut self, name: &str, value: &impl Serialize) {
        match serde_json::to_vec_pretty(value) {
            Ok(bytes) => self.files.push((name.to_owned(), bytes)),
            Err(error) => self.missing(name, &error.to_string()),
        }
    }

    /// Adds text without what looks like a secret in it.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), scrub::text(text).into_bytes()));
    }

    /// Adds figures, whose long names are no keys: a daemon tells nothing in them that is secret.
    pub(crate) fn figures(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), text.as_bytes().to_vec()));
    }

    /// Says what could not be had.
    pub(crate) fn missing(&mut self, name: &str, reason: &str) {
        self.missing.push((name.to_owned(), scrub::line(reason)));
    }

    /// The names of the files, and what is missing.
    pub(crate) fn contents(&self) -> (Vec<&str>, &[(String, String)]) {
        (
            self.files.iter().map(|(name, _)| name.as_str()).collect(),
            &self.missing,
        )
    }

    /// The bytes of the `.tar.gz`; all files lie below `directory`.
    ///
    /// # Errors
    /// A name that tar does not take.
    pub(crate) fn archive(mut self, directory: &str, seconds: u64) -> anyhow::Result<Vec<u8>> {
        if !self.missing.is_empty() {
            let lines: Vec<String> = self
                .missing
                .iter()
                .map(|(name, why)| format!("{name}: {why}\n"))
                .collect();
            self.files.push(("missing.txt".to_owned(), lines.concat().into_bytes()));
        }
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            header.set_mode(0o600);
            header.set_mtime(seconds);
            let added = archive.append_data(&mut header, format!("{directory}/{name}"), bytes.as_slice());
            added.with_context(|| format!("add {name} to the archive"))?;
        }
        Ok(gzip(&archive.into_inner().context("end the archive")?))
    }
}

/// As RFC 1952 has it: a head without a name, the deflated bytes, their checksum and length.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    zipped.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    zipped.extend(crc32fast::hash(bytes).to_le_bytes());
    // The length is told modulo 2^32.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes();
    zipped.extend(&length[..4]);
    zipped
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_archive_is_what_tar_and_gzip_read() {
        let mut bundle = Bundle::default();
        bundle.text("a/log.txt", "first\npassword=hunter2 second");
        bundle.json("b.json", &serde_json::json!({"n": 1}));
        bundle.missing("docker.json", "no socket");
        let bytes = bundle.archive("berth", 1_800_000_000).unwrap();
        let mut tar = Command::new("tar")
            .args(["--extract", "--gzip", "--to-stdout", "--verbose"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = tar.wait_with_output().unwrap();
        let (files, text) = (output.stderr, String::from_utf8(output.stdout).unwrap());
        assert!(output.status.success(), "{files:?}");
        let files = String::from_utf8(files).unwrap();
        assert_eq!(files, "berth/a/log.txt\nberth/b.json\nberth/missing.txt\n");
        assert_eq!(
            text,
            "first\npassword=(removed) second\n{\n  \"n\": 1\n}docker.json: no socket\n"
        );
    }
}
