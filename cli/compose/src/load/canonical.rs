//! The short forms of a service written out, so that services are merged and read in one form, and its paths absolute.

use super::path;
use crate::Error;
use crate::node::{Node, Value};
use crate::units;

/// Entries of `NAME=value`, or a map.
const PAIRS: [&str; 4] = ["environment", "labels", "annotations", "sysctls"];
/// One value, or a list.
const LISTS: [&str; 5] = ["dns", "dns_search", "tmpfs", "env_file", "label_file"];

/// Writes a service out; relative paths begin at `directory`.
pub(super) fn service(service: &mut Node, at: &str, directory: &str, home: Option<&str>) -> Result<(), Error> {
    let Value::Map(entries) = &mut service.value else {
        return Ok(());
    };
    for (key, node) in entries {
        let at = format!("{at}.{key}");
        match key.as_str() {
            key if PAIRS.contains(&key) => pairs(node, &at)?,
            "deploy" => {
                if let Some(labels) = node.get_mut("labels") {
                    pairs(labels, &format!("{at}.labels"))?;
                }
            }
            key if LISTS.contains(&key) => {
                if node.as_text().is_some() {
                    wrap(node);
                }
                if key == "env_file" {
                    env_files(node, directory, home);
                }
            }
            "depends_on" => names(node, &at, || {
                let condition = Node::text("service_started", 0);
                Value::Map(vec![("condition".to_owned(), condition)])
            })?,
            "networks" => names(node, &at, || Value::Null)?,
            "extra_hosts" => hosts(node, &at)?,
            "ports" => each(node, &at, port)?,
            "volumes" => each(node, &at, |mount, at| {
                volume(mount, at, directory, home).map(|one| vec![one])
            })?,
            "secrets" | "configs" => each(node, &at, |grant, _| {
                if grant.as_text().is_none() {
                    return Ok(vec![grant.clone()]);
                }
                let source = ("source".to_owned(), grant.clone());
                Ok(vec![Node::new(Value::Map(vec![source]), grant.line)])
            })?,
            _ => {}
        }
    }
    Ok(())
}

/// A list of the value.
fn wrap(node: &mut Node) {
    let inside = Node::new(node.value.clone(), node.line);
    node.value = Value::List(vec![inside]);
}

/// `[A=1, B]` as `{A: 1, B: ~}`.
fn pairs(node: &mut Node, at: &str) -> Result<(), Error> {
    let Value::List(items) = &node.value else {
        return Ok(());
    };
    let mut map = Node::new(Value::Map(Vec::new()), node.line);
    map.merge = node.merge;
    for (index, item) in items.iter().enumerate() {
        let text = item.as_text().ok_or_else(|| {
            Error::new(
                format!("{at}[{index}]"),
                format!("it must be NAME=value, it is {}", item.kind()),
            )
        })?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Value::Text(value.to_owned())),
            None => (text, Value::Null),
        };
        map.set(name, Node::new(value, item.line));
    }
    *node = map;
    Ok(())
}

/// `[a, b]` as `{a: ..., b: ...}`.
fn names(node: &mut Node, at: &str, value: impl Fn() -> Value) -> Result<(), Error> {
    let Value::List(items) = &node.value else {
        return Ok(());
    };
    let mut map = Node::new(Value::Map(Vec::new()), node.line);
    map.merge = node.merge;
    for (index, item) in items.iter().enumerate() {
        let name = item.as_text().ok_or_else(|| {
            Error::new(
                format!("{at}[{index}]"),
                format!("it must be a name, it is {}", item.kind()),
            )
        })?;
        map.set(name, Node::new(value(), item.line));
    }
    *node = map;
    Ok(())
}

/// `{name: address}`, `name=address` and `name:address` as the second.
fn hosts(node: &mut Node, at: &str) -> Result<(), Error> {
    if node.as_text().is_some() {
        wrap(node);
    }
    let mut lines = Vec::new();
    for (name, address) in node.as_map().unwrap_or_default() {
        let one = address.as_text().into_iter();
        let several = address.as_list().unwrap_or_default().iter().filter_map(Node::as_text);
        lines.extend(
            one.chain(several)
                .map(|text| Node::text(format!("{name}={text}"), address.line)),
        );
    }
    for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
        let split = item
            .as_text()
            .and_then(|text| text.split_once('=').or_else(|| text.split_once(':')));
        let (name, address) = split.ok_or_else(|| {
            Error::new(
                format!("{at}[{index}]"),
                "it must be a name and an address: NAME=ADDRESS",
            )
        })?;
        lines.push(Node::text(format!("{name}={address}"), item.line));
    }
    node.value = Value::List(lines);
    Ok(())
}

/// Each entry of a list as those that it stands for.
fn each(node: &mut Node, at: &str, written_out: impl Fn(&Node, &str) -> Result<Vec<Node>, Error>) -> Result<(), Error> {
    let Value::List(items) = &node.value else {
        return Ok(());
    };
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        out.extend(written_out(item, &format!("{at}[{index}]"))?);
    }
    node.value = Value::List(out);
    Ok(())
}

