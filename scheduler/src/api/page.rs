//! Pages of lists: `maxResults` and `nextToken`.
//!
//! A token is the key of the last item, in hex so that nobody takes it for something to be written by hand. The next
//! page begins after that key, wherever the list has changed meanwhile.

use berth_model::fault::{Fault, shortened};

/// Items of one page, at most and mostly by default (ECS API).
const MAX_RESULTS: usize = 100;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// The key after which it begins.
    pub(super) after: Option<String>,
    limit: usize,
}

impl Page {
    /// Reads the members of a request.
    pub(super) fn read(max_results: Option<i32>, next_token: Option<&String>) -> Result<Self, Fault> {
        Self::of_at_most(max_results, next_token, MAX_RESULTS)
    }

    /// Reads the members of a request whose page has so many items where it does not say.
    pub(super) fn of_at_most(
        max_results: Option<i32>,
        next_token: Option<&String>,
        default: usize,
    ) -> Result<Self, Fault> {
        let limit = match max_results {
            None => default,
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| (1..=MAX_RESULTS).contains(count))
                .ok_or_else(|| Fault::invalid(format!("maxResults {count} should be between 1 and {MAX_RESULTS}.")))?,
        };
        let after = next_token
            .filter(|token| !token.is_empty())
            .map(|token| {
                decode(token).ok_or_else(|| {
                    Fault::invalid(format!(
                        "Invalid token. nextToken '{}' is none that an earlier answer gave.",
                        shortened(token)
                    ))
                })
            })
            .transpose()?;
        Ok(Self { after, limit })
    }

    /// After how many items it ends.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Takes the page's items from those after its beginning; gives the token of the next page where there is one.
    pub(super) fn take<T>(
        self,
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let mut items = items.peekable();
        let taken: Vec<T> = items.by_ref().take(self.limit).collect();
        let more = items.peek().is_some();
        let token = taken.last().filter(|_| more).map(|last| encode(&key(last)));
        (taken, token)
    }
}

/// The token of a page that begins with the key, or behind it.
pub(super) fn encode(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str) -> Option<String> {
    if !token.len().is_multiple_of(2) || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let items = ["a", "b", "c", "d", "e"];
        let mut token = None;
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let page = Page::read(Some(2), token.as_ref()).unwrap();
            let after = page.after.clone();
            let rest = items
                .iter()
                .filter(|item| after.as_deref().is_none_or(|after| **item > after));
            let (taken, next) = page.take(rest, |item| (**item).to_owned());
            assert!(taken.len() <= 2);
            seen.extend(taken);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn sizes_and_tokens_are_checked() {
        for bad in [0, -1, 101] {
            assert!(Page::read(Some(bad), None).is_err(), "{bad}");
        }
        for bad in ["x", "zz", "0", "ff", "é"] {
            assert!(Page::read(None, Some(&bad.to_owned())).is_err(), "{bad}");
        }
    }
}
