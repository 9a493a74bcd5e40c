//! Takes out of text what looks like a secret. The last resort: what is structured has a list of what may be told.

const REMOVED: &str = "(removed)";
/// Parts of names whose values are secrets, in lower case.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "apikey",
    "api_key",
    "api-key",
    "private_key",
    "auth_data",
];
/// Letters of a word that may be a key: more are longer than any id of ours, which has 32, or a UUID.
const LONGEST_WORD: usize = 38;
/// Letters of a word of base64 that may be a key where it has capitals, small letters and digits: those of AWS have 40.
const KEY: usize = 40;
/// What the words of digests of images begin with.
const DIGEST: &str = "sha256:";
/// What JSON Web Tokens begin with.
const WEB_TOKEN: &str = "eyJ";
/// Between which two a private key stands (RFC 7468), and lines that one has at most.
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const KEY_LINES: usize = 120;

/// The text without private keys, and each line without what [`line`] takes out.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Lines of a private key that may still come.
    let mut of_key: usize = 0;
    for line in text.lines() {
        if of_key > 0 {
            of_key = if line.contains(END) { 0 } else { of_key - 1 };
            continue;
        }
        match line.split_once(BEGIN) {
            Some((before, key)) if key.contains("PRIVATE KEY") => {
                out.push_str(&self::line(before));
                out.push_str(REMOVED);
                if !key.contains(END) {
                    of_key = KEY_LINES;
                }
            }
            _ => out.push_str(&self::line(line)),
        }
        out.push('\n');
    }
    out
}

/// The line without values of names that say that they are secret, access keys, passwords in URLs, and words that are as long as
/// keys and tokens are.
pub(crate) fn line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    // Words and what is between them, in turn.
    let mut secret_follows = false;
    for word in line.split_inclusive([' ', ',', ';', '\t']) {
        let end = word.trim_end_matches([' ', ',', ';', '\t']);
        let gap = &word[end.len()..];
        if end.is_empty() {
            out.push_str(gap);
            continue;
        }
        if std::mem::take(&mut secret_follows) {
            // `Authorization: Bearer x` has two words of value.
            secret_follows = matches!(end.trim_matches('"').to_ascii_lowercase().as_str(), "bearer" | "basic");
            out.push_str(if secret_follows { end } else { REMOVED });
        } else {
            let (kept, follows) = self::word(end);
            secret_follows = follows;
            out.push_str(&kept);
        }
        out.push_str(gap);
    }
    out
}

/// The word without its secret, and whether the next word is one.
fn word(word: &str) -> (String, bool) {
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((login, place)) = rest.split_once('@')
        && !login.contains('/')
    {
        return (format!("{scheme}://{REMOVED}@{place}"), false);
    }
    if word.trim_start_matches(['"', '\'', '=']).starts_with(WEB_TOKEN) && word.len() > LONGEST_WORD {
        return (REMOVED.to_owned(), false);
    }
    if let Some(at) = word.find(['=', ':']) {
        let (name, value) = (&word[..at], &word[at + 1..]);
        let lower = name.to_ascii_lowercase();
        if NAMES.iter().any(|secret| lower.contains(secret)) {
            let separator = &word[at..=at];
            return match value.trim_matches('"').is_empty() {
                true => (word.to_owned(), true),
                false => (format!("{name}{separator}{REMOVED}"), false),
            };
        }
    }
    let mut kept = String::with_capacity(word.len());
    for part in word.split_inclusive(|letter: char| !is_of_key(letter) && letter != '/') {
        let core = part.trim_end_matches(|letter: char| !is_of_key(letter));
        if is_base64_key(core) {
            kept.push_str(REMOVED);
            kept.push_str(&part[core.len()..]);
        } else {
            keep_parts(part, &mut kept);
        }
    }
    (kept, false)
}

/// Whether the letters are those of a secret in base64 and not those of a path.
fn is_base64_key(letters: &str) -> bool {
    let any = |is: fn(&u8) -> bool| letters.bytes().any(|letter| is(&letter));
    let mixed = any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase) && any(u8::is_ascii_digit);
    letters.len() >= KEY && mixed && !letters.starts_with('/')
}

/// The word without those of its parts that are as long as keys are.
fn keep_parts(word: &str, kept: &mut String) {
    for part in word.split_inclusive(|letter: char| !is_of_key(letter)) {
        let core = part.trim_end_matches(|letter: char| !is_of_key(letter));
        let is_key = core.len() == 20 && (core.starts_with("AKIA") || core.starts_with("ASIA"));
        let is_long = core.len() > LONGEST_WORD && !kept.ends_with(DIGEST);
        if is_key || is_long {
            kept.push_str(REMOVED);
            kept.push_str(&part[core.len()..]);
        } else {
            kept.push_str(part);
        }
    }
}

/// Letters of base64, of hexadecimal digits and of tokens; not those that part the words of paths and ARNs.
fn is_of_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '+' || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_removed() {
        for (text, expected) in [
            ("login password=hunter2 failed", "login password=(removed) failed"),
            ("DB_PASSWORD: hunter2, next", "DB_PASSWORD: (removed), next"),
            ("\"secretAccessKey\":\"abc\"}", "\"secretAccessKey\":(removed)"),
            ("Authorization: Bearer abc.def ok", "Authorization: Bearer (removed) ok"),
            (
                "etcd://root:pw@10.0.0.1:2379/berth",
                "etcd://(removed)@10.0.0.1:2379/berth",
            ),
            ("key AKIAIOSFODNN7EXAMPLE used", "key (removed) used"),
            (
                "master 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                "master (removed)",
            ),
            ("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYABCD leaked", "(removed) leaked"),
            (
                "signed with wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "signed with (removed)",
            ),
            ("key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY;", "key=(removed);"),
            (
                "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP",
                "got (removed)",
            ),
            (
                "token berth1.0123456789abcdef.00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff.00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                "token berth1.0123456789abcdef.(removed).(removed)",
            ),
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn a_private_key_is_removed_with_all_its_lines_and_a_certificate_is_not() {
        let log = "at 1 agent: read -----BEGIN PRIVATE KEY-----\nat 1 agent: MIGH/AgEA\nat 1 agent: -----END PRIVATE KEY-----\n\
                   then {\"key\":\"-----BEGIN EC PRIVATE KEY-----\\nMIGH/AgEA\\n-----END EC PRIVATE KEY-----\"}\n\
                   -----BEGIN CERTIFICATE-----\nMIIB\n";
        assert_eq!(
            text(log),
            "at 1 agent: read (removed)\nthen {\"key\":\"(removed)\n-----BEGIN CERTIFICATE-----\nMIIB\n"
        );
        // One that is cut off does not hide all that comes.
        let cut = format!("-----BEGIN PRIVATE KEY-----\n{}well\n", "MIGH/AgEA\n".repeat(KEY_LINES));
        assert_eq!(text(&cut), "(removed)\nwell\n");
    }

    #[test]
    fn what_helps_is_kept() {
        for text in [
            "arn:aws:ecs:us-east-1:000000000000:task/prod/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "image sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff pulled",
            "2026-11-22T06:30:00.123Z INFO agent connected instance=0a1b2c3d cluster=prod",
            "http://127.0.0.1:7700/readyz  is   not ready; try again",
            "/var/lib/Berth1/journal/segments/of/the/last/day/0001.redb grew",
            "pulled registry.example.com/team/service/web:1.2.3",
            "",
        ] {
            assert_eq!(line(text), text);
        }
    }
}
