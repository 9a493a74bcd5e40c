//! From Java's spelling of a regular expression to that of the `regex` crate.
//!
//! One pass over the pattern that rewrites what the two spell differently, refuses what only Java has, and leaves the
//! rest, including most mistakes, to the engine. It compiles nothing. Called by [`Pattern`](super::Pattern).

use super::{PatternError, PatternProblem};

/// Java's POSIX classes, with the engine's names for the same ASCII characters.
const POSIX: [(&str, &str); 13] = [
    ("Lower", "lower"),
    ("Upper", "upper"),
    ("ASCII", "ascii"),
    ("Alpha", "alpha"),
    ("Digit", "digit"),
    ("Alnum", "alnum"),
    ("Punct", "punct"),
    ("Graph", "graph"),
    ("Print", "print"),
    ("Blank", "blank"),
    ("Cntrl", "cntrl"),
    ("XDigit", "xdigit"),
    ("Space", "space"),
];
const HORIZONTAL: &str = r" \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
const VERTICAL: &str = r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}";

/// Writes the pattern as the engine wants it. Its groups are balanced.
pub(super) fn translate(java: &str) -> Result<String, PatternError> {
    let mut translation = Translation {
        java,
        at: 0,
        rust: String::with_capacity(java.len() + 16),
        groups: Vec::new(),
        classes: 0,
        last: Last::Atom,
    };
    while let Some(c) = translation.next() {
        match translation.classes {
            0 => translation.outside(c)?,
            _ => translation.inside(c)?,
        }
    }
    match translation.groups.pop() {
        Some(open) => Err(syntax(open, "the group is never closed")),
        None => Ok(translation.rust),
    }
}

struct Translation<'a> {
    java: &'a str,
    /// The next byte to read.
    at: usize,
    rust: String,
    /// Where the groups began that are open.
    groups: Vec<usize>,
    /// Character classes that are open, inside one another.
    classes: usize,
    last: Last,
}

/// What stands before the next character, as far as quantifiers care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Atom,
    Quantifier,
    LazyQuantifier,
}

impl<'a> Translation<'a> {
    fn outside(&mut self, c: char) -> Result<(), PatternError> {
        let start = self.at - c.len_utf8();
        match c {
            '*' | '+' | '?' | '{' => return self.quantifier(start, c),
            '\\' => self.escape(start)?,
            '[' => self.open_class(),
            '(' => self.open_group(start)?,
            ')' => {
                if self.groups.pop().is_none() {
                    return Err(syntax(start, "the group was never opened"));
                }
                self.rust.push(c);
            }
            _ => self.rust.push(c),
        }
        self.last = Last::Atom;
        Ok(())
    }

    fn inside(&mut self, c: char) -> Result<(), PatternError> {
        let start = self.at - c.len_utf8();
        match c {
            '\\' => self.escape(start)?,
            // Java reads a class of the characters between the colons, which nobody means.
            '[' if self.rest().starts_with(':') => {
                return Err(unsupported(start, r"a class such as [:alpha:] (write \p{Alpha})"));
            }
            '[' => self.open_class(),
            ']' => {
                self.classes -= 1;
                self.rust.push(c);
            }
            // The engine's signs for the difference of classes, which Java does not have.
            '-' if self.rest().starts_with('-') => return Err(unsupported(start, "-- in a character class")),
            '~' => self.rust.push_str(r"\~"),
            _ => self.rust.push(c),
        }
        Ok(())
    }

    fn open_class(&mut self) {
        self.classes += 1;
        self.rust.push('[');
        if self.eat("^") {
            self.rust.push('^');
        }
        if self.eat("]") {
            self.rust.push_str(r"\]");
        }
    }

    fn quantifier(&mut self, start: usize, c: char) -> Result<(), PatternError> {
        match (self.last, c) {
            (Last::Atom, '{') => {
                let Some(length) = self.rest().find('}') else {
                    return Err(syntax(start, "the repetition is never closed"));
                };
                self.at += length + 1;
                self.rust.push_str(&self.java[start..self.at]);
                self.last = Last::Quantifier;
            }
            (Last::Atom, _) => {
                self.rust.push(c);
                self.last = Last::Quantifier;
            }
            (Last::Quantifier, '?') => {
                self.rust.push(c);
                self.last = Last::LazyQuantifier;
            }
            (Last::Quantifier, '+') => return Err(not_linear(start, "a possessive quantifier")),
            (Last::Quantifier | Last::LazyQuantifier, _) => {
                return Err(syntax(start, "a quantifier follows another one"));
            }
        }
        Ok(())
    }

