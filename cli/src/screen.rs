//! A terminal for something that is drawn again and again, left as it was found.
//!
//! It is drawn with a handful of the control sequences that every terminal has had since the VT220; the alternate
//! screen keeps what was there before.

use std::io::{self, IsTerminal, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;
use unicode_width::UnicodeWidthChar;

/// Alternate screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the first column of the first line.
const HOME: &str = "\x1b[H";
/// Blanks the rest of the line, and of the screen.
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
/// What a terminal without a size is taken to have.
const LINES: usize = 24;
const COLUMNS: usize = 80;

/// A screen that is being drawn on; dropped, the terminal is as before.
#[derive(Debug)]
pub(crate) struct Screen {
    /// How keys were read before; nothing where standard input is no terminal.
    before: Option<Termios>,
}

impl Screen {
    /// Whether standard output is a terminal that can be drawn on.
    pub(crate) fn is_there() -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Takes the terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut keys = before.clone();
            // Each key at once and unseen. Ctrl-C stays a signal; a stop would leave this screen behind.
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        }
        let screen = Self { before };
        put(ENTER)?;
        Ok(screen)
    }

    /// Lines and columns.
    pub(crate) fn size() -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
            Ok(_) | Err(_) => (LINES, COLUMNS),
        }
    }

    /// Draws as many of the lines as there is room for, each as far as there is.
    pub(crate) fn draw(&self, text: &str) -> io::Result<()> {
        let (lines, columns) = Self::size();
        let mut frame = HOME.to_owned();
        for (at, line) in text.lines().take(lines).enumerate() {
            if at > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(cut(line, columns));
            frame.push_str(REST_OF_LINE);
        }
        frame.push_str(REST_OF_SCREEN);
        put(&frame)
    }

    /// Keys as they are pressed, for as long as the process lives.
    pub(crate) fn keys(&self) -> mpsc::Receiver<u8> {
        let (pressed, keys) = mpsc::channel(16);
        if self.before.is_some() {
            // A read cannot be called off: the thread ends with the process.
            std::thread::spawn(move || {
                for key in io::stdin().lock().bytes().map_while(Result::ok) {
                    if pressed.blocking_send(key).is_err() {
                        return;
                    }
                }
            });
        }
        keys
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put right.
        let _left = put(LEAVE);
        if let Some(before) = &self.before {
            let _restored = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The beginning of the line that is not wider than `columns`. The line has no control characters.
fn cut(line: &str, columns: usize) -> &str {
    let mut width = 0;
    for (at, character) in line.char_indices() {
        width += character.width().unwrap_or(0);
        if width > columns {
            return &line[..at];
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_line_is_cut_by_its_width() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("日本語", 5), "日本");
    }
}
