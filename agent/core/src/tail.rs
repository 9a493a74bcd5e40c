//! The last lines of what a container has put out, made fit to be told: few, short, and plain text.

/// Lines that are told.
pub const LINES: usize = 5;
/// Characters of a line.
pub const WIDTH: usize = 200;
/// What a line begins with that a health check has put out.
const CHECK: &str = "health check: ";

/// The last lines of an output. What is no UTF-8 is replaced, control characters are escaped, and long lines end with
/// `…`; lines without text are left out.
#[must_use]
pub fn of(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    last(&text).into_iter().map(|line| plain(line, "")).collect()
}

/// The lines of a failed health check, then those of the container's log, as far as there is room for them: of the
/// check the last two.
#[must_use]
pub fn with_check(check: &str, mut log: Vec<String>) -> Vec<String> {
    let check = last(check);
    let mut lines: Vec<String> = check[check.len().saturating_sub(2)..]
        .iter()
        .map(|line| plain(line, CHECK))
        .collect();
    lines.extend(log.drain(log.len().saturating_sub(LINES - lines.len())..));
    lines
}

fn last(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .rev()
        .filter(|line| !line.is_empty())
        .take(LINES)
        .collect();
    lines.reverse();
    lines
}

fn plain(line: &str, beginning: &str) -> String {
    let mut plain = beginning.to_owned();
    let mut room = WIDTH - beginning.len();
    for character in line.chars() {
        let escaped: String = match character {
            _ if character.is_control() => character.escape_default().collect(),
            _ => character.to_string(),
        };
        // One stays for the sign that something is missing.
        if escaped.chars().count() >= room {
            plain.push('…');
            break;
        }
        room -= escaped.chars().count();
        plain.push_str(&escaped);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_with_text_are_told_in_their_order() {
        let output: String = (1..=9).map(|number| format!("line {number}  \r\n\n")).collect();
        assert_eq!(
            of(output.as_bytes()),
            ["line 5", "line 6", "line 7", "line 8", "line 9"]
        );
        assert_eq!(of(b"only"), ["only"]);
        assert!(of(b" \n\n").is_empty());
    }

    #[test]
    fn a_line_is_short_plain_text() {
        assert_eq!(of(b"\x1b[31mred\x07\t\xff"), ["\\u{1b}[31mred\\u{7}\\t\u{fffd}"]);
        for long in ["x".repeat(10_000), "\u{1b}".repeat(10_000), "ä".repeat(201)] {
            let told = of(long.as_bytes());
            assert!(told[0].chars().count() <= WIDTH && told[0].ends_with('…'), "{told:?}");
        }
        assert_eq!(of("ä".repeat(WIDTH - 1).as_bytes()), ["ä".repeat(WIDTH - 1)]);
    }

    #[test]
    fn a_failed_check_comes_before_what_the_container_said_last() {
        let log: Vec<String> = (1..=5).map(|number| format!("line {number}")).collect();
        assert_eq!(
            with_check("Connecting\nwget: refused\n", log.clone()),
            [
                "health check: Connecting",
                "health check: wget: refused",
                "line 3",
                "line 4",
                "line 5"
            ]
        );
        assert_eq!(with_check("", log.clone()), log);
        let long = with_check(&"x".repeat(300), Vec::new());
        assert!(long[0].chars().count() <= WIDTH, "{long:?}");
    }
}