    fn open_group(&mut self, start: usize) -> Result<(), PatternError> {
        self.groups.push(start);
        self.rust.push('(');
        if !self.eat("?") {
            return Ok(());
        }
        for (sign, refused) in [
            ("=", "lookahead"),
            ("!", "negative lookahead"),
            ("<=", "lookbehind"),
            ("<!", "negative lookbehind"),
            (">", "an atomic group"),
        ] {
            if self.rest().starts_with(sign) {
                return Err(not_linear(start, refused));
            }
        }
        let rest = self.rest();
        if !rest.starts_with('<') {
            let flags = rest.find([':', ')']).map_or(rest, |end| &rest[..end]);
            if let Some(flag) = flags.chars().find(|flag| !"ism-".contains(*flag)) {
                return Err(unsupported(start, format!("'{flag}' after (? (flags are i, s and m)")));
            }
        }
        self.rust.push('?');
        Ok(())
    }

    fn escape(&mut self, start: usize) -> Result<(), PatternError> {
        let Some(c) = self.next() else {
            return Err(syntax(start, "a backslash stands at the end"));
        };
        match c {
            'd' => self.rust.push_str("[0-9]"),
            'D' => self.rust.push_str("[^0-9]"),
            'w' => self.rust.push_str("[A-Za-z0-9_]"),
            'W' => self.rust.push_str("[^A-Za-z0-9_]"),
            's' => self.rust.push_str(r"[ \t\n\x0B\x0C\r]"),
            'S' => self.rust.push_str(r"[^ \t\n\x0B\x0C\r]"),
            'h' => self.push_class("", HORIZONTAL),
            'H' => self.push_class("^", HORIZONTAL),
            'v' => self.push_class("", VERTICAL),
            'V' => self.push_class("^", VERTICAL),
            'R' if self.classes == 0 => {
                self.rust.push_str(r"(?:\r\n|[");
                self.rust.push_str(VERTICAL);
                self.rust.push_str("])");
            }
            'Q' => self.quoted(),
            'p' | 'P' => self.property(start, c)?,
            'Z' => self.rust.push_str(r"\z"),
            'e' => self.rust.push_str(r"\x1B"),
            'b' if self.rest().starts_with('{') => return Err(unsupported(start, r"\b{...}")),
            'x' if self.rest().starts_with('{') => {
                let length = self.rest().find('}').map_or(self.rest().len(), |end| end + 1);
                self.at += length;
                self.rust.push_str(&self.java[start..self.at]);
            }
            'A' | 'B' | 'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'u' | 'x' | 'z' => {
                self.rust.push('\\');
                self.rust.push(c);
            }
            '1'..='9' | 'k' => return Err(not_linear(start, "a backreference")),
            '0' | 'A'..='Z' | 'a'..='z' => return Err(unsupported(start, format!(r"the escape \{c}"))),
            _ => self.push_literal(c),
        }
        Ok(())
    }

    /// Everything up to `\E` for itself.
    fn quoted(&mut self) {
        let rest = self.rest();
        let (text, length) = match rest.find(r"\E") {
            Some(end) => (&rest[..end], end + 2),
            None => (rest, rest.len()),
        };
        self.rust.push_str(&regex::escape(text));
        self.at += length;
    }

    fn property(&mut self, start: usize, c: char) -> Result<(), PatternError> {
        let rest = self.rest();
        let name = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(name, _)| name);
        let Some(name) = name else {
            // One letter without braces; the engine knows them, and says what is wrong with anything else.
            self.rust.push('\\');
            self.rust.push(c);
            return Ok(());
        };
        if let Some((_, ascii)) = POSIX.iter().find(|(java, _)| *java == name) {
            let negation = if c == 'P' { "^" } else { "" };
            self.rust.push_str(&format!("[[:{negation}{ascii}:]]"));
        } else if name.starts_with("java") || name.starts_with("In") {
            return Err(unsupported(start, format!(r"the class \{c}{{{name}}}")));
        } else {
            self.rust.push_str(&format!(r"\{c}{{{name}}}"));
        }
        self.at += name.len() + 2;
        Ok(())
    }

    fn push_class(&mut self, negation: &str, members: &str) {
        for part in ["[", negation, members, "]"] {
            self.rust.push_str(part);
        }
    }

    fn push_literal(&mut self, c: char) {
        self.rust.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn rest(&self) -> &'a str {
        &self.java[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }
}

fn syntax(offset: usize, rule: &str) -> PatternError {
    PatternError {
        offset,
        problem: PatternProblem::Syntax(rule.to_owned()),
    }
}

fn not_linear(offset: usize, construct: &'static str) -> PatternError {
    PatternError {
        offset,
        problem: PatternProblem::NotLinear(construct),
    }
}

fn unsupported(offset: usize, construct: impl Into<String>) -> PatternError {
    PatternError {
        offset,
        problem: PatternProblem::Unsupported(construct.into()),
    }
}
