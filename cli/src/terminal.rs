//! The terminal as a command elsewhere sees it: each key as it is pressed, and its size.

use std::io::{self, IsTerminal as _, Read as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Bytes that are read at once, and such reads that wait.
const CHUNK: usize = 16 * 1024;
const WAITING: usize = 4;

/// A terminal that hands on each key, Ctrl-C too; dropped, it is as before.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Takes the terminal of standard input.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put right.
        let _restored = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Whether standard input is a terminal.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Rows and columns, where it has any.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What comes on standard input, to its end.
pub(crate) fn input() -> mpsc::Receiver<Vec<u8>> {
    let (read, input) = mpsc::channel(WAITING);
    // A read cannot be called off: the thread ends with the process.
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = match io::stdin().lock().read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if read.blocking_send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    input
}
