//! Files of environment variables, as Compose reads `.env` and `env_file`: quotes are removed and variables replaced.

use crate::interpolate::Variables;

/// A variable and its value; none where it is to come from the environment.
pub type Line = (String, Option<String>);

/// Reads a file of variables, in the file's order. Later lines may use `variables` and what stands above them.
///
/// # Errors
/// The first line that is none, with its number.
pub fn parse(text: &str, variables: &Variables) -> Result<Vec<Line>, String> {
    let mut known = variables.clone();
    let mut lines: Vec<Line> = Vec::new();
    let mut rest = Rest { text, line: 1 };
    while let Some(name) = rest.name()? {
        let value = rest.value(&mut known)?;
        if let Some(value) = &value {
            known.set_default(&name, value.clone());
        }
        lines.push((name, value));
    }
    Ok(lines)
}

/// Reads lines of `NAME=value` as they stand (`format: raw`).
///
/// # Errors
/// The first line without a name, with its number.
pub fn parse_raw(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(format!(
                "line {}: it begins with '=', a name must stand before it",
                at + 1
            ));
        }
        lines.push((name.to_owned(), value));
    }
    Ok(lines)
}

struct Rest<'t> {
    text: &'t str,
    line: usize,
}

impl<'t> Rest<'t> {
    fn skip(&mut self, bytes: usize) -> &'t str {
        let (skipped, rest) = self.text.split_at_checked(bytes).unwrap_or((self.text, ""));
        self.line += skipped.matches('\n').count();
        self.text = rest;
        skipped
    }

    fn wrong(&self, rule: &str) -> String {
        format!("line {}: {rule}", self.line)
    }

    /// The name of the next variable, comments and empty lines skipped; what follows is its value.
    fn name(&mut self) -> Result<Option<String>, String> {
        loop {
            let blank = self.text.len() - self.text.trim_start().len();
            self.skip(blank);
            if !self.text.starts_with('#') {
                break;
            }
            let comment = self.text.find('\n').unwrap_or(self.text.len());
            self.skip(comment);
        }
        if self.text.is_empty() {
            return Ok(None);
        }
        if let Some(after) = self.text.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.skip("export".len() + after.len() - after.trim_start_matches([' ', '\t']).len());
        }
        let end = self.text.find(['=', ':', '\n']).unwrap_or(self.text.len());
        let name = self.text.get(..end).unwrap_or_default().trim();
        let fits = |c: char| c.is_alphanumeric() || "_.-[]".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(self.wrong(&format!(
                "'{}' must be the name of a variable: letters, digits and _ . - [ ]",
                berth_model::fault::shortened(name)
            )));
        }
        self.skip(end);
        Ok(Some(name.to_owned()))
    }

    /// The value behind the name; none where the line ends there.
    fn value(&mut self, known: &mut Variables) -> Result<Option<String>, String> {
        if !self.text.starts_with(['=', ':']) {
            return Ok(None);
        }
        self.skip(1);
        let blank = self.text.len() - self.text.trim_start_matches([' ', '\t']).len();
        self.skip(blank);
        let value = match self.text.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote, known)?,
            _ => self.plain(known)?,
        };
        Ok(Some(value))
    }

    fn plain(&mut self, known: &mut Variables) -> Result<String, String> {
        let line = self.text.split('\n').next().unwrap_or_default();
        let comment = line
            .match_indices('#')
            .map(|(at, _)| at)
            .find(|at| *at == 0 || line.get(..*at).is_some_and(|before| before.ends_with([' ', '\t'])));
        let value = line.get(..comment.unwrap_or(line.len())).unwrap_or_default().trim_end();
        let value = known.replace(value).map_err(|rule| self.wrong(&rule))?;
        self.skip(line.len());
        Ok(value)
    }

    fn quoted(&mut self, quote: char, known: &mut Variables) -> Result<String, String> {
        let mut inside = String::new();
        let mut escaped = false;
        let mut end = None;
        for (at, c) in self.text.char_indices().skip(1) {
            match c {
                c if escaped => {
                    escaped = false;
                    // Escapes of single quotes are for the quote alone; of double quotes, `\$` is left to interpolation.
                    match (quote, c) {
                        ('\'', '\'') => inside.push('\''),
                        ('"', 'n') => inside.push('\n'),
                        ('"', 'r') => inside.push('\r'),
                        ('"', 't') => inside.push('\t'),
                        ('"', '$') => inside.push_str("$$"),
                        ('"', '"' | '\\') => inside.push(c),
                        _ => inside.extend(['\\', c]),
                    }
                }
                '\\' => escaped = true,
                c if c == quote => {
                    end = Some(at + c.len_utf8());
                    break;
                }
                c => inside.push(c),
            }
        }
        let end = end.ok_or_else(|| self.wrong(&format!("the quote {quote} does not end")))?;
        let value = if quote == '"' {
            known.replace(&inside).map_err(|rule| self.wrong(&rule))?
        } else {
            inside
        };
        self.skip(end);
        let line = self.text.split('\n').next().unwrap_or_default();
        let behind = line.trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(self.wrong("something stands behind the quote that ends the value"));
        }
        self.skip(line.len());
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let variables = Variables::new([("HOME".to_owned(), "/home/me".to_owned())].into());
        let lines = parse(text, &variables).unwrap();
        lines
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or("<none>".to_owned())))
            .collect()
    }

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let text = "# a comment\n\nA=1\nexport B = two words # behind\nC='$A #' # c\nD=\"$A\\n\\$A\" \nE=\nF\nG: yaml\r\n\
                    H=a#b\nI=${A}${HOME}\nJ=\"one\ntwo\"\nK='it\\'s'\nL=${MISSING:-d}\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A #"),
            ("D", "1\n$A"),
            ("E", ""),
            ("F", "<none>"),
            ("G", "yaml"),
            ("H", "a#b"),
            ("I", "1/home/me"),
            ("J", "one\ntwo"),
            ("K", "it's"),
            ("L", "d"),
        ];
        assert_eq!(
            read(text),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_is_no_line_is_named_by_its_number() {
        let variables = Variables::default();
        for (text, part) in [
            ("A=1\n=2", "line 2: '' must be the name"),
            ("A B=1", "line 1: 'A B' must be the name"),
            ("A='x\ny", "line 1: the quote ' does not end"),
            ("A='x' y", "line 1: something stands behind"),
            ("\nA=${B", "line 2: "),
        ] {
            let refused = parse(text, &variables).unwrap_err();
            assert!(refused.starts_with(part), "{text:?}: {refused}");
        }
    }

    #[test]
    fn raw_lines_stand_as_they_are() {
        let lines = parse_raw("# c\nA='$x' # y\nB\n\nC=a=b\n").unwrap();
        let expected = [("A", Some("'$x' # y")), ("B", None), ("C", Some("a=b"))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(lines, expected);
        assert!(parse_raw("=x").is_err());
    }

    proptest! {
        #[test]
        fn values_in_single_quotes_come_back(value in "[^'\\\\]{0,20}") {
            let lines = parse(&format!("A='{value}'\n"), &Variables::default()).unwrap();
            prop_assert_eq!(lines, [("A".to_owned(), Some(value))]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-Z='\"# \\\\\\n$\\{\\}:-]{0,40}") {
            let _either = parse(&text, &Variables::default());
        }
    }
}
