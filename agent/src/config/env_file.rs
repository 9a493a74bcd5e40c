//! Files of KEY=VALUE lines as systemd's `EnvironmentFile=` reads them (systemd.exec(5)); ecs.config is one.

use std::str::Chars;

/// A line that sets something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1; where the value goes on over several lines, the first.
    pub(super) number: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// The lines that set something, in their order.
///
/// # Errors
/// The number of the line and the rule.
pub(super) fn parse(text: &str) -> Result<Vec<Line>, (usize, &'static str)> {
    let mut reader = Reader {
        rest: text.chars(),
        line: 1,
    };
    let mut lines = Vec::new();
    while let Some(line) = reader.line()? {
        lines.extend(line);
    }
    Ok(lines)
}

struct Reader<'a> {
    rest: Chars<'a>,
    line: usize,
}

impl Reader<'_> {
    /// The next line: `None` at the end, `Some(None)` for one that sets nothing.
    fn line(&mut self) -> Result<Option<Option<Line>>, (usize, &'static str)> {
        let number = self.line;
        let mut key = String::new();
        loop {
            match self.next() {
                None if key.trim().is_empty() => return Ok(None),
                Some('\n') if key.trim().is_empty() => return Ok(Some(None)),
                Some('#' | ';') if key.trim().is_empty() => {
                    self.skip_comment();
                    return Ok(Some(None));
                }
                None | Some('\n') => return Err((number, "a line must be KEY=VALUE, or begin with #")),
                Some('=') => break,
                Some(character) => key.push(character),
            }
        }
        let key = key.trim().to_owned();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) || !key.chars().all(is_name) {
            return Err((
                number,
                "the name of a variable must be letters, numbers and underscores",
            ));
        }
        let value = self.value().map_err(|rule| (number, rule))?;
        Ok(Some(Some(Line { number, key, value })))
    }

    fn value(&mut self) -> Result<String, &'static str> {
        let mut value = String::new();
        // Blanks after what is not quoted are kept only where something follows.
        let mut kept = 0;
        // Quotes are such only where the value, or another quoted piece of it, begins.
        let mut at_start = true;
        loop {
            match self.next() {
                None | Some('\n') => break,
                Some(quote @ ('"' | '\'')) if at_start => {
                    self.quoted(quote, &mut value)?;
                    kept = value.len();
                }
                Some('\\') => {
                    at_start = false;
                    // A line goes on after a backslash at its end.
                    if let Some(escaped) = self.next().filter(|c| *c != '\n') {
                        value.push(escaped);
                    }
                    kept = value.len();
                }
                Some(blank) if blank.is_ascii_whitespace() => {
                    if !at_start {
                        value.push(blank);
                    }
                }
                Some(character) => {
                    at_start = false;
                    value.push(character);
                    kept = value.len();
                }
            }
        }
        value.truncate(kept);
        Ok(value)
    }

    fn quoted(&mut self, quote: char, value: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next() {
                None => return Err("the value has a quote that does not end"),
                Some(character) if character == quote => return Ok(()),
                Some('\\') if quote == '"' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped @ ('"' | '\\' | '`' | '$')) => value.push(escaped),
                    Some(other) => value.extend(['\\', other]),
                },
                Some(character) => value.push(character),
            }
        }
    }

    /// A comment, too, goes on after a backslash.
    fn skip_comment(&mut self) {
        while let Some(character) = self.next() {
            match character {
                '\n' => return,
                '\\' => drop(self.next()),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        self.line += usize::from(character == '\n');
        Some(character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        let lines = parse(text).unwrap();
        lines
            .into_iter()
            .map(|line| (line.number, line.key, line.value))
            .collect()
    }

    #[test]
    fn values_are_those_that_systemd_reads() {
        for (text, value) in [
            ("A=b", "b"),
            ("  A = b c  ", "b c"),
            ("A=", ""),
            ("A='b \"c\" '", "b \"c\" "),
            (r#"A="b \"c\" \n""#, r#"b "c" \n"#),
            (r#"A={"rack":"r1"}"#, r#"{"rack":"r1"}"#),
            ("A=[22, 2375]\r", "[22, 2375]"),
            ("A=b\\\nc", "bc"),
            ("A=b=c#d", "b=c#d"),
            ("A='b''c'", "bc"),
        ] {
            assert_eq!(pairs(text), [(1, "A".to_owned(), value.to_owned())], "{text}");
        }
    }

    #[test]
    fn lines_are_counted_past_comments_and_continued_values() {
        let text = "# one\n\n; three\nA=1\nB='2\n3'\n\nC=4";
        let numbers: Vec<_> = pairs(text).into_iter().map(|(number, key, _)| (number, key)).collect();
        let expected = [(4, "A"), (5, "B"), (8, "C")].map(|(number, key)| (number, key.to_owned()));
        assert_eq!(numbers, expected);
    }

    #[test]
    fn what_is_no_line_is_named_by_its_number() {
        assert_eq!(parse("A=1\nnonsense\n").unwrap_err().0, 2);
        assert_eq!(parse("A=1\n\nB='x\n").unwrap_err().0, 3);
        assert!(parse("export A=1").is_err());
    }
}