fn env_files(node: &mut Node, directory: &str, home: Option<&str>) {
    let Value::List(items) = &mut node.value else {
        return;
    };
    for item in items {
        if item.as_text().is_some() {
            let name = Node::new(item.value.clone(), item.line);
            item.value = Value::Map(vec![("path".to_owned(), name)]);
        }
        if let Some(file) = item.get_mut("path")
            && let Value::Text(text) = &mut file.value
        {
            *text = path::absolute(text, directory, home);
        }
    }
}

fn map(entries: impl IntoIterator<Item = (&'static str, String)>, line: usize) -> Node {
    let entries = entries
        .into_iter()
        .map(|(key, text)| (key.to_owned(), Node::text(text, line)));
    Node::new(Value::Map(entries.collect()), line)
}

/// `[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL]`, with ranges, as one map a port.
fn port(item: &Node, at: &str) -> Result<Vec<Node>, Error> {
    let Some(text) = item.as_text() else {
        return Ok(vec![item.clone()]);
    };
    let wrong = |rule: &str| {
        let form = "it must be [[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]";
        Error::new(at, format!("'{}': {form}; {rule}", berth_model::fault::shortened(text)))
    };
    let (place, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (front, target) = match place.rsplit_once(':') {
        Some((front, target)) => (Some(front), target),
        None => (None, place),
    };
    let targets = units::ports(target).ok_or_else(|| wrong("TARGET must be a port, or a range of ports"))?;
    let (address, published) = match front {
        None => ("", ""),
        Some(front) => front.rsplit_once(':').unwrap_or(("", front)),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let published = match published {
        "" => None,
        text => Some(units::ports(text).ok_or_else(|| wrong("PUBLISHED must be a port, or a range of ports"))?),
    };
    if targets.len() > units::MAX_RANGE || published.as_ref().is_some_and(|range| range.len() > units::MAX_RANGE) {
        return Err(wrong(&format!("a range may have {} ports", units::MAX_RANGE)));
    }
    let one = |target: u16, published: Option<String>| {
        let mut entry = map([("target", target.to_string())], item.line);
        if let Some(published) = published {
            entry.set("published", Node::text(published, item.line));
        }
        if !address.is_empty() {
            entry.set("host_ip", Node::text(address, item.line));
        }
        entry.set("protocol", Node::text(protocol, item.line));
        entry
    };
    match published {
        None => Ok(targets.map(|target| one(target, None)).collect()),
        Some(range) if range.len() == targets.len() => Ok(targets
            .zip(range)
            .map(|(target, published)| one(target, Some(published.to_string())))
            .collect()),
        Some(range) if targets.len() == 1 => Ok(vec![one(
            *targets.start(),
            Some(format!("{}-{}", range.start(), range.end())),
        )]),
        Some(_) => Err(wrong("PUBLISHED and TARGET must have as many ports")),
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]` as a map.
fn volume(item: &Node, at: &str, directory: &str, home: Option<&str>) -> Result<Node, Error> {
    let Some(text) = item.as_text() else {
        let mut mount = item.clone();
        let is_bind = mount.get("type").and_then(Node::as_text) == Some("bind");
        if is_bind
            && let Some(source) = mount.get_mut("source")
            && let Value::Text(text) = &mut source.value
        {
            *text = path::absolute(text, directory, home);
        }
        return Ok(mount);
    };
    let mut parts = text.split(':');
    let (first, second, options) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if parts.next().is_some() || text.is_empty() {
        let rule = "it must be [SOURCE:]TARGET[:OPTIONS]";
        return Err(Error::new(
            at,
            format!("'{}': {rule}", berth_model::fault::shortened(text)),
        ));
    }
    let mut mount = match second {
        None => map([("type", "volume".to_owned()), ("target", first.to_owned())], item.line),
        Some(target) => {
            let is_path = first.starts_with(['.', '/', '~']);
            let source = if is_path {
                path::absolute(first, directory, home)
            } else {
                first.to_owned()
            };
            let kind = if is_path { "bind" } else { "volume" };
            map(
                [
                    ("type", kind.to_owned()),
                    ("source", source),
                    ("target", target.to_owned()),
                ],
                item.line,
            )
        }
    };
    let is_bind = mount.get("type").and_then(Node::as_text) == Some("bind");
    for option in options
        .unwrap_or_default()
        .split(',')
        .filter(|option| !option.is_empty())
    {
        let (section, key, value) = match option {
            "rw" => continue,
            "ro" => {
                mount.set("read_only", Node::text("true", item.line));
                continue;
            }
            "nocopy" => ("volume", "nocopy", "true"),
            "z" | "Z" => ("bind", "selinux", option),
            "cached" | "delegated" | "consistent" => {
                mount.set("consistency", Node::text(option, item.line));
                continue;
            }
            other if is_bind => ("bind", "propagation", other),
            other => {
                let other = berth_model::fault::shortened(other);
                return Err(Error::new(
                    at,
                    format!("'{other}' is no option of a volume: ro, rw, nocopy, z and Z are"),
                ));
            }
        };
        let mut inside = mount.remove(section).unwrap_or_else(|| map([], item.line));
        inside.set(key, Node::text(value, item.line));
        mount.set(section, inside);
    }
    Ok(mount)
}
