//! A command line split as a POSIX shell splits one: quotes and backslashes, nothing replaced, no operators.

/// The words of a line.
///
/// # Errors
/// A quote does not end, or a backslash ends the line.
pub fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or("a single quote does not end")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next().ok_or("a backslash ends it")? {
                // Both together are no line end at all.
                '\n' => {}
                c => word.get_or_insert_default().push(c),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "a double quote does not end";
    loop {
        match rest.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or(OPEN)? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::split;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (line, words) in [
            ("", vec![]),
            ("  a  b\t c ", vec!["a", "b", "c"]),
            ("sh -c 'echo \"hi\" $HOME'", vec!["sh", "-c", "echo \"hi\" $HOME"]),
            (r#"a"b c"d 'e'"#, vec!["ab cd", "e"]),
            (r#""" ''"#, vec!["", ""]),
            (r#"a\ b "a\"b" "a\nb" '\'"#, vec!["a b", "a\"b", "a\\nb", "\\"]),
            ("echo #1", vec!["echo", "#1"]),
            ("a \\\n b", vec!["a", "b"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["'a", "\"a", "\"a\\", "a\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn words_that_are_quoted_come_back(words in prop::collection::vec("[ -~\\n]{0,8}", 0..6)) {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
            prop_assert_eq!(split(&quoted.join(" ")).unwrap(), words.clone());
            let escaped = |word: &String| {
                let inside: String = word.chars().flat_map(|c| match c {
                    '"' | '\\' | '$' | '`' => vec!['\\', c],
                    c => vec![c],
                }).collect();
                format!("\"{inside}\"")
            };
            let quoted: Vec<String> = words.iter().map(escaped).collect();
            prop_assert_eq!(split(&quoted.join(" ")).unwrap(), words);
        }
    }
}
