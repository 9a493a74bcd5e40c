//! Two trees as one (Compose, "Merge Compose files"): maps key by key, lists one behind the other, values replaced.

use std::collections::BTreeSet;

use crate::node::{Merge, Node, Value};

/// Lists that take the place of earlier ones.
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

/// `later` merged onto `earlier`.
pub(super) fn merged(earlier: Node, later: Node) -> Node {
    join("", earlier, later)
}

fn join(key: &str, earlier: Node, later: Node) -> Node {
    if later.merge != Merge::Join || earlier.merge == Merge::Reset {
        return later;
    }
    let (line, merge) = (later.line, earlier.merge);
    let value = match (earlier.value, later.value) {
        (earlier, Value::Null) => earlier,
        (Value::Map(mut entries), Value::Map(more)) => {
            for (name, value) in more {
                match entries.iter().position(|(there, _)| *there == name) {
                    Some(at) => {
                        let (there, old) = entries.remove(at);
                        let new = join(&there, old, value);
                        entries.insert(at, (there, new));
                    }
                    None => entries.push((name, value)),
                }
            }
            Value::Map(entries)
        }
        (Value::List(mut items), Value::List(more)) if !WHOLE.contains(&key) => {
            items.extend(more);
            Value::List(once(key, items))
        }
        (_, later) => later,
    };
    Node { value, line, merge }
}

/// The entries that mean different things: of those that mean the same the last, where it stands.
fn once(key: &str, items: Vec<Node>) -> Vec<Node> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Node> = items
        .into_iter()
        .rev()
        .filter(|item| identity(key, item).is_none_or(|identity| seen.insert(identity)))
        .collect();
    kept.reverse();
    kept
}

/// What an entry of a list is told from others by.
fn identity(key: &str, item: &Node) -> Option<String> {
    let part = |name: &str| item.get(name).and_then(Node::as_text).unwrap_or_default();
    match (&item.value, key) {
        (Value::Text(text), "tmpfs") => text.split(':').next().map(str::to_owned),
        (Value::Text(text), "devices") => text.split(':').nth(1).or(Some(text.as_str())).map(str::to_owned),
        (Value::Text(text), _) => Some(text.clone()),
        (Value::Map(_), "ports") => Some(format!(
            "{} {} {} {}",
            part("host_ip"),
            part("published"),
            part("target"),
            part("protocol")
        )),
        (Value::Map(_), "volumes") => Some(part("target").to_owned()),
        (Value::Map(_), "env_file") => Some(part("path").to_owned()),
        (Value::Map(_), "secrets" | "configs") => {
            let target = part("target");
            Some(if target.is_empty() { part("source") } else { target }.to_owned())
        }
        (Value::Map(_) | Value::Null | Value::List(_), _) => None,
    }
}

/// Takes out what is reset.
pub(super) fn settle(node: &mut Node) {
    match &mut node.value {
        Value::Null | Value::Text(_) => {}
        Value::List(items) => {
            items.retain(|item| item.merge != Merge::Reset);
            items.iter_mut().for_each(settle);
        }
        Value::Map(entries) => {
            entries.retain(|(_, value)| value.merge != Merge::Reset);
            entries.iter_mut().for_each(|(_, value)| settle(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    fn check(earlier: &str, later: &str, expected: &str) {
        let mut merged = merged(parse(earlier).unwrap(), parse(later).unwrap());
        settle(&mut merged);
        let expected = parse(expected).unwrap();
        assert_eq!(plain(&merged), plain(&expected), "{earlier:?} with {later:?}");
    }

    fn plain(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("{:?}", items.iter().map(plain).collect::<Vec<_>>()),
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, node)| (key, plain(node))).collect();
                format!("{entries:?}")
            }
        }
    }

    #[test]
    fn maps_are_merged_lists_added_and_values_replaced() {
        check(
            "{a: 1, b: {c: 1, d: 2}}",
            "{b: {d: 3, e: 4}, f: 5}",
            "{a: 1, b: {c: 1, d: 3, e: 4}, f: 5}",
        );
        check("{dns: [a, b]}", "{dns: [b, c]}", "{dns: [a, b, c]}");
        check("{a: 1}", "{a: ~}", "{a: 1}");
        check("{a: 1}", "{a: [2]}", "{a: [2]}");
    }

    #[test]
    fn command_lines_are_replaced_whole() {
        check("{command: [a, b]}", "{command: [c]}", "{command: [c]}");
        check(
            "{healthcheck: {test: [CMD, a]}}",
            "{healthcheck: {test: [CMD, b]}}",
            "{healthcheck: {test: [CMD, b]}}",
        );
    }

    #[test]
    fn ports_and_mounts_stand_once_by_what_they_are() {
        check(
            "{ports: [{target: 80, published: 8080}], volumes: [{source: a, target: /x}]}",
            "{ports: [{target: 80, published: 8080}, {target: 81}], volumes: [{source: b, target: /x}]}",
            "{ports: [{target: 80, published: 8080}, {target: 81}], volumes: [{source: b, target: /x}]}",
        );
    }

    #[test]
    fn what_is_reset_goes_and_what_overrides_takes_the_place() {
        check("{a: [1], b: 2}", "{a: !reset null}", "{b: 2}");
        check("{a: [1, 2]}", "{a: !override [3]}", "{a: [3]}");
        check("{a: !reset [1]}", "{b: 1}", "{b: 1}");
        check("{a: !reset [1]}", "{a: [2]}", "{a: [2]}");
    }
}
