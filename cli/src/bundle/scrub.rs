//! Takes out of a line of text what looks like a secret. The last resort: what is structured has a list of what may be told.

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
/// What the words of digests of images begin with.
const DIGEST: &str = "sha256:";

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
    let parts = word.split_inclusive(|letter: char| !is_of_key(letter));
    let mut kept = String::with_capacity(word.len());
    for part in parts {
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
    (kept, false)
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
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn what_helps_is_kept() {
        for text in [
            "arn:aws:ecs:us-east-1:000000000000:task/prod/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "image sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff pulled",
            "2026-11-22T06:30:00.123Z INFO agent connected instance=0a1b2c3d cluster=prod",
            "http://127.0.0.1:7700/readyz  is   not ready; try again",
            "",
        ] {
            assert_eq!(line(text), text);
        }
    }
}
