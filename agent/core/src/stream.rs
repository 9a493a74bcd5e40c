//! What Docker sends of a command's output and of logs, taken apart.
//!
//! Without a terminal each piece has a header of eight bytes: where it was written to, three zeros, its length in big-endian
//! order (Docker Engine API, "Attach to a container"). With one there are only bytes. In a log each entry begins with its
//! time; an entry without a line's end is the beginning of a line that goes on with the next entry.

use berth_model::time::Timestamp;

/// Where something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The longest piece that is believed: Docker's have up to 32 KiB.
const LONGEST_PIECE: usize = 1024 * 1024;
/// The longest part of a line of a terminal's log that is waited for.
const LONGEST_LINE: usize = 64 * 1024;
const HEADER: usize = 8;

/// Pieces, from bytes as they come.
#[derive(Debug)]
pub struct Frames {
    terminal: bool,
    buffer: Vec<u8>,
}

impl Frames {
    /// Of something with a terminal, or without.
    #[must_use]
    pub const fn new(terminal: bool) -> Self {
        Self {
            terminal,
            buffer: Vec::new(),
        }
    }

    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole piece.
    ///
    /// # Errors
    /// It is no piece: nothing that follows can be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can be called again when there are more bytes"
    )]
    pub fn next(&mut self) -> Result<Option<(Source, Vec<u8>)>, String> {
        if self.terminal {
            let all = std::mem::take(&mut self.buffer);
            return Ok((!all.is_empty()).then_some((Source::Stdout, all)));
        }
        let Some((&[kind, zero_1, zero_2, zero_3, a, b, c, d], rest)) = self.buffer.split_first_chunk::<HEADER>()
        else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let source = match (kind, [zero_1, zero_2, zero_3]) {
            (0 | 1, [0, 0, 0]) => Source::Stdout,
            (2, [0, 0, 0]) => Source::Stderr,
            _ => return Err("Docker sends pieces without their headers".to_owned()),
        };
        if length > LONGEST_PIECE {
            return Err(format!("Docker sends a piece of {length} bytes"));
        }
        let Some(piece) = rest.get(..length) else {
            return Ok(None);
        };
        let piece = piece.to_vec();
        self.buffer.drain(..HEADER + length);
        Ok(Some((source, piece)))
    }
}

/// A line of a log, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written to.
    pub source: Source,
    /// When, in nanoseconds since the epoch; as the line before it where Docker does not say.
    pub time_ns: i64,
    /// Without the line's end.
    pub text: Vec<u8>,
    /// The next of the same source goes on with it.
    pub goes_on: bool,
}

/// Lines, from bytes as they come.
#[derive(Debug)]
pub struct Lines {
    frames: Frames,
    /// Of a terminal's log what has no end yet, and whether its beginning was told.
    rest: Vec<u8>,
    is_begun: bool,
    time_ns: i64,
}

impl Lines {
    /// Of a container with a terminal, or without.
    #[must_use]
    pub const fn new(terminal: bool) -> Self {
        Self {
            frames: Frames::new(terminal),
            rest: Vec::new(),
            is_begun: false,
            time_ns: 0,
        }
    }

    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The next line; where no more bytes come also one that has no end.
    ///
    /// # Errors
    /// As [`Frames::next`].
    pub fn next(&mut self, has_ended: bool) -> Result<Option<Line>, String> {
        let framed = self.frames.next()?;
        if !self.frames.terminal {
            return Ok(framed.map(|(source, entry)| self.entry(source, &entry, true)));
        }
        self.rest.extend(framed.into_iter().flat_map(|(_, bytes)| bytes));
        let end = self.rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let too_long = (self.rest.len() >= LONGEST_LINE).then_some(LONGEST_LINE);
        let last = Some(self.rest.len()).filter(|length| has_ended && *length > 0);
        let Some(length) = end.filter(|end| *end <= LONGEST_LINE).or(too_long).or(last) else {
            return Ok(None);
        };
        let entry: Vec<u8> = self.rest.drain(..length).collect();
        let line = self.entry(Source::Stdout, &entry, !self.is_begun);
        self.is_begun = line.goes_on;
        Ok(Some(line))
    }

    /// What an entry says, which begins with its time.
    fn entry(&mut self, source: Source, entry: &[u8], timed: bool) -> Line {
        let mut text = entry;
        if timed
            && let Some(space) = entry.iter().position(|byte| *byte == b' ')
            && let Some(time_ns) = std::str::from_utf8(&entry[..space]).ok().and_then(nanos)
        {
            self.time_ns = time_ns;
            text = &entry[space + 1..];
        }
        let whole = text.strip_suffix(b"\n");
        let text = whole.unwrap_or(text);
        Line {
            source,
            time_ns: self.time_ns,
            text: text.strip_suffix(b"\r").unwrap_or(text).to_vec(),
            goes_on: whole.is_none(),
        }
    }
}

