//! What unit tests share.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that can be executed. A process of its own does it: what this one has open for writing another test
/// may inherit with a fork, and until that has run its own program the kernel executes the file for nobody.
pub(crate) fn write_program(path: &Path, content: &[u8]) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content).unwrap();
    assert!(writer.wait().unwrap().success(), "{} is not written", path.display());
}