/// Nanoseconds since the epoch, of a time as in RFC 3339 with up to nine digits behind the second.
fn nanos(text: &str) -> Option<i64> {
    let seconds = Timestamp::from_rfc3339(text)?.as_millis().div_euclid(1000);
    let behind = text.split_once('.').map_or("", |(_, behind)| behind);
    let digits = behind.bytes().take_while(u8::is_ascii_digit).take(9);
    let (fraction, count) = digits.fold((0_i64, 0), |(sum, count), digit| {
        (sum * 10 + i64::from(digit - b'0'), count + 1)
    });
    let fraction = fraction * 10_i64.checked_pow(9 - count)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, bytes].concat()
    }

    fn lines(mut lines: Lines, bytes: &[u8], at_once: usize) -> Vec<Line> {
        let mut found = Vec::new();
        for part in bytes.chunks(at_once) {
            lines.push(part);
            found.extend(std::iter::from_fn(|| lines.next(false).unwrap()));
        }
        found.extend(std::iter::from_fn(|| lines.next(true).unwrap()));
        found
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(nanos("1970-01-01T00:00:01.000000002Z"), Some(1_000_000_002));
        assert_eq!(nanos("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert_eq!(nanos("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(nanos("1969-12-31T23:59:59.9Z"), Some(-100_000_000));
        assert_eq!(nanos("yesterday"), None);
    }

    #[test]
    fn entries_without_a_terminal_are_lines_or_parts_of_them() {
        let bytes = [
            piece(1, b"1970-01-01T00:00:01.000000000Z one\n"),
            piece(2, b"1970-01-01T00:00:02.000000000Z half"),
            piece(2, b"1970-01-01T00:00:03.000000000Z whole\n"),
            piece(1, b"no time\n"),
        ]
        .concat();
        let line = |source, seconds: i64, text: &str, goes_on| Line {
            source,
            time_ns: seconds * 1_000_000_000,
            text: text.into(),
            goes_on,
        };
        let expected = [
            line(Source::Stdout, 1, "one", false),
            line(Source::Stderr, 2, "half", true),
            line(Source::Stderr, 3, "whole", false),
            line(Source::Stdout, 3, "no time", false),
        ];
        for at_once in [1, 7, 1000] {
            assert_eq!(lines(Lines::new(false), &bytes, at_once), expected);
        }
    }

    #[test]
    fn lines_of_a_terminal_are_told_before_they_are_too_long() {
        let long = "x".repeat(LONGEST_LINE);
        let bytes = format!("1970-01-01T00:00:01Z one\r\n1970-01-01T00:00:02Z {long}\r\n1970-01-01T00:00:03Z end");
        for at_once in [1000, 1 << 20] {
            let found = lines(Lines::new(true), bytes.as_bytes(), at_once);
            let [one, begin, rest, end] = &found[..] else {
                panic!("{} lines", found.len());
            };
            assert_eq!((&one.text[..], one.time_ns), (&b"one"[..], 1_000_000_000));
            assert!(begin.goes_on && !rest.goes_on && end.goes_on);
            assert_eq!([&begin.text[..], &rest.text[..]].concat(), long.as_bytes());
            assert_eq!(end.text, b"end");
        }
    }

    #[test]
    fn what_is_no_piece_is_an_error() {
        for bytes in [
            &b"plain text"[..],
            &[3, 0, 0, 0, 0, 0, 0, 1],
            &[1, 0, 0, 0, 255, 255, 255, 255],
        ] {
            let mut frames = Frames::new(false);
            frames.push(bytes);
            assert!(frames.next().is_err());
        }
        let mut terminal = Frames::new(true);
        terminal.push(&[1, 0, 0, 0, 255]);
        assert_eq!(terminal.next(), Ok(Some((Source::Stdout, vec![1, 0, 0, 0, 255]))));
    }

    proptest! {
        #[test]
        fn pieces_come_out_as_they_went_in(
            pieces in prop::collection::vec((1_u8..=2, prop::collection::vec(any::<u8>(), 0..50)), 0..10),
            at_once in 1_usize..100,
        ) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|(kind, bytes)| piece(*kind, bytes)).collect();
            let (mut frames, mut found) = (Frames::new(false), Vec::new());
            for part in bytes.chunks(at_once) {
                frames.push(part);
                found.extend(std::iter::from_fn(|| frames.next().unwrap()));
            }
            let expected: Vec<_> = pieces.into_iter().map(|(kind, bytes)| {
                (if kind == 2 { Source::Stderr } else { Source::Stdout }, bytes)
            }).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
